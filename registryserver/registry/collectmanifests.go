package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// readManifests reads what the manifests of all repositories lead to, unless an
// earlier run has.
func (c *collector) readManifests(ctx context.Context) error { return c.readManifestsOf(ctx, c.repos) }

func (c *collector) readManifestsOf(ctx context.Context, repos []*repoState) error {
	todo := map[oci.Digest]struct{}{}
	for _, rs := range repos {
		for d := range rs.revisions {
			canonical := rs.canonical(d)
			if _, ok := c.marks.get(canonical); !ok && !canonical.IsZero() {
				todo[canonical] = struct{}{}
			}
		}
	}
	var mu sync.Mutex
	done := 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.o.Concurrency)
	for _, d := range slices.SortedFunc(maps.Keys(todo), compareDigests) {
		group.Go(func() error {
			content, err := c.r.readManifest(ctx, d)
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
			if err == nil {
				c.marks.add(d, refsOf(content))
			}
			mu.Lock()
			defer mu.Unlock()
			if done++; done%100 == 0 || done == len(todo) {
				c.o.Progress("read the manifests", done, len(todo))
			}
			return nil
		})
	}
	return group.Wait()
}

func compareDigests(a, b oci.Digest) int { return strings.Compare(a.String(), b.String()) }

// manifestNames returns the digests of the repository's manifests by their
// canonical one.
func (rs *repoState) manifestNames() map[oci.Digest][]oci.Digest {
	names := map[oci.Digest][]oci.Digest{}
	for d := range rs.revisions {
		names[rs.canonical(d)] = append(names[rs.canonical(d)], d)
	}
	for _, all := range names {
		slices.SortFunc(all, compareDigests)
	}
	return names
}

// removable returns, by canonical digest, the manifests of a repository that are
// to go, and why. It asks for each tag what it points at.
func (c *collector) removable(ctx context.Context, rs *repoState, names map[oci.Digest][]oci.Digest) (map[oci.Digest]string, error) {
	goes := map[oci.Digest]string{}
	for canonical, all := range names {
		m, read := c.marks.get(canonical)
		if !read || slices.ContainsFunc(all, func(d oci.Digest) bool { return c.young(rs.revisions[d]) }) {
			continue
		}
		_, subject := names[rs.canonical(m.subject)]
		evicted, used := c.ofCache(rs, canonical, all)
		switch {
		case evicted != "":
			goes[canonical] = evicted
		case c.o.Untagged && !used:
			goes[canonical] = whyUntagged
		case c.o.Dangling && !used && !m.subject.IsZero() && !subject:
			goes[canonical] = whyDangling
		case !used && c.lacks(rs, m):
			goes[canonical] = whyLacking
		default:
			if d := c.untaggedRule(rs, all); d.Delete {
				goes[canonical] = d.Reason
			}
		}
	}
	if len(goes) == 0 {
		return nil, nil
	}
	keep, err := c.taggedIn(ctx, rs)
	if err != nil {
		return nil, err
	}
	for canonical := range names {
		if _, ok := goes[canonical]; !ok {
			keep = append(keep, canonical)
		}
	}
	referrers := map[oci.Digest][]oci.Digest{}
	for canonical := range names {
		if m, ok := c.marks.get(canonical); ok && !m.subject.IsZero() {
			subject := rs.canonical(m.subject)
			referrers[subject] = append(referrers[subject], canonical)
		}
	}
	// What is kept keeps its children and its referrers.
	for seen := map[oci.Digest]bool{}; len(keep) > 0; {
		d := keep[len(keep)-1]
		keep = keep[:len(keep)-1]
		if _, there := names[d]; seen[d] || !there {
			continue
		}
		seen[d] = true
		delete(goes, d)
		m, _ := c.marks.get(d)
		for _, child := range m.children {
			keep = append(keep, rs.canonical(child))
		}
		keep = append(keep, referrers[d]...)
	}
	return goes, nil
}

