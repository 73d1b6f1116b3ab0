package registry

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Repositories yields the names of all repositories in byte order, after the
// given one. A repository is what has manifests or layers (distribution 3 looks
// for the one, distribution 2 for the other), or settings.
func (r *Registry) Repositories(ctx context.Context, after string) iter.Seq2[oci.Repository, error] {
	if r.indexStands.Load() {
		return r.indexed(ctx, after)
	}
	return r.walked(ctx, after)
}

// walked is Repositories without the index.
func (r *Registry) walked(ctx context.Context, after string) iter.Seq2[oci.Repository, error] {
	pushed := func(yield func(oci.Repository, error) bool) { r.walk(ctx, "", after, yield) }
	return merged(pushed, r.settled(ctx, after))
}

// settled yields the repositories that have settings.
func (r *Registry) settled(ctx context.Context, after string) iter.Seq2[oci.Repository, error] {
	return r.named(ctx, settingsFolder, after)
}

// merged yields what is in one of two sorted sequences, or in both, once. It ends
// at the first error.
func merged(a, b iter.Seq2[oci.Repository, error]) iter.Seq2[oci.Repository, error] {
	return func(yield func(oci.Repository, error) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		other, otherErr, more := next()
		for repo, err := range a {
			for err == nil && more && (otherErr != nil || other.String() < repo.String()) {
				if !yield(other, otherErr) || otherErr != nil {
					return
				}
				other, otherErr, more = next()
			}
			if !yield(repo, err) || err != nil {
				return
			}
			if more && otherErr == nil && other == repo {
				other, otherErr, more = next()
			}
		}
		for more && yield(other, otherErr) && otherErr == nil {
			other, otherErr, more = next()
		}
	}
}

// walk visits the repositories below prefix ("" or "team/"), and reports
// whether to go on. A folder "a" stands for two things that are not neighbours
// in byte order: the repository a, and all of a/…, which comes after a-b.
func (r *Registry) walk(ctx context.Context, prefix, after string, yield func(oci.Repository, error) bool) bool {
	var stops []string
	for name, err := range r.records.Children(ctx, strings.TrimSuffix(repositoriesDir+"/"+prefix, "/"), "") {
		if err != nil {
			return yield(oci.Repository{}, err)
		}
		if !strings.HasPrefix(name, "_") {
			stops = append(stops, prefix+name, prefix+name+"/")
		}
	}
	slices.Sort(stops)
	for _, stop := range stops {
		below := strings.HasSuffix(stop, "/")
		if stop <= after && !(below && strings.HasPrefix(after, stop)) {
			continue // it and all below it were listed before
		}
		if below {
			if !r.walk(ctx, stop, after, yield) {
				return false
			}
			continue
		}
		repo, err := oci.ParseRepository(stop)
		if err != nil {
			continue // foreign
		}
		pushed, err := r.hasContent(ctx, repo)
		if err != nil {
			return yield(oci.Repository{}, err)
		}
		if pushed && !yield(repo, nil) {
			return false
		}
	}
	return true
}

// RepositoryExists reports whether the repository has manifests, layers or
// settings.
func (r *Registry) RepositoryExists(ctx context.Context, repo oci.Repository) (bool, error) {
	if pushed, err := r.hasContent(ctx, repo); pushed || err != nil {
		return pushed, err
	}
	_, err := r.records.Get(ctx, settingsKey(repo.String()))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// hasContent reports whether the repository has manifests or layers.
func (r *Registry) hasContent(ctx context.Context, repo oci.Repository) (bool, error) {
	for name, err := range r.records.Children(ctx, repositoryDir(repo), "") {
		if err != nil {
			return false, err
		}
		if name == "_manifests" || name == "_layers" {
			return true, nil
		}
	}
	return false, nil
}
