package registry

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// ResolveTag returns the digest that the tag points at. MANIFEST_UNKNOWN.
func (r *Registry) ResolveTag(ctx context.Context, repo oci.Repository, tag oci.Tag) (oci.Digest, error) {
	d, _, err := r.readLink(ctx, tagCurrent(repo, tag))
	if errors.Is(err, storage.ErrNotFound) {
		return d, manifestUnknown(repo, tag.String(), err)
	}
	return d, err
}

// TaggedAt is ResolveTag with when the tag was last pushed, by the clock of the
// store. MANIFEST_UNKNOWN.
func (r *Registry) TaggedAt(ctx context.Context, repo oci.Repository, tag oci.Tag) (oci.Digest, time.Time, error) {
	rec, err := r.records.Get(ctx, tagCurrent(repo, tag))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return oci.Digest{}, time.Time{}, err
	}
	d, damaged := linked(rec)
	if err = errors.Join(err, damaged); err != nil {
		return oci.Digest{}, time.Time{}, manifestUnknown(repo, tag.String(), err)
	}
	return d, rec.ModTime, nil
}

// Tags yields the repository's tags in byte order, after the given one.
// NAME_UNKNOWN if there is no such repository.
func (r *Registry) Tags(ctx context.Context, repo oci.Repository, after string) iter.Seq2[oci.Tag, error] {
	return func(yield func(oci.Tag, error) bool) {
		found := false
		for name, err := range r.records.Children(ctx, tagsDir(repo), after) {
			found = true
			if err != nil {
				yield(oci.Tag{}, err)
				return
			}
			tag, err := oci.ParseTag(name)
			if err != nil {
				continue // not a tag: something foreign in the folder
			}
			if !yield(tag, nil) {
				return
			}
		}
		if found {
			return
		}
		if err := r.mustExist(ctx, repo); err != nil {
			yield(oci.Tag{}, err)
		}
	}
}

// readTags reads what the tags are now, for putTag, and then the rules for them,
// unless all tags point at d already. DENIED if a rule forbids that one does.
func (r *Registry) readTags(ctx context.Context, repo oci.Repository, tags []oci.Tag, d oci.Digest) ([]storage.Record, immutable, error) {
	was, rules, moves := make([]storage.Record, len(tags)), immutable{repo: repo}, false
	for i, tag := range tags {
		rec, err := r.records.Get(ctx, tagCurrent(repo, tag))
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return nil, immutable{}, err
		}
		was[i] = rec // its version is Absent where there is none
		moves = moves || string(rec.Value) != d.String()
	}
	if !moves {
		return was, rules, nil
	}
	rules, err := r.immutableTags(ctx, repo)
	for i := 0; i < len(tags) && err == nil; i++ {
		err = rules.mayPut(tags[i], d, was[i])
	}
	return was, rules, err
}

// putTag points the tag at d, if it still is as was says. If it is not, another
// push or a delete of the tag came in between: ours counts as the earlier of
// the two, whose result is what the tag shows now. So a write that stalled
// can never undo a newer one that was acknowledged. Only where the tag is
// immutable there is no earlier one: DENIED. A tag that points at d already is
// written, too: it is as old as its last push.
func (r *Registry) putTag(ctx context.Context, rules immutable, tag oci.Tag, d oci.Digest, was storage.Record) error {
	repo := rules.repo
	_, known := r.facts.link(tagIndexLink(repo, tag, d))
	known = known && string(was.Value) == d.String()
	_, err := r.records.Put(ctx, tagCurrent(repo, tag), []byte(d.String()), was.Version)
	if errors.Is(err, storage.ErrConflict) {
		// It may be our own write, done by a try whose answer was lost.
		var now storage.Record
		now, err = r.records.Get(ctx, tagCurrent(repo, tag))
		if errors.Is(err, storage.ErrNotFound) || err == nil && string(now.Value) != d.String() {
			return rules.check(tag, "overwritten", "another push of it came first; push under another tag")
		}
	}
	if err != nil || known {
		return err
	}
	return r.writeLink(ctx, tagIndexLink(repo, tag, d), d)
}

// DeleteTag removes the tag and its history; what it pointed at stays.
// MANIFEST_UNKNOWN; DENIED if the tag is immutable.
func (r *Registry) DeleteTag(ctx context.Context, repo oci.Repository, tag oci.Tag) error {
	rec, err := r.records.Get(ctx, tagCurrent(repo, tag))
	if errors.Is(err, storage.ErrNotFound) {
		return manifestUnknown(repo, tag.String(), err)
	}
	if err != nil {
		return err
	}
	rules, err := r.immutableTags(ctx, repo)
	if err == nil {
		err = rules.mayDelete(tag)
	}
	if err != nil {
		return err
	}
	return r.deleteTag(ctx, repo, tag, rec.Version)
}

// deleteTag removes the history first and the tag last, so that a crash leaves
// a whole tag. If the tag moved meanwhile, it stays: the deletion counts as the
// earlier of the two.
func (r *Registry) deleteTag(ctx context.Context, repo oci.Repository, tag oci.Tag, was storage.Version) error {
	if err := r.deleteAll(ctx, tagIndex(repo, tag)); err != nil {
		return err
	}
	err := r.records.Delete(ctx, tagCurrent(repo, tag), was)
	if errors.Is(err, storage.ErrConflict) {
		return nil
	}
	if err != nil {
		return err
	}
	// A push of the same digest may have written its history link since: alone,
	// it would show as a tag that leads nowhere.
	return r.deleteAll(ctx, tagIndex(repo, tag))
}

// taggedDigest is a tag and what it points at.
type taggedDigest struct {
	tag     oci.Tag
	digest  oci.Digest
	version storage.Version
}

// readAllTags reads what each tag of the repository points at.
func (r *Registry) readAllTags(ctx context.Context, repo oci.Repository) ([]taggedDigest, error) {
	var tags []taggedDigest
	for name, err := range r.records.Children(ctx, tagsDir(repo), "") {
		if err != nil {
			return nil, err
		}
		tag, err := oci.ParseTag(name)
		if err != nil {
			continue
		}
		d, version, err := r.readLink(ctx, tagCurrent(repo, tag))
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		tags = append(tags, taggedDigest{tag, d, version})
	}
	return tags, nil
}

// untag removes those of the tags that point at one of the digests.
func (r *Registry) untag(ctx context.Context, repo oci.Repository, tags []taggedDigest, targets []oci.Digest) error {
	for _, t := range tags {
		if !slices.Contains(targets, t.digest) {
			continue
		}
		if err := r.deleteTag(ctx, repo, t.tag, t.version); err != nil {
			return err
		}
	}
	return nil
}

// deleteAll removes every record whose key begins with prefix.
func (r *Registry) deleteAll(ctx context.Context, prefix string) error {
	var keys []string
	for key, err := range r.records.List(ctx, prefix, "") {
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	for _, key := range keys {
		if err := r.records.Delete(ctx, key, storage.Any); err != nil {
			return err
		}
	}
	return nil
}