// lacks reports whether the repository does not have a layer that a manifest names,
// so that nobody can pull the image: a push that was refused in the end has left
// the manifest. What an index names may lack by configuration, so that does not
// count.
func (c *collector) lacks(rs *repoState, m manifestRefs) bool {
	return !c.r.rules.Off && slices.ContainsFunc(m.blobs, func(d oci.Digest) bool { return !rs.hasLayer(d) })
}

// taggedIn returns the canonical digests that the repository's tags point at.
func (c *collector) taggedIn(ctx context.Context, rs *repoState) ([]oci.Digest, error) {
	digests := make([]oci.Digest, len(rs.tags))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.o.Concurrency)
	for i, t := range rs.tags {
		group.Go(func() error {
			d, err := c.r.ResolveTag(ctx, rs.repo, t.tag)
			if oci.ErrorCode(err) == oci.CodeManifestUnknown {
				return nil
			}
			digests[i] = rs.canonical(d)
			return err
		})
	}
	return digests, group.Wait()
}

// manifestGarbage returns a repository's manifests, and entries of referrers, that
// are to go, as items.
func (c *collector) manifestGarbage(ctx context.Context, rs *repoState) ([]item, error) {
	names := rs.manifestNames()
	goes, err := c.removable(ctx, rs, names)
	if err != nil {
		return nil, err
	}
	histories := map[oci.Digest][]oci.Tag{} // of tags that have pointed at it
	if len(goes) > 0 {
		for _, t := range rs.tags {
			for _, l := range t.history {
				histories[l.digest] = append(histories[l.digest], t.tag)
			}
		}
	}
	var items []item
	for canonical, why := range goes {
		i := item{Name: manifestItem(rs.repo, canonical), Why: why}
		m, _ := c.marks.get(canonical)
		for _, d := range names[canonical] {
			if !m.subject.IsZero() {
				i.Keys = append(i.Keys, referrerKey(rs.repo, m.subject, d))
			}
			for _, tag := range histories[d] {
				i.Keys = append(i.Keys, tagIndexLink(rs.repo, tag, d))
			}
		}
		for _, d := range names[canonical] {
			i.Keys = append(i.Keys, revisionLink(rs.repo, d))
			if t := rs.revisions[d]; t.After(i.modTime) {
				i.modTime = t
			}
		}
		items = append(items, i)
	}
	for _, l := range rs.referrers {
		if _, there := rs.revisions[l.digest]; !there && !c.young(l.modTime) {
			// Whoever pushes the manifest rescues what has its name.
			items = append(items, item{Name: manifestItem(rs.repo, l.digest), Keys: []string{referrerKey(rs.repo, l.subject, l.digest)}, Why: whyReferrer, modTime: l.modTime})
		}
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.Name, b.Name) })
	return items, nil
}

// collectManifests deletes manifests, so that nothing of what they need is needed
// for them any more.
func (c *collector) collectManifests(ctx context.Context) error {
	var condemns []item
	affected := map[oci.Repository]*repoState{}
	for n, rs := range c.repos {
		c.o.Progress("look for manifests that nothing leads to", n+1, len(c.repos))
		rs.candidates = map[oci.Digest]bool{}
		items, err := c.manifestGarbage(ctx, rs)
		if err != nil {
			return err
		}
		for _, i := range items {
			d, err := oci.ParseDigest(i.Name[strings.LastIndexByte(i.Name, ' ')+1:])
			if err != nil {
				return err
			}
			if c.consider(Unused{Kind: "manifest", Repository: rs.repo.String(), Reference: d.String(), Reason: i.Why}, i, 0) {
				condemns = append(condemns, i)
				affected[rs.repo] = rs
			} else {
				rs.candidates[d] = true
			}
		}
	}
	recheck := func(ctx context.Context, items []item) (map[string]bool, error) {
		return c.recheckManifests(ctx, affected, items)
	}
	if err := c.deleteItems(ctx, condemns, recheck, true); err != nil {
		return err
	}
	for _, rs := range affected {
		if err := c.forget(ctx, rs); err != nil {
			return err
		}
	}
	return nil
}

