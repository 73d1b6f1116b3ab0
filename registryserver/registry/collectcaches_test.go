package registry_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

var (
	hubA, hubB = oci.MustRepository("hub/a"), oci.MustRepository("hub/b")
	notHub     = oci.MustRepository("hubs/a")
)

// cached stores a manifest as a pull-through cache does, without what it names.
func cached(t *testing.T, r *registry.Registry, repo oci.Repository, body string, tags ...string) oci.Digest {
	t.Helper()
	p := registry.Push{Repository: repo, ContentType: oci.SniffMediaType([]byte(body)), Body: []byte(body), Partial: true}
	for _, s := range tags {
		p.Tags = append(p.Tags, ref(t, s).Tag)
	}
	pushed, err := r.PutManifest(t.Context(), p)
	must(t, err)
	return pushed.Digest
}

// layered is an image with a layer of a letter, that is as many bytes.
func layered(t *testing.T, y *yard, repo oci.Repository, letter string, size int) string {
	t.Helper()
	d := pushBlob(t, y.Registry, repo, oci.SHA256, strings.Repeat(letter, size))
	return imageOf(d, fmt.Sprintf(`,"annotations":{"of":%q}`, repo.String()))
}

func bound(most int64) registry.CollectOptions {
	return registry.CollectOptions{Retention: true, Untagged: true, Caches: []registry.CollectedCache{{Prefix: "hub", MaxBytes: most}}}
}

// TestCollectCaches: a cache is held to its bound by evicting what was pulled
// longest ago, with what only that leads to; other repositories are left alone.
func TestCollectCaches(t *testing.T) {
	y := newYard(t)
	for _, repo := range []oci.Repository{hubA, notHub} {
		for n, letter := range []string{"a", "b", "c"} {
			put(t, y.Registry, repo, layered(t, y, repo, letter, 10_000), fmt.Sprintf("v%d", n))
			y.clock = y.clock.Add(24 * time.Hour)
		}
	}
	child := cached(t, y.Registry, hubB, layered(t, y, hubB, "d", 10_000))
	lacking := cached(t, y.Registry, hubB, imageOf(oci.FromBytes([]byte("not pulled")), ""))
	index := cached(t, y.Registry, hubB, indexOf(child, lacking), "multi")
	y.clock = y.clock.Add(24 * time.Hour)
	loose := cached(t, y.Registry, hubB, layered(t, y, hubB, "a", 10_000)) // shared with v0
	must(t, y.FlushPulls(t.Context()))
	y.clock = y.clock.Add(48 * time.Hour)
	stop := noting(t, y.Registry)
	y.Pulled(hubA, ref(t, "v0"))
	y.Pulled(hubB, ref(t, loose.String()))
	stop()

	dry := bound(25_000)
	dry.DryRun = true
	if report := y.collect(t, dry); sums(report.Deleted)["tag"] != 2 || y.tags(t, hubA) != "v0 v1 v2" {
		t.Errorf("a dry run: %+v", report)
	}
	report := y.collect(t, bound(25_000))
	if y.tags(t, hubA) != "v0" || y.tags(t, hubB) != "multi" || y.tags(t, notHub) != "v0 v1 v2" {
		t.Errorf("there are %q, %q, %q", y.tags(t, hubA), y.tags(t, hubB), y.tags(t, notHub))
	}
	usage := report.Caches[0]
	if len(report.Caches) != 1 || usage.Images != 3 || usage.EvictedImages != 2 || usage.EvictedBytes < 20_000 || usage.Bytes < 20_000 || usage.Bytes > 25_000 {
		t.Errorf("%+v", report.Caches)
	}
	const why = "the pull-through cache hub may have 25000 bytes, and this was used longest ago"
	for _, u := range report.Examples {
		if u.Kind == "tag" && u.Reason != why {
			t.Errorf("%+v", u)
		}
	}
	second := y.collect(t, bound(25_000))
	if sums(second.Deleted)["manifest"] != 2 || second.Caches[0].EvictedImages != 0 || second.DeletedBytes() > 1000 {
		t.Errorf("the second run: %+v", second) // the layers are those of another repository, too
	}
	y.collect(t, bound(25_000))
	for _, d := range []oci.Digest{child, lacking, index, loose} {
		if !y.has(t, d) {
			t.Errorf("%s went, and is in use", d)
		}
	}
	// An index takes with it what only it lists.
	y.collect(t, bound(12_000))
	third := y.collect(t, bound(12_000))
	if y.has(t, index) || y.has(t, child) || y.has(t, lacking) || !y.has(t, loose) || y.tags(t, hubB) != "" || y.tags(t, hubA) != "v0" {
		t.Errorf("after the index was evicted: %q, %q; %+v", y.tags(t, hubA), y.tags(t, hubB), third)
	}
	if third.DeletedBytes() < 10_000 {
		t.Errorf("%d bytes came free", third.DeletedBytes())
	}
	if err := sound(t, y); err != nil {
		t.Error(err)
	}
}

// sound checks the storage; caches need not be whole.
func sound(t *testing.T, y *yard) (err error) {
	t.Helper()
	_, failed := y.Check(t.Context(), registry.CheckOptions{Content: true, Partial: func(r oci.Repository) bool { return strings.HasPrefix(r.String(), "hub/") }}, func(f registry.Finding) {
		if f.Severity == registry.Broken {
			err = fmt.Errorf("%+v", f)
		}
	})
	must(t, failed)
	return err
}

