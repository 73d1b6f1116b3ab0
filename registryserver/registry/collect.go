package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// CollectOptions says what a garbage collection takes for garbage.
type CollectOptions struct {
	// DryRun deletes and writes nothing.
	DryRun bool
	// Untagged deletes manifests that no tag points at, but not what a kept index
	// lists, nor what refers to a kept manifest.
	Untagged bool
	// Dangling deletes manifests without a tag whose subject is gone.
	Dangling bool
	// Grace is for how long, by the clock of the store, nothing that was written is
	// touched. The default is DefaultGrace; NoGrace is none.
	Grace time.Duration
	// History is how many digests are kept of what each tag has pointed at; 0 for all.
	History int
	// UploadAge is how long nobody has written to an upload that is abandoned; 0
	// leaves uploads alone.
	UploadAge time.Duration
	// Concurrency is how much is asked of the store at once; the default is 16.
	Concurrency int
	// Found, if not nil, is told of each thing that is garbage. It is called by one
	// goroutine at a time.
	Found func(Unused)
	// Progress, if not nil, is told how far it is: what is done, and of how many,
	// which is 0 if nobody knows. It is called by one goroutine at a time.
	Progress func(step string, done, of int)
	// Retention deletes the tags and untagged manifests that retention policies say
	// are to go.
	Retention bool
	// Caches are the pull-through caches, all of them: of those with a bound, the
	// images that were used longest ago are evicted.
	Caches []CollectedCache
	// Trigger says who wanted it, for the report: "schedule", "api", "command".
	Trigger string
	// ID names the collection, also in its report; empty for a new one.
	ID string
}

// DefaultGrace keeps what an honest push that takes long has written. Nothing
// else rests on it.
const DefaultGrace = 24 * time.Hour

// NoGrace is a Grace of nothing.
const NoGrace time.Duration = -1

func (o CollectOptions) withDefaults() CollectOptions {
	if o.Grace == 0 {
		o.Grace = DefaultGrace
	}
	o.Grace = max(o.Grace, 0)
	if o.Concurrency <= 0 {
		o.Concurrency = 16
	}
	if o.Found == nil {
		o.Found = func(Unused) {}
	}
	if o.Progress == nil {
		o.Progress = func(string, int, int) {}
	}
	return o
}

// Collect removes garbage, while this and other instances go on pushing and
// pulling. What it finds for the first time it only remembers: it is deleted by
// the next run that finds it, too. It goes on with what a run before it has left
// half done. CONFLICT if another runs, or the storage is not marked as exclusive.
//
// docs/architecture.md has the protocol, and why no acknowledged push loses a byte.
func (r *Registry) Collect(ctx context.Context, o CollectOptions) (CollectReport, error) {
	o = o.withDefaults()
	c := &collector{r: r, o: o, started: r.facts.now().UTC(), report: newCollectReport(o)}
	var ok bool
	if c.store, ok = storage.As[storage.Collectible](r.blobs); !ok {
		return c.report, errors.New("the garbage of this store cannot be collected")
	}
	ctx = storage.Background(ctx)
	mark, err := r.Exclusive(ctx)
	if err != nil {
		return c.report, err
	}
	if !mark.Exclusive {
		return c.report, notExclusive()
	}
	c.mark = mark
	if o.DryRun {
		err = c.run(ctx)
		return c.finish(err), err
	}
	lease, err := r.takeLease(ctx, c.store, o.ID)
	if err != nil {
		return c.report, err
	}
	c.report.ID = lease.ID
	running, stop := lease.keep(ctx)
	err = c.run(running)
	if cause := context.Cause(running); err != nil && errors.Is(cause, errLeaseLost) {
		err = cause
	}
	stop()
	report := c.finish(err)
	ctx = context.WithoutCancel(ctx)
	return report, errors.Join(err, r.keepReport(ctx, report), lease.release(ctx))
}

// collector is one run of Collect.
type collector struct {
	r       *Registry
	o       CollectOptions
	store   storage.Collectible
	mark    ExclusiveMark
	started time.Time
	report  CollectReport

	now    time.Time // by the clock of the store, when the run began
	known  candidates
	next   candidates
	marks  *marks
	repos  []*repoState
	needed map[oci.Digest]need // by canonical digest

	retention retentionState
	cached    cachedState
}

// need says what of a blob's content is made use of.
type need uint8

