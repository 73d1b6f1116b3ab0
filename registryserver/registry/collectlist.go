package registry

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// repoState is what a listing shows of a repository.
type repoState struct {
	repo      oci.Repository
	layers    []link                   // in the order of their digests, as they are listed
	revisions map[oci.Digest]time.Time // under all digests that they were pushed by
	tags      []tagState
	referrers []referrer
	uploads   map[string]*foreignUpload
	alias     map[oci.Digest]oci.Digest // of other algorithms, to the canonical digests
	// candidates are the manifests, by canonical digest, that the next run may
	// delete.
	candidates map[oci.Digest]bool
	retention  *repoRetention // once it was asked for
}

func newRepoState(repo oci.Repository) *repoState {
	return &repoState{repo: repo, revisions: map[oci.Digest]time.Time{}, alias: map[oci.Digest]oci.Digest{}}
}

// link is a record that is named for a digest: of that and of where it was found
// its key can be told, which there is no memory for.
type link struct {
	digest  oci.Digest
	modTime time.Time
}

// tagState is a tag. Of what it points at the listing says nothing.
type tagState struct {
	tag     oci.Tag
	modTime time.Time
	history []link
}

type referrer struct {
	link
	subject oci.Digest
}

// foreignUpload is an upload of CNCF distribution.
type foreignUpload struct {
	keys   []string
	newest time.Time
}

// canonical is the digest that the content of d lies under.
func (rs *repoState) canonical(d oci.Digest) oci.Digest {
	if canonical, ok := rs.alias[d]; ok {
		return canonical
	}
	return d
}

func (rs *repoState) hasLayer(d oci.Digest) bool {
	_, ok := slices.BinarySearchFunc(rs.layers, d, func(l link, d oci.Digest) int { return compareDigests(l.digest, d) })
	return ok
}

const (
	hexDigits  = "0123456789abcdef"
	nameStarts = "0123456789abcdefghijklmnopqrstuvwxyz"
)