// forget takes from what was listed of a repository the manifests that were
// deleted: what stays counts.
func (c *collector) forget(ctx context.Context, rs *repoState) error {
	if c.o.DryRun {
		return nil
	}
	now, err := c.listOne(ctx, rs.repo)
	if err == nil {
		maps.DeleteFunc(rs.revisions, func(d oci.Digest, _ time.Time) bool { _, there := now.revisions[d]; return !there })
	}
	return err
}

// listOne lists a repository.
func (c *collector) listOne(ctx context.Context, repo oci.Repository) (*repoState, error) {
	found := map[oci.Repository]*repoState{repo: newRepoState(repo)}
	for e, err := range c.store.Entries(ctx, repositoryDir(repo)+"/_") {
		if err != nil {
			return nil, err
		}
		c.place(found, e, nil)
	}
	rs := found[repo]
	return rs, c.readAliasesOf(ctx, rs)
}

// recheckManifests looks, after items were published, at their repositories again,
// and returns the names of those that are needed after all.
func (c *collector) recheckManifests(ctx context.Context, affected map[oci.Repository]*repoState, items []item) (map[string]bool, error) {
	if c.r.breakRule(skipSecondMark) {
		return nil, nil
	}
	goes := map[string]item{}
	for repo := range affected {
		rs, err := c.listOne(ctx, repo)
		if err != nil {
			return nil, err
		}
		if err := c.readManifestsOf(ctx, []*repoState{rs}); err != nil {
			return nil, err
		}
		found, err := c.manifestGarbage(ctx, rs)
		if err != nil {
			return nil, err
		}
		for _, i := range found {
			goes[i.Name] = i
		}
	}
	keep := map[string]bool{}
	for _, i := range items {
		now, ok := goes[i.Name]
		keep[i.Name] = !ok || !now.modTime.Equal(i.modTime)
	}
	return keep, nil
}

// collectUploads sweeps uploads that nobody goes on with: ours, and those of CNCF
// distribution.
func (c *collector) collectUploads(ctx context.Context) error {
	if c.o.UploadAge <= 0 {
		return nil
	}
	before := c.now.Add(-c.o.UploadAge)
	for _, rs := range c.repos {
		for id, up := range rs.uploads {
			if !up.newest.Before(before) {
				continue
			}
			if !c.o.DryRun {
				for _, key := range up.keys {
					if err := c.r.records.Delete(ctx, key, storage.Any); err != nil {
						return err
					}
				}
			}
			c.found(Unused{Kind: "upload", Repository: rs.repo.String(), Reference: id, Reason: whyUpload})
		}
	}
	if c.o.DryRun {
		return nil
	}
	swept, err := c.r.blobs.SweepUploads(ctx, before)
	if foreign, ok := storage.As[storage.ForeignUploads](c.r.blobs); ok && err == nil {
		var more int
		more, err = foreign.SweepForeignUploads(ctx, before)
		swept += more
	}
	for range swept {
		c.found(Unused{Kind: "upload", Reason: whyUpload})
	}
	return err
}

// checkForeign fails if another program has pushed since the storage was marked as
// ours alone: nothing holds it to the protocol.
func (c *collector) checkForeign(repos []*repoState) error {
	for _, rs := range repos {
		for id, up := range rs.uploads {
			if up.newest.After(c.mark.Since) {
				c.r.log.Warn("another program uploads to this storage, though it is marked as exclusive", "repository", rs.repo.String(), "upload", id, "at", up.newest, "marked", c.mark.Since)
				return oci.Errorf(oci.CodeConflict, "another program has begun an upload (%s in %s, at %s) since the storage was marked as exclusive: nothing is deleted. Stop that program, then mark the storage again (registryserver exclusive)", id, rs.repo, up.newest.UTC().Format(time.RFC3339))
			}
		}
	}
	return nil
}

var errLeaseLost = fmt.Errorf("another collector has taken over: %w", storage.ErrConflict)