const (
	// byKept: by what stays.
	byKept need = 1 << iota
	// byCandidate: only by what may be deleted in the next run.
	byCandidate
)

// Without a grace nothing is: a store's clock may lag behind what it says of an
// object that was just written.
func (c *collector) young(t time.Time) bool { return c.o.Grace > 0 && c.now.Sub(t) < c.o.Grace }

func (c *collector) run(ctx context.Context) error {
	var err error
	if c.now, err = c.store.StoreTime(ctx); err != nil {
		return err
	}
	if !c.o.DryRun {
		if err := c.recoverBatches(ctx); err != nil {
			return fmt.Errorf("go on with what another collection left: %w", err)
		}
	}
	var stored int
	if c.known, stored, err = c.r.readCandidates(ctx); err != nil {
		return err
	}
	if c.marks, err = c.r.readMarks(ctx); err != nil {
		return err
	}
	c.next = candidates{}
	if err := c.list(ctx); err != nil {
		return fmt.Errorf("list the repositories: %w", err)
	}
	if err := c.retain(ctx); err != nil {
		return fmt.Errorf("apply retention policies: %w", err)
	}
	if err := c.readManifests(ctx); err != nil {
		return fmt.Errorf("read the manifests: %w", err)
	}
	if err := c.evictImages(ctx); err != nil {
		return fmt.Errorf("hold pull-through caches to their bounds: %w", err)
	}
	if err := c.collectManifests(ctx); err != nil {
		return fmt.Errorf("collect manifests: %w", err)
	}
	if err := c.collectContent(ctx); err != nil {
		return fmt.Errorf("collect layers and blobs: %w", err)
	}
	if err := c.collectUploads(ctx); err != nil {
		return fmt.Errorf("collect uploads: %w", err)
	}
	if c.o.DryRun {
		return nil
	}
	if err := c.r.writeCandidates(ctx, c.next, stored); err != nil {
		return err
	}
	return c.r.writeMarks(ctx, c.marks)
}

// consider takes note of garbage: it is condemned if the last run found it, too,
// as it is now, and else a candidate for the next.
func (c *collector) consider(g Unused, i item, when need) (condemns bool) {
	was, ok := c.known[i.Name]
	condemns = ok && was.Equal(i.modTime.Truncate(time.Second)) && when == 0
	g.Bytes = i.Size
	if g.Next = !condemns; g.Next {
		c.next[i.Name] = i.modTime.Truncate(time.Second)
		c.found(g)
	}
	return condemns
}

func (c *collector) found(g Unused) {
	c.report.add(g)
	c.o.Found(g)
}

// collectContent condemns the layer links that no manifest of their repository
// needs, and the content that nothing does.
func (c *collector) collectContent(ctx context.Context) error {
	c.needed = map[oci.Digest]need{}
	var condemns []item
	for _, rs := range c.repos {
		found, err := c.layersOf(ctx, rs)
		if err != nil {
			return err
		}
		condemns = append(condemns, found...)
	}
	blobs, err := c.unneeded(ctx)
	if err != nil {
		return err
	}
	condemns = append(condemns, blobs...)
	return c.deleteItems(ctx, condemns, c.secondMark, false)
}

// layersOf adds what the manifests of a repository need, and returns those of its
// layer links and of its tags' history that are condemned.
func (c *collector) layersOf(ctx context.Context, rs *repoState) ([]item, error) {
	layers := map[oci.Digest]need{}
	use := func(d oci.Digest, by need) {
		layers[d] |= by
		c.needed[rs.canonical(d)] |= by
		if canonical := rs.canonical(d); canonical != d {
			layers[canonical] |= by
		}
	}
	for d := range rs.revisions {
		by := byKept
		if rs.candidates[rs.canonical(d)] {
			by = byCandidate
		}
		c.needed[rs.canonical(d)] |= by
		m, ok := c.marks.get(rs.canonical(d))
		if !ok {
			continue
		}
		for _, child := range m.children {
			c.needed[rs.canonical(child)] |= by
		}
		for b := range m.layers() {
			use(b, by)
		}
	}
	var condemns []item
	for _, l := range rs.layers {
		if layers[l.digest]&byKept != 0 {
			continue
		}
		canonical := rs.canonical(l.digest)
		if c.young(l.modTime) {
			c.needed[canonical] |= byKept
			continue
		}
		i := item{Name: layerItem(rs.repo, l.digest), Keys: []string{layerLink(rs.repo, l.digest)}, modTime: l.modTime, Why: whyLayer}
		if c.consider(Unused{Kind: "layer", Repository: rs.repo.String(), Reference: l.digest.String(), Reason: whyLayer}, i, layers[l.digest]) {
			condemns = append(condemns, i)
		} else {
			c.needed[canonical] |= byCandidate
		}
	}
	history, err := c.historyOf(ctx, rs)
	return append(condemns, history...), err
}

