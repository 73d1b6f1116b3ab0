package registry

import (
	"context"
	"iter"
	"slices"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Repositories yields the names of all repositories in byte order, after the
// given one. A repository is what has manifests or layers: distribution 3
// looks for the one, distribution 2 for the other.
func (r *Registry) Repositories(ctx context.Context, after string) iter.Seq2[oci.Repository, error] {
	if r.indexStands.Load() {
		return r.indexed(ctx, after)
	}
	return r.walked(ctx, after)
}

// walked is Repositories without the index.
func (r *Registry) walked(ctx context.Context, after string) iter.Seq2[oci.Repository, error] {
	return func(yield func(oci.Repository, error) bool) {
		r.walk(ctx, "", after, yield)
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
		exists, err := r.RepositoryExists(ctx, repo)
		if err != nil {
			return yield(oci.Repository{}, err)
		}
		if exists && !yield(repo, nil) {
			return false
		}
	}
	return true
}

// RepositoryExists reports whether the repository has manifests or layers.
func (r *Registry) RepositoryExists(ctx context.Context, repo oci.Repository) (bool, error) {
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

// DeleteRepository removes a repository: its tags, then its manifests, then
// its layers. Repositories below it (a/b below a) stay. Content that no other
// repository uses stays until a garbage collection. NAME_UNKNOWN.
func (r *Registry) DeleteRepository(ctx context.Context, repo oci.Repository) error {
	exists, err := r.RepositoryExists(ctx, repo)
	if err != nil {
		return err
	}
	if !exists {
		return &oci.Error{Code: oci.CodeNameUnknown, Message: "repository " + repo.String() + " unknown", Detail: map[string]string{"name": repo.String()}}
	}
	return r.deleting(ctx, func() error { return r.deleteRepository(ctx, repo) })
}

func (r *Registry) deleteRepository(ctx context.Context, repo oci.Repository) error {
	for tag, err := range r.Tags(ctx, repo, "") {
		if err != nil {
			return err
		}
		if err := r.DeleteTag(ctx, repo, tag); err != nil && oci.ErrorCode(err) != oci.CodeManifestUnknown {
			return err
		}
	}
	for _, part := range []string{"/_referrers/", "/_manifests/", "/_layers/", "/_uploads/"} {
		if err := r.deleteAll(ctx, repositoryDir(repo)+part); err != nil {
			return err
		}
	}
	return r.leave(ctx, repo)
}
