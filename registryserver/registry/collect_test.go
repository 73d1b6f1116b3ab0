package registry_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// yard is a registry whose garbage is collected, with a clock of its own.
type yard struct {
	*registry.Registry
	memory *storagetest.Memory
	clock  time.Time
}

func newYard(t *testing.T) *yard {
	t.Helper()
	y := &yard{memory: storagetest.NewMemory(), clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	y.memory.Now = func() time.Time { return y.clock }
	y.Registry = registry.New(y.memory.Blobs(), y.memory.Records(), registry.Options{Now: y.memory.Now})
	must(t, y.MarkExclusive(t.Context(), "test"))
	return y
}

// collect runs a collection a day later.
func (y *yard) collect(t *testing.T, o registry.CollectOptions) registry.CollectReport {
	t.Helper()
	y.clock = y.clock.Add(25 * time.Hour)
	o.Concurrency = 4
	report, err := y.Collect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func sums(counts []registry.UnusedCount) map[string]int {
	sum := map[string]int{}
	for _, n := range counts {
		sum[n.Kind] += n.Count
	}
	return sum
}

func (y *yard) has(t *testing.T, d oci.Digest) bool {
	t.Helper()
	_, err := y.memory.Blobs().Stat(t.Context(), d)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func (y *yard) keys(t *testing.T, part string) []string {
	t.Helper()
	var keys []string
	for key, err := range y.memory.Records().List(t.Context(), "docker/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(key, part) {
			keys = append(keys, key)
		}
	}
	return keys
}

// TestCollect: what nothing needs goes in the run after the one that found it.
func TestCollect(t *testing.T) {
	y := newYard(t)
	config := pushBlob(t, y.Registry, app, oci.SHA256, "config")
	layer := pushBlob(t, y.Registry, app, oci.SHA512, "named by its sha512")
	image := put(t, y.Registry, app, imageOf(config, ""), "v1")
	alias := put(t, y.Registry, app, strings.Replace(imageOf(config, ""), `"layers":[]`, `"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"`+layer.String()+`","size":19}]`, 1), "v2")
	lost := pushBlob(t, y.Registry, app, oci.SHA256, "never in a manifest")
	lost512 := pushBlob(t, y.Registry, app, oci.SHA512, "nor this")
	_, err := y.memory.Blobs().Put(t.Context(), []byte("without a link"))
	must(t, err)

	first := y.collect(t, registry.CollectOptions{})
	if len(first.Deleted) != 0 || sums(first.Next)["blob"] != 3 || sums(first.Next)["layer"] != 3 {
		t.Errorf("the first run: %+v", first)
	}
	young := pushBlob(t, y.Registry, app, oci.SHA256, "young")
	y.clock = y.clock.Add(-2 * time.Hour)
	second := y.collect(t, registry.CollectOptions{})
	if sums(second.Deleted)["blob"] != 3 || sums(second.Deleted)["layer"] != 3 || second.DeletedBytes() != int64(len("never in a manifest")+len("nor this")+len("without a link")) {
		t.Errorf("the second run: %+v", second)
	}
	for _, d := range []oci.Digest{lost, oci.FromBytes([]byte("nor this")), oci.FromBytes([]byte("without a link"))} {
		if y.has(t, d) {
			t.Errorf("%s is there", d)
		}
	}
	for _, d := range []oci.Digest{lost, lost512} {
		_, err := y.StatBlob(t.Context(), app, d)
		wantCode(t, "a deleted blob", err, oci.CodeBlobUnknown)
	}
	for _, d := range []oci.Digest{config, layer, young} {
		if _, err := y.StatBlob(t.Context(), app, d); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
	for _, d := range []oci.Digest{image, alias} {
		if _, err := y.Manifest(t.Context(), app, oci.Reference{Digest: d}); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
	third := y.collect(t, registry.CollectOptions{})
	if len(third.Deleted) != 0 {
		t.Errorf("the third run: %+v", third)
	}
	reports, err := y.CollectReports(t.Context())
	if err != nil || len(reports) != 3 || reports[1].DeletedBytes() != second.DeletedBytes() || reports[0].Started.Before(reports[2].Started) {
		t.Errorf("reports: %+v, %v", reports, err)
	}
	wantSound(t, y.Registry)
}

func wantSound(t *testing.T, r *registry.Registry) {
	t.Helper()
	_, err := r.Check(t.Context(), registry.CheckOptions{Content: true}, func(f registry.Finding) {
		if f.Severity == registry.Broken {
			t.Errorf("fsck: %+v", f)
		}
	})
	must(t, err)
}

// TestCollectUntagged: children of kept indexes and referrers of kept manifests
// stay; the rest goes, with all that is only its own.
func TestCollectUntagged(t *testing.T) {
	y := newYard(t)
	push := func(content string) oci.Digest { return pushBlob(t, y.Registry, app, oci.SHA256, content) }
	kept, child, loose, signature, orphan := push("kept"), push("child"), push("loose"), push("signature"), push("orphan")
	image := put(t, y.Registry, app, imageOf(kept, ""), "v1")
	childImage := put(t, y.Registry, app, imageOf(child, ""))
	put(t, y.Registry, app, indexOf(childImage), "multi")
	looseImage := put(t, y.Registry, app, imageOf(loose, ""))
	referrer := put(t, y.Registry, app, imageOf(signature, `,"subject":`+descriptor(image, 1)))
	dangling := put(t, y.Registry, app, imageOf(orphan, `,"subject":`+descriptor(oci.FromBytes([]byte("gone")), 1)))

	y.collect(t, registry.CollectOptions{Untagged: true})
	report := y.collect(t, registry.CollectOptions{Untagged: true})
	if n := sums(report.Deleted); n["manifest"] != 2 || n["blob"] != 4 || n["layer"] != 2 {
		t.Errorf("deleted: %+v", report.Deleted)
	}
	for d, want := range map[oci.Digest]bool{image: true, childImage: true, referrer: true, kept: true, child: true, signature: true, looseImage: false, dangling: false, loose: false, orphan: false} {
		if y.has(t, d) != want {
			t.Errorf("%s: there is %v, want %v", d, !want, want)
		}
	}
	for _, d := range []oci.Digest{looseImage, dangling} {
		_, err := y.Manifest(t.Context(), app, oci.Reference{Digest: d})
		wantCode(t, "a deleted manifest", err, oci.CodeManifestUnknown)
	}
	if keys := y.keys(t, "_referrers"); len(keys) != 1 {
		t.Errorf("referrers: %q", keys)
	}
	wantSound(t, y.Registry)
}

// TestCollectLacking: a manifest that lacks a layer goes, as one that a refused push
// has left, unless a tag leads to it; nothing of it counts as broken before.
func TestCollectLacking(t *testing.T) {
	y := newYard(t)
	layer, config := pushBlob(t, y.Registry, app, oci.SHA256, "layer"), pushBlob(t, y.Registry, app, oci.SHA256, "config")
	lacking := put(t, y.Registry, app, imageOf(layer, ""))
	whole := put(t, y.Registry, app, imageOf(config, ""))
	foreign := put(t, y.Registry, app, strings.Replace(imageOf(config, ""), `"layers":[]`, `"layers":[{"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":"`+oci.FromBytes([]byte("elsewhere")).String()+`","size":9,"urls":["https://example.com/layer"]}]`, 1))
	child := pushBlob(t, y.Registry, app, oci.SHA256, "of a child")
	childImage := put(t, y.Registry, app, imageOf(child, ""))
	put(t, y.Registry, app, indexOf(childImage), "multi")
	for _, d := range []oci.Digest{layer, child} {
		must(t, y.memory.Records().Delete(t.Context(), "docker/registry/v2/repositories/"+app.String()+"/_layers/sha256/"+d.Hex()+"/link", storage.Any))
	}
	findings := func() (kinds []string) {
		_, err := y.Check(t.Context(), registry.CheckOptions{}, func(f registry.Finding) {
			if f.Kind != "blob-orphan" {
				kinds = append(kinds, string(f.Severity)+" "+f.Kind+" "+f.Reference)
			}
		})
		must(t, err)
		slices.Sort(kinds)
		return kinds
	}
	broken := "broken reference-missing " + childImage.String()
	if got, want := findings(), []string{broken, "garbage manifest-unfinished " + lacking.String()}; !slices.Equal(got, want) {
		t.Errorf("before the collections: %q, want %q", got, want)
	}
	y.collect(t, registry.CollectOptions{})
	report := y.collect(t, registry.CollectOptions{})
	if n := sums(report.Deleted); n["manifest"] != 1 {
		t.Errorf("deleted: %+v", report.Deleted)
	}
	_, err := y.Manifest(t.Context(), app, oci.Reference{Digest: lacking})
	wantCode(t, "the manifest that lacks a layer", err, oci.CodeManifestUnknown)
	for _, d := range []oci.Digest{whole, foreign, childImage} {
		if _, err := y.Manifest(t.Context(), app, oci.Reference{Digest: d}); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
	if got := findings(); !slices.Equal(got, []string{broken}) {
		t.Errorf("after the collections: %q", got)
	}
}

// TestCollectDangling: without a subject, referrers go, if that is wanted.
func TestCollectDangling(t *testing.T) {
	y := newYard(t)
	config := pushBlob(t, y.Registry, app, oci.SHA256, "config")
	put(t, y.Registry, app, imageOf(config, ""))
	put(t, y.Registry, app, imageOf(config, `,"subject":`+descriptor(oci.FromBytes([]byte("gone")), 1)))
	put(t, y.Registry, app, imageOf(config, `,"annotations":{"a":"b"},"subject":`+descriptor(oci.FromBytes([]byte("gone")), 1)), "tagged")
	for range 2 {
		if r := y.collect(t, registry.CollectOptions{}); len(r.Deleted)+len(r.Next) > 0 {
			t.Errorf("nothing is to be deleted: %+v", r)
		}
	}
	y.collect(t, registry.CollectOptions{Dangling: true})
	if r := y.collect(t, registry.CollectOptions{Dangling: true}); sums(r.Deleted)["manifest"] != 1 {
		t.Errorf("deleted: %+v", r.Deleted)
	}
	wantSound(t, y.Registry)
}

// TestCollectHistory: the newest of what a tag has pointed at stays, and what it
// points at.
func TestCollectHistory(t *testing.T) {
	y := newYard(t)
	config := pushBlob(t, y.Registry, app, oci.SHA256, "config")
	images := []string{imageOf(config, ""), imageOf(config, `,"annotations":{"n":"1"}`), imageOf(config, `,"annotations":{"n":"2"}`), imageOf(config, `,"annotations":{"n":"3"}`)}
	for _, image := range images {
		y.clock = y.clock.Add(time.Minute)
		put(t, y.Registry, app, image, "v1")
	}
	y.collect(t, registry.CollectOptions{History: 2})
	y.collect(t, registry.CollectOptions{History: 2})
	keys := y.keys(t, "/index/")
	if len(keys) != 2 || !slices.ContainsFunc(keys, func(k string) bool { return strings.Contains(k, oci.FromBytes([]byte(images[3])).Hex()) }) {
		t.Errorf("history: %q", keys)
	}
	wantSound(t, y.Registry)
}

// TestCollectForeign: schema 1 manifests keep what they name, uploads of
// distribution go when they are old, and nothing goes while it uploads.
func TestCollectForeign(t *testing.T) {
	y := newYard(t)
	layer := pushBlob(t, y.Registry, app, oci.SHA256, "layer")
	schema1 := []byte(`{"schemaVersion":1,"name":"app","fsLayers":[{"blobSum":"` + layer.String() + `"}],"history":[]}`)
	info, err := y.memory.Blobs().Put(t.Context(), schema1)
	must(t, err)
	records := y.memory.Records()
	dir := "docker/registry/v2/repositories/" + app.String()
	_, err = records.Put(t.Context(), dir+"/_manifests/revisions/sha256/"+info.Digest.Hex()+"/link", []byte(info.Digest.String()), storage.Any)
	must(t, err)
	_, err = records.Put(t.Context(), dir+"/_uploads/0001/startedat", []byte("then"), storage.Any)
	must(t, err)
	y.clock = y.clock.Add(time.Second)
	must(t, y.MarkExclusive(t.Context(), "test"))
	for range 2 {
		y.collect(t, registry.CollectOptions{})
	}
	if !y.has(t, layer) || !y.has(t, info.Digest) {
		t.Error("what a schema 1 manifest names was deleted")
	}
	if n := sums(y.collect(t, registry.CollectOptions{UploadAge: time.Hour}).Deleted); n["upload"] != 1 || len(y.keys(t, "_uploads")) != 0 {
		t.Errorf("deleted %v", n)
	}
	_, err = records.Put(t.Context(), dir+"/_uploads/0002/startedat", []byte("now"), storage.Any)
	must(t, err)
	_, err = y.Collect(t.Context(), registry.CollectOptions{})
	wantCode(t, "while another program uploads", err, oci.CodeConflict)
	must(t, y.UnmarkExclusive(t.Context()))
	_, err = y.Collect(t.Context(), registry.CollectOptions{})
	wantCode(t, "without the mark", err, oci.CodeConflict)
}

// TestCollectDryRun writes nothing.
func TestCollectDryRun(t *testing.T) {
	y := newYard(t)
	lost := pushBlob(t, y.Registry, app, oci.SHA256, "lost")
	y.collect(t, registry.CollectOptions{})
	faults := &storagetest.Faults{}
	faults.On(func(c storagetest.Call) storagetest.Fault {
		if slices.Contains([]string{"Records.Put", "Records.Delete", "Blobs.Put", "Blobs.Delete", "Collectible.PrepareDelete", "Blobs.SweepUploads"}, c.Op) {
			t.Errorf("%s %s", c.Op, c.Key)
		}
		return storagetest.None
	})
	r := registry.New(faults.Blobs(y.memory.Blobs()), faults.Records(y.memory.Records()), registry.Options{Now: y.memory.Now})
	report, err := r.Collect(t.Context(), registry.CollectOptions{DryRun: true, UploadAge: time.Hour})
	if err != nil || sums(report.Deleted)["blob"] != 1 || sums(report.Deleted)["layer"] != 1 || !report.DryRun {
		t.Errorf("%+v, %v", report, err)
	}
	if !y.has(t, lost) {
		t.Error("it was deleted")
	}
}

// TestCollectFaults: whatever operation fails, and however, the next run makes up
// for it, and nothing that is needed goes.
func TestCollectFaults(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.NotApplied, storagetest.Applied} {
		for n, failed := 0, true; failed; n++ {
			y := newYard(t)
			config := pushBlob(t, y.Registry, app, oci.SHA256, "config")
			put(t, y.Registry, app, imageOf(config, ""), "v1")
			loose := put(t, y.Registry, app, imageOf(pushBlob(t, y.Registry, app, oci.SHA256, "loose"), ""))
			lost := pushBlob(t, y.Registry, app, oci.SHA256, "lost")
			o := registry.CollectOptions{Untagged: true, Concurrency: 1, UploadAge: time.Hour}
			y.collect(t, o)
			faults := &storagetest.Faults{}
			r := registry.New(faults.Blobs(y.memory.Blobs()), faults.Records(y.memory.Records()), registry.Options{Now: y.memory.Now})
			faults.On(storagetest.Nth(n, fault))
			_, err := r.Collect(t.Context(), o)
			failed = faults.Calls() > n
			wantSound(t, y.Registry)
			for range 2 {
				y.collect(t, o)
			}
			if y.has(t, lost) || y.has(t, loose) || !y.has(t, config) {
				t.Errorf("fault %d of operation %d (%v): garbage stays: %v, %v", fault, n, err, y.has(t, lost), y.has(t, loose))
			}
			wantSound(t, y.Registry)
			if keys := slices.Collect(gcKeys(t, y)); len(keys) > 0 {
				t.Errorf("fault %d of operation %d: batches stay: %q", fault, n, keys)
			}
		}
	}
}

func gcKeys(t *testing.T, y *yard) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key, err := range y.memory.Records().List(t.Context(), "registrykit/v1/gc/batches/", "") {
			must(t, err)
			if !yield(key) {
				return
			}
		}
	}
}

// TestDeleteTagsAsSeen: only tags go that still are as they were seen, and that
// are not immutable.
func TestDeleteTagsAsSeen(t *testing.T) {
	y := newYard(t)
	config := pushBlob(t, y.Registry, app, oci.SHA256, "config")
	body, moved := imageOf(config, ""), imageOf(config, `,"annotations":{"n":"1"}`)
	for _, tag := range []string{"goes", "pushed", "moved", "fixed"} {
		put(t, y.Registry, app, body, tag)
	}
	var seen []registry.TagAsSeen
	for _, tag := range []string{"goes", "pushed", "moved", "fixed"} {
		as, err := y.SeeTag(t.Context(), app, ref(t, tag).Tag)
		must(t, err)
		seen = append(seen, as)
	}
	y.clock = y.clock.Add(time.Hour)
	put(t, y.Registry, app, body, "pushed")
	put(t, y.Registry, app, moved, "moved")
	pattern, err := oci.ParseTagPattern("fix*")
	must(t, err)
	_, err = y.UpdateSettings(t.Context(), app, registry.SettingsSpec{ImmutableTags: []oci.TagPattern{pattern}}, nil)
	must(t, err)
	report, err := y.DeleteTagsAsSeen(t.Context(), seen, registry.CollectOptions{})
	if err != nil || sums(report.Deleted)["tag"] != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	for tag, want := range map[string]bool{"goes": false, "pushed": true, "moved": true, "fixed": true} {
		if _, err := y.ResolveTag(t.Context(), app, ref(t, tag).Tag); (err == nil) != want {
			t.Errorf("tag %s: %v", tag, err)
		}
	}
	if keys := y.keys(t, "/tags/goes/"); len(keys) > 0 {
		t.Errorf("of the tag stay %q", keys)
	}
	wantSound(t, y.Registry)
}