// TestCollectCachesSpares: what is young, immutable, or of another cache below stays,
// whatever the bound.
func TestCollectCachesSpares(t *testing.T) {
	y := newYard(t)
	deep := oci.MustRepository("hub/deep/app")
	for _, repo := range []oci.Repository{hubA, hubB, deep} {
		cached(t, y.Registry, repo, layered(t, y, repo, "x", 1000), "v1")
	}
	pattern, err := oci.ParseTagPattern("v*")
	must(t, err)
	_, err = y.UpdateSettings(t.Context(), hubB, registry.SettingsSpec{ImmutableTags: []oci.TagPattern{pattern}}, nil)
	must(t, err)
	y.clock = y.clock.Add(48 * time.Hour)
	cached(t, y.Registry, hubA, layered(t, y, hubA, "y", 1000), "young")
	y.clock = y.clock.Add(-2 * time.Hour) // collect adds 25 h
	o := bound(1)
	o.Caches = append(o.Caches, registry.CollectedCache{Prefix: "hub/deep"})
	report := y.collect(t, o)
	if y.tags(t, hubA) != "young" || y.tags(t, hubB) != "v1" || y.tags(t, deep) != "v1" {
		t.Errorf("there are %q, %q, %q", y.tags(t, hubA), y.tags(t, hubB), y.tags(t, deep))
	}
	if len(report.Caches) != 1 || report.Caches[0].Images != 2 {
		t.Errorf("%+v", report.Caches)
	}
}

// TestCollectUntaggedOfCaches: in a cache without a bound, a manifest that was pulled
// by its digest alone is in use for a week, whole or not.
func TestCollectUntaggedOfCaches(t *testing.T) {
	for _, untagged := range []bool{true, false} {
		y := newYard(t)
		lacking := cached(t, y.Registry, hubA, imageOf(oci.FromBytes([]byte("not pulled")), ""))
		other := cached(t, y.Registry, notHub, imageOf(oci.FromBytes([]byte("nor this")), ""))
		o := registry.CollectOptions{Retention: true, Untagged: untagged, Caches: []registry.CollectedCache{{Prefix: "hub"}}}
		for range 3 {
			y.collect(t, o)
		}
		if !y.has(t, lacking) || y.has(t, other) {
			t.Errorf("untagged %v: of the cache: %v, not of it: %v", untagged, y.has(t, lacking), y.has(t, other))
		}
		stop := noting(t, y.Registry)
		y.Pulled(hubA, ref(t, lacking.String()))
		stop()
		for range 6 {
			y.collect(t, o)
		}
		if !y.has(t, lacking) {
			t.Errorf("untagged %v: it went within a week of its last pull", untagged)
		}
		for range 4 {
			y.collect(t, o)
		}
		if y.has(t, lacking) {
			t.Errorf("untagged %v: nobody pulls it, and it stays", untagged)
		}
	}
}

// TestEvictionAgainstPull: at whatever step of an eviction the image is fetched
// again, its tag stays once that is acknowledged, and so does what it leads to.
func TestEvictionAgainstPull(t *testing.T) {
	pulls := 0
	for n, more := 0, true; more; n++ {
		var acknowledged bool
		more, acknowledged = evictionAgainstPull(t, n)
		if acknowledged {
			pulls++
		}
	}
	if pulls < 10 {
		t.Errorf("only %d pulls were acknowledged", pulls)
	}
}

// evictionAgainstPull pulls before the nth operation of two collections, and reports
// whether there was one.
func evictionAgainstPull(t *testing.T, n int) (more, acknowledged bool) {
	y := newYard(t)
	old := layered(t, y, hubA, "o", 1000)
	cached(t, y.Registry, hubA, old, "old")
	y.clock = y.clock.Add(48 * time.Hour)
	cached(t, y.Registry, hubA, layered(t, y, hubA, "n", 1000), "new")
	y.clock = y.clock.Add(48 * time.Hour)
	faults := &storagetest.Faults{}
	collector := registry.New(faults.Blobs(y.memory.Blobs()), faults.Records(y.memory.Records()), registry.Options{Now: y.memory.Now, Log: slog.New(slog.DiscardHandler)})
	impatient := y.clock
	puller := registry.New(y.memory.Blobs(), y.memory.Records(), registry.Options{Now: func() time.Time {
		impatient = impatient.Add(20 * time.Second) // it does not wait for a deletion
		return impatient
	}})
	faults.On(func(c storagetest.Call) storagetest.Fault {
		if c.N == n {
			more = true
			y.clock = y.clock.Add(time.Second)
			_, err := puller.PutManifest(t.Context(), registry.Push{Repository: hubA, Tags: []oci.Tag{ref(t, "old").Tag}, ContentType: oci.MediaTypeImageManifest, Body: []byte(old), Partial: true})
			acknowledged = err == nil
			if err != nil && oci.ErrorCode(err) != oci.CodeUnavailable {
				t.Errorf("step %d: the pull failed: %v", n, err)
			}
		}
		return storagetest.None
	})
	o := bound(2000)
	o.Grace, o.Concurrency = time.Hour, 1
	for range 2 {
		_, err := collector.Collect(t.Context(), o)
		must(t, err)
	}
	_, err := y.ResolveTag(t.Context(), hubA, ref(t, "old").Tag)
	if more && !acknowledged {
		cached(t, y.Registry, hubA, old, "old") // who was refused tries again
	}
	switch {
	case acknowledged && err != nil:
		t.Errorf("step %d: the tag was fetched again, and is gone: %v", n, err)
	case acknowledged:
		if _, err := y.Manifest(t.Context(), hubA, ref(t, "old")); err != nil {
			t.Errorf("step %d: the manifest is gone: %v", n, err)
		}
	case !more && err == nil:
		t.Error("without a pull, the tag is not evicted")
	}
	if err := sound(t, y); err != nil {
		t.Errorf("step %d: %v", n, err)
	}
	return more, acknowledged
}