// The reasons of reports.
const (
	whyLayer    = "no manifest of the repository needs the layer"
	whyBlob     = "nothing needs the content"
	whyUntagged = "no tag and no kept manifest leads to the manifest"
	whyLacking  = "no tag leads to the manifest, and a layer that it names is not there"
	whyDangling = "the subject of the manifest is gone"
	whyReferrer = "the manifest that is listed as a referrer is gone"
	whyHistory  = "the tag has a longer history than is kept"
	whyUpload   = "nobody goes on with the upload"
	whyTag      = "the tag was to be deleted"
)

// unneeded lists the content, and returns what of it is condemned.
func (c *collector) unneeded(ctx context.Context) ([]item, error) {
	var condemns []item
	done := 0
	err := eachShard(ctx, c.o.Concurrency, hexDigits, c.store.BlobsBelow, func(info storage.BlobInfo) error {
		if done++; done%1000 == 0 {
			c.o.Progress("list the content", done, 0)
		}
		c.report.Blobs++
		c.report.Bytes += info.Size
		by := c.needed[info.Digest]
		if by&byKept != 0 || c.young(info.ModTime) {
			return nil
		}
		i := item{Name: blobItem(info.Digest), Size: info.Size, modTime: info.ModTime, Why: whyBlob}
		if c.consider(Unused{Kind: "blob", Reference: info.Digest.String(), Reason: whyBlob}, i, by) {
			condemns = append(condemns, i)
		}
		return nil
	})
	return condemns, err
}

// secondMark lists the links again, after items were published, and returns the
// names of those that are needed after all.
func (c *collector) secondMark(ctx context.Context, items []item) (map[string]bool, error) {
	if c.r.breakRule(skipSecondMark) {
		return nil, nil
	}
	was := map[string]item{}
	for _, i := range items {
		was[i.Name] = i
	}
	known := map[oci.Repository]*repoState{}
	for _, rs := range c.repos {
		known[rs.repo] = rs
	}
	now, err := c.listFor(ctx, func(repo oci.Repository, l link) bool {
		if old := known[repo]; old == nil || !old.hasLayer(l.digest) {
			return true
		}
		_, ok := was[layerItem(repo, l.digest)]
		return ok
	})
	if err != nil {
		return nil, err
	}
	fresh := make([]*repoState, 0, len(now)) // with the revisions that are new
	keep := map[string]bool{}
	for _, rs := range now {
		old := known[rs.repo]
		for _, l := range rs.layers {
			i, ok := was[layerItem(rs.repo, l.digest)]
			if ok && i.modTime.Equal(l.modTime) {
				continue
			}
			// Written since: an honest push that has not come to its manifest.
			keep[layerItem(rs.repo, l.digest)] = true
			keep[blobItem(rs.canonical(l.digest))] = true
		}
		newer := &repoState{repo: rs.repo, alias: rs.alias, revisions: maps.Clone(rs.revisions)}
		if old != nil {
			maps.DeleteFunc(newer.revisions, func(d oci.Digest, _ time.Time) bool { _, ok := old.revisions[d]; return ok })
		}
		fresh = append(fresh, newer)
	}
	if err := c.readManifestsOf(ctx, fresh); err != nil {
		return nil, err
	}
	for _, rs := range fresh {
		for d := range rs.revisions {
			keep[blobItem(rs.canonical(d))] = true
			m, ok := c.marks.get(rs.canonical(d))
			if !ok {
				continue
			}
			for _, child := range m.children {
				keep[blobItem(rs.canonical(child))] = true
			}
			for b := range m.layers() {
				canonical := rs.canonical(b)
				keep[blobItem(canonical)] = true
				keep[layerItem(rs.repo, b)], keep[layerItem(rs.repo, canonical)] = true, true
			}
		}
	}
	return keep, nil
}
