package registry

import (
	"context"
	"errors"
	"slices"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// immutable are the rules of a repository by which tags, once pushed, are neither
// moved nor deleted, and what they point at stays.
//
// They are read from the store for each request that could break them, so that a
// rule holds on every instance for each request that begins after it was stored.
// And they are read after the tags: a push that saw no rule has seen the tag
// before whoever was held to one, so its conditional write of the tag fails.
type immutable struct {
	repo     oci.Repository
	patterns []oci.TagPattern
}

// immutableTags reads the repository's rules as they are now.
func (r *Registry) immutableTags(ctx context.Context, repo oci.Repository) (immutable, error) {
	s, err := r.readSettings(ctx, repo)
	return immutable{repo, s.ImmutableTags}, err
}

// pattern returns the first pattern that the tag matches.
func (im immutable) pattern(tag oci.Tag) (oci.TagPattern, bool) {
	i := slices.IndexFunc(im.patterns, func(p oci.TagPattern) bool { return p.Match(tag) })
	if i < 0 {
		return oci.TagPattern{}, false
	}
	return im.patterns[i], true
}

// anyOf reports whether one of the tags is immutable.
func (im immutable) anyOf(tags []oci.Tag) bool {
	return slices.ContainsFunc(tags, func(tag oci.Tag) bool { _, ok := im.pattern(tag); return ok })
}

// mayPut returns whether the tag, which now is was, may point at d: it may if it
// does so already, or at nothing.
func (im immutable) mayPut(tag oci.Tag, d oci.Digest, was storage.Record) error {
	if now, err := linked(was); err != nil || now == d {
		return nil //nolint:nilerr // a link that is damaged points at nothing
	}
	return im.check(tag, "overwritten", "push under another tag")
}

// mayDelete returns whether the tag may be deleted.
func (im immutable) mayDelete(tag oci.Tag) error {
	return im.check(tag, "deleted", "keep it")
}

// check returns an error for a tag that is immutable. DENIED is the code that
// clients take for final: they say so instead of trying again.
func (im immutable) check(tag oci.Tag, done, instead string) error {
	p, ok := im.pattern(tag)
	if !ok {
		return nil
	}
	err := oci.Errorf(oci.CodeDenied, "tag %s of repository %s cannot be %s because the tag is immutable (pattern %s); %s, or have an admin take the pattern out of the repository's immutable_tag_patterns",
		tag, im.repo, done, p, instead)
	err.Detail = map[string]string{"repository": im.repo.String(), "tag": tag.String(), "immutable_tag_pattern": p.String()}
	return err
}

// mayDeleteManifest returns whether a manifest with the given digests may be
// deleted: not if an immutable tag points at it, or at an index that has it.
func (r *Registry) mayDeleteManifest(ctx context.Context, repo oci.Repository, tags []taggedDigest, names []oci.Digest) error {
	rules, err := r.immutableTags(ctx, repo)
	if err != nil || len(rules.patterns) == 0 {
		return err
	}
	seen := map[oci.Digest]struct{}{}
	for _, t := range tags {
		if _, ok := rules.pattern(t.tag); !ok {
			continue
		}
		holds, err := r.holds(ctx, repo, t.digest, names, seen)
		if err != nil {
			return err
		}
		if holds {
			return rules.mayDelete(t.tag)
		}
	}
	return nil
}

// expectDeletion asks mayDeleteManifest before a deletion begins, where it may say
// no: one that begins and fails costs all instances their memory for a while.
func (r *Registry) expectDeletion(ctx context.Context, repo oci.Repository, names []oci.Digest) error {
	rules, err := r.immutableTags(ctx, repo)
	if err != nil || len(rules.patterns) == 0 {
		return err
	}
	tags, err := r.readAllTags(ctx, repo)
	if err != nil {
		return err
	}
	return r.mayDeleteManifest(ctx, repo, tags, names)
}

// holds reports whether the manifest d is one of the names, or an index with one
// of them in it, however deep. What is in seen was looked at before.
func (r *Registry) holds(ctx context.Context, repo oci.Repository, d oci.Digest, names []oci.Digest, seen map[oci.Digest]struct{}) (bool, error) {
	for todo := []oci.Digest{d}; len(todo) > 0; {
		d, todo = todo[0], todo[1:]
		if slices.Contains(names, d) {
			return true, nil
		}
		if _, ok := seen[d]; ok {
			continue
		}
		seen[d] = struct{}{}
		stored, err := r.Manifest(ctx, repo, oci.Reference{Digest: d})
		if oci.ErrorCode(err) == oci.CodeManifestUnknown {
			continue
		}
		if err != nil {
			return false, err
		}
		m, err := oci.ParseManifest("", stored.Content)
		if err != nil {
			continue // foreign: it leads nowhere that we know of
		}
		for _, child := range m.Manifests {
			todo = append(todo, child.Digest)
		}
	}
	return false, nil
}

// mayDeleteBlob returns whether blobs of the repository may be deleted. Which of
// them immutable tags need is not looked up: those that nothing needs go by a
// garbage collection.
func (r *Registry) mayDeleteBlob(ctx context.Context, repo oci.Repository) error {
	rules, err := r.immutableTags(ctx, repo)
	if err != nil || len(rules.patterns) == 0 {
		return err
	}
	return oci.Errorf(oci.CodeDenied, "blobs of repository %s cannot be deleted, because it has immutable tags, whose images may need them; garbage collection removes those that nothing needs", repo)
}

// mayDeleteAll returns whether all tags of the repository may be deleted.
func (r *Registry) mayDeleteAll(ctx context.Context, repo oci.Repository, patterns []oci.TagPattern) error {
	if len(patterns) == 0 {
		return nil
	}
	rules := immutable{repo, patterns}
	for tag, err := range r.Tags(ctx, repo, "") {
		if err == nil {
			err = rules.mayDelete(tag)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteTags deletes all tags of the repository, unless one is immutable.
func (r *Registry) deleteTags(ctx context.Context, repo oci.Repository, patterns []oci.TagPattern) error {
	rules := immutable{repo, patterns}
	for tag, err := range r.Tags(ctx, repo, "") {
		if err == nil {
			err = rules.mayDelete(tag)
		}
		if err != nil {
			return err
		}
		rec, err := r.records.Get(ctx, tagCurrent(repo, tag))
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err == nil {
			err = r.deleteTag(ctx, repo, tag, rec.Version)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
