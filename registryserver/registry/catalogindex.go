package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// In a store that is walked one request at a time, the repositories are indexed:
// one empty record for each, whose keys sort as the names do. It is written
// before a repository's first link. What other programs wrote is found by a walk
// over everything, now and then; until the first is over, the walk answers.
const (
	indexFolder = storage.KitRoot + "/repositories/"
	// indexedKey is written when a walk begins, by who walks, and again when it is
	// over.
	indexedKey   = storage.KitRoot + "/repositories-indexed"
	indexStands  = "complete"
	indexBegun   = "begun"
	reindexEvery = 24 * time.Hour
	// reindexAtStart is the same for a server that starts: another program may
	// have written while none ran. Of servers that start together one walks.
	reindexAtStart = 30 * time.Second
	// reindexGrace is how long a walk may take before another may begin, and how
	// old an entry without a repository is before it is removed.
	reindexGrace = 6 * time.Hour
)

func indexKey(name string) string { return indexFolder + keyOfName(name) }

// indexedName is the name that indexKey was given.
func indexedName(key string) string { return nameOfKey(strings.TrimPrefix(key, indexFolder)) }

// keyOfName is the name of a repository as the last part of a key. '/' would make
// "a/b" lie below "a", so the three characters that sort before digits become
// three others that do.
func keyOfName(name string) string {
	return strings.NewReplacer("-", "+", ".", ",", "/", "-").Replace(name)
}

func nameOfKey(key string) string {
	return strings.NewReplacer("+", "-", ",", ".", "-", "/").Replace(key)
}

// enter makes sure that the repository is in the index.
func (r *Registry) enter(ctx context.Context, repo oci.Repository, from source) error {
	if !r.facts.on() {
		return nil
	}
	key := indexKey(repo.String())
	if _, ok := r.facts.link(key); ok && from == remembered {
		return nil
	}
	seen := r.facts.epoch()
	_, err := r.records.Put(ctx, key, nil, storage.Absent)
	if err != nil && !errors.Is(err, storage.ErrConflict) {
		return fmt.Errorf("enter repository %s into the index: %w", repo, err)
	}
	r.facts.addLink(seen, key, oci.Digest{})
	return nil
}

// indexed yields the repositories in the index.
func (r *Registry) indexed(ctx context.Context, after string) iter.Seq2[oci.Repository, error] {
	return r.named(ctx, indexFolder, after)
}

// named yields the repositories that records of a folder are named for.
func (r *Registry) named(ctx context.Context, folder, after string) iter.Seq2[oci.Repository, error] {
	return func(yield func(oci.Repository, error) bool) {
		from := ""
		if after != "" {
			from = folder + keyOfName(after)
		}
		for key, err := range r.records.List(ctx, folder, from) {
			if err != nil {
				yield(oci.Repository{}, err)
				return
			}
			repo, err := oci.ParseRepository(nameOfKey(strings.TrimPrefix(key, folder)))
			if err == nil && !yield(repo, nil) {
				return
			}
		}
	}
}

// reindex walks over everything if the last walk is older than it may be, and no
// other server does: it enters what is missing and takes out what is gone. It
// notes whether the index stands.
func (r *Registry) reindex(ctx context.Context, oldest time.Duration) error {
	rec, err := r.records.Get(ctx, indexedKey)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	value, age := string(rec.Value), r.facts.now().Sub(rec.ModTime)
	switch {
	case value == indexBegun && age < reindexGrace:
		return nil
	case value == indexStands && age < oldest:
		r.indexStands.Store(true)
		return nil
	}
	version, err := r.records.Put(ctx, indexedKey, []byte(indexBegun), rec.Version)
	if errors.Is(err, storage.ErrConflict) {
		return nil // another does it
	}
	if err != nil {
		return err
	}
	if err := r.walkIntoIndex(ctx); err != nil {
		return err
	}
	if _, err := r.records.Put(ctx, indexedKey, []byte(indexStands), version); err != nil && !errors.Is(err, storage.ErrConflict) {
		return err
	}
	r.indexStands.Store(true)
	return nil
}

func (r *Registry) walkIntoIndex(ctx context.Context) error {
	for repo, err := range r.walked(ctx, "") {
		if err == nil {
			err = r.enter(ctx, repo, remembered)
		}
		if err != nil {
			return err
		}
	}
	for repo, err := range r.indexed(ctx, "") {
		if err != nil {
			return err
		}
		if err := r.leaveIfGone(ctx, repo); err != nil {
			return err
		}
	}
	return nil
}

// leaveIfGone takes a repository out of the index that has long had nothing: its
// first push was broken off, or another program removed it.
func (r *Registry) leaveIfGone(ctx context.Context, repo oci.Repository) error {
	exists, err := r.RepositoryExists(ctx, repo)
	if err != nil || exists {
		return err
	}
	rec, err := r.records.Get(ctx, indexKey(repo.String()))
	if errors.Is(err, storage.ErrNotFound) || err == nil && r.facts.now().Sub(rec.ModTime) < reindexGrace {
		return nil
	}
	if err != nil {
		return err
	}
	return r.deleting(ctx, func() error { return r.leave(ctx, repo) })
}

// leave takes a repository out of the index, unless somebody pushes to it: that
// push has entered it before its link, and again after it if it saw this
// deletion. The caller is in deleting.
func (r *Registry) leave(ctx context.Context, repo oci.Repository) error {
	if !r.facts.on() {
		return nil
	}
	if err := r.records.Delete(ctx, indexKey(repo.String()), storage.Any); err != nil {
		return err
	}
	exists, err := r.RepositoryExists(ctx, repo)
	if err != nil || !exists {
		return err
	}
	return r.enter(ctx, repo, store)
}