// eachShard lists what begins with each of the starts, several at once, and passes
// all that is found to do, one at a time.
func eachShard[T any](ctx context.Context, atOnce int, starts string, listing func(context.Context, string) iter.Seq2[T, error], do func(T) error) error {
	if atOnce == 1 {
		starts = ""
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	one := func(start string) func() error {
		return func() error {
			for found, err := range listing(ctx, start) {
				if err != nil {
					return err
				}
				mu.Lock()
				err = do(found)
				mu.Unlock()
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	if starts == "" {
		return one("")()
	}
	for i := range len(starts) {
		group.Go(one(starts[i : i+1]))
	}
	return group.Wait()
}

// list sets repos to what a listing shows now.
func (c *collector) list(ctx context.Context) error {
	var err error
	c.repos, err = c.listFor(ctx, nil)
	c.report.Repositories = len(c.repos)
	return err
}

// listFor returns what a listing shows now. With wanted it is one of few: of
// manifests, and of those layers that are wanted.
func (c *collector) listFor(ctx context.Context, wanted func(oci.Repository, link) bool) ([]*repoState, error) {
	found := map[oci.Repository]*repoState{}
	done := 0
	entries := func(ctx context.Context, start string) iter.Seq2[storage.Entry, error] {
		return c.store.Entries(ctx, repositoriesDir+"/"+start)
	}
	err := eachShard(ctx, c.o.Concurrency, nameStarts, entries, func(e storage.Entry) error {
		if done++; done%1000 == 0 {
			c.o.Progress("list the repositories", done, 0)
		}
		c.place(found, e, wanted)
		return nil
	})
	if err != nil {
		return nil, err
	}
	repos := slices.SortedFunc(maps.Values(found), func(a, b *repoState) int { return cmp.Compare(a.repo.String(), b.repo.String()) })
	if err := c.checkForeign(repos); err != nil {
		return nil, err
	}
	for _, rs := range repos {
		if err := c.readAliasesOf(ctx, rs); err != nil {
			return nil, err
		}
	}
	return repos, nil
}

// place takes an entry to its repository. What is not of the layout is left
// alone.
func (c *collector) place(found map[oci.Repository]*repoState, e storage.Entry, wanted func(oci.Repository, link) bool) {
	rest := strings.TrimPrefix(e.Key, repositoriesDir+"/")
	name, rest, ok := strings.Cut(rest, "/_")
	if !ok {
		return
	}
	repo, err := oci.ParseRepository(name)
	if err != nil {
		return
	}
	rs := found[repo]
	if rs == nil {
		rs = newRepoState(repo)
		found[repo] = rs
	}
	rs.place(e, strings.Split(rest, "/"), wanted)
}

func (rs *repoState) place(e storage.Entry, parts []string, wanted func(oci.Repository, link) bool) {
	l := link{modTime: e.ModTime}
	named := func(parts []string, last string) bool {
		if len(parts) != 3 || parts[2] != last {
			return false
		}
		var err error
		l.digest, err = oci.ParseDigest(parts[0] + ":" + parts[1])
		return err == nil
	}
	switch {
	case parts[0] == "layers" && named(parts[1:], "link"):
		rs.addAlias(l.digest)
		if wanted == nil || wanted(rs.repo, l) {
			rs.layers = append(rs.layers, l)
		}
	case parts[0] == "manifests" && len(parts) > 1 && parts[1] == "revisions" && named(parts[2:], "link"):
		rs.revisions[l.digest] = l.modTime
		rs.addAlias(l.digest)
	case parts[0] == "uploads" && len(parts) > 2:
		rs.placeUpload(e, parts[1])
	case wanted != nil:
	case parts[0] == "manifests" && len(parts) > 3 && parts[1] == "tags":
		rs.placeTag(e, parts[2], parts[3:], named, &l)
	case parts[0] == "referrers" && len(parts) == 6 && named(parts[3:], "descriptor"):
		if subject, err := oci.ParseDigest(parts[1] + ":" + parts[2]); err == nil {
			rs.referrers = append(rs.referrers, referrer{l, subject})
		}
	}
}

func (rs *repoState) placeTag(e storage.Entry, name string, parts []string, named func([]string, string) bool, l *link) {
	tag, err := oci.ParseTag(name)
	if err != nil {
		return
	}
	i := len(rs.tags) - 1 // a listing has all of a tag together
	if i < 0 || rs.tags[i].tag != tag {
		rs.tags = append(rs.tags, tagState{tag: tag})
		i++
	}
	switch {
	case len(parts) == 2 && parts[0] == "current" && parts[1] == "link":
		rs.tags[i].modTime = e.ModTime
	case parts[0] == "index" && named(parts[1:], "link"):
		rs.tags[i].history = append(rs.tags[i].history, *l)
	}
}

func (rs *repoState) placeUpload(e storage.Entry, id string) {
	if rs.uploads == nil {
		rs.uploads = map[string]*foreignUpload{}
	}
	up := rs.uploads[id]
	if up == nil {
		up = &foreignUpload{}
		rs.uploads[id] = up
	}
	up.keys = append(up.keys, e.Key)
	if e.ModTime.After(up.newest) {
		up.newest = e.ModTime
	}
}

// addAlias notes a digest whose link has to be read.
func (rs *repoState) addAlias(d oci.Digest) {
	if d.Algorithm() != oci.Canonical {
		rs.alias[d] = oci.Digest{}
	}
}

// readAliasesOf reads what the links of other algorithms lead to.
func (c *collector) readAliasesOf(ctx context.Context, rs *repoState) error {
	for _, d := range slices.SortedFunc(maps.Keys(rs.alias), compareDigests) {
		canonical, _, err := c.r.readLink(ctx, layerLink(rs.repo, d))
		if errors.Is(err, storage.ErrNotFound) {
			canonical, _, err = c.r.readLink(ctx, revisionLink(rs.repo, d))
		}
		switch {
		case errors.Is(err, storage.ErrNotFound):
			delete(rs.alias, d)
		case err != nil:
			return err
		default:
			rs.alias[d] = canonical
		}
	}
	return nil
}

// historyOf returns the links of the history of the repository's tags that are
// condemned.
func (c *collector) historyOf(ctx context.Context, rs *repoState) ([]item, error) {
	var condemns []item
	for _, t := range rs.tags {
		if c.o.History <= 0 || len(t.history) <= c.o.History {
			continue
		}
		now, err := c.r.ResolveTag(ctx, rs.repo, t.tag)
		if err != nil && oci.ErrorCode(err) != oci.CodeManifestUnknown {
			return nil, err
		}
		links := slices.Clone(t.history)
		slices.SortFunc(links, func(a, b link) int { return b.modTime.Compare(a.modTime) })
		for _, l := range links[c.o.History:] {
			if l.digest == now || c.young(l.modTime) {
				continue
			}
			i := item{Name: "history " + rs.repo.String() + " " + t.tag.String() + " " + l.digest.String(), Keys: []string{tagIndexLink(rs.repo, t.tag, l.digest)}, modTime: l.modTime, Why: whyHistory}
			if c.consider(Unused{Kind: "history", Repository: rs.repo.String(), Reference: t.tag.String(), Reason: whyHistory}, i, 0) {
				condemns = append(condemns, i)
			}
		}
	}
	return condemns, nil
}
