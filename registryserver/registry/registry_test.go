package registry_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/fsstore"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// store is both halves of a store.
type store interface {
	Blobs() storage.Blobs
	Records() storage.Records
}

// onEveryStore runs a test over the reference store and over a directory.
func onEveryStore(t *testing.T, test func(t *testing.T, s store)) {
	t.Run("memory", func(t *testing.T) { test(t, storagetest.NewMemory()) })
	t.Run("directory", func(t *testing.T) {
		s, err := fsstore.New(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		test(t, s)
	})
}

func newRegistry(s store) *registry.Registry {
	return registry.New(s.Blobs(), s.Records(), registry.Options{})
}

func pushBlob(t *testing.T, r *registry.Registry, repo oci.Repository, alg oci.Algorithm, content string) oci.Digest {
	t.Helper()
	up, err := r.StartUpload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(up, content); err != nil {
		t.Fatal(err)
	}
	d := alg.Of([]byte(content))
	if _, err := r.CommitUpload(t.Context(), repo, up, d, r.Epoch()); err != nil {
		t.Fatal(err)
	}
	return d
}

func descriptor(d oci.Digest, size int) string {
	return fmt.Sprintf(`{"mediaType":"application/x","digest":%q,"size":%d}`, d, size)
}

func imageOf(config oci.Digest, extra string) string {
	return `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageManifest + `","config":` + descriptor(config, 2) + `,"layers":[]` + extra + `}`
}

func indexOf(children ...oci.Digest) string {
	var list []string
	for _, c := range children {
		list = append(list, descriptor(c, 2))
	}
	return `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageIndex + `","manifests":[` + strings.Join(list, ",") + `]}`
}

func put(t *testing.T, r *registry.Registry, repo oci.Repository, body string, tags ...string) oci.Digest {
	t.Helper()
	p := registry.Push{Repository: repo, ContentType: oci.SniffMediaType([]byte(body)), Body: []byte(body)}
	for _, s := range tags {
		tag, err := oci.ParseTag(s)
		if err != nil {
			t.Fatal(err)
		}
		p.Tags = append(p.Tags, tag)
	}
	pushed, err := r.PutManifest(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return pushed.Digest
}

func ref(t *testing.T, s string) oci.Reference {
	t.Helper()
	parsed, err := oci.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func wantCode(t *testing.T, what string, err error, want oci.Code) {
	t.Helper()
	if err == nil || oci.ErrorCode(err) != want {
		t.Errorf("%s: %v; want %s", what, err, want)
	}
}

func names[T fmt.Stringer](t *testing.T, seq func(func(T, error) bool)) []string {
	t.Helper()
	var all []string
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, v.String())
	}
	return all
}

var (
	app   = oci.MustRepository("team/app")
	other = oci.MustRepository("other")
)

// Ensure that a blob is readable in the repositories that it was pushed or
// mounted to, and nowhere else.
func TestBlobAccess(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		r, ctx := newRegistry(s), t.Context()
		for _, alg := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
			d := pushBlob(t, r, app, alg, "content "+string(alg))
			if info, err := r.StatBlob(ctx, app, d); err != nil || info.Digest.Algorithm() != oci.SHA256 {
				t.Fatalf("%s: %+v, %v", alg, info, err)
			}
			_, err := r.StatBlob(ctx, other, d)
			wantCode(t, "stat elsewhere", err, oci.CodeBlobUnknown)
			wantCode(t, "mount from where it is not", r.MountBlob(ctx, other, app, d), oci.CodeBlobUnknown)
			if from, err := r.FindBlob(ctx, d, func(oci.Repository) bool { return true }); err != nil || from != app {
				t.Fatalf("FindBlob: %v, %v", from, err)
			}
			_, err = r.FindBlob(ctx, d, func(oci.Repository) bool { return false })
			wantCode(t, "find what may not be pulled", err, oci.CodeBlobUnknown)
			if err := r.MountBlob(ctx, app, other, d); err != nil {
				t.Fatal(err)
			}
			if err := r.DeleteBlob(ctx, app, d); err != nil {
				t.Fatal(err)
			}
			_, err = r.StatBlob(ctx, app, d)
			wantCode(t, "stat of a deleted blob", err, oci.CodeBlobUnknown)
			if _, err := r.StatBlob(ctx, other, d); err != nil {
				t.Errorf("deleted in one repository, gone from another: %v", err)
			}
		}
	})
}

// Ensure that a blob that was pushed by its SHA-512 is deleted under both of
// its digests, whichever is asked for, also if the first try was cut off, and
// that other blobs are left alone.
func TestDeleteBlobAliases(t *testing.T) {
	ctx := t.Context()
	for _, asked := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		for n := range 2 {
			var faults storagetest.Faults
			s := storagetest.NewMemory()
			r := registry.New(s.Blobs(), faults.Records(s.Records()), registry.Options{})
			pushBlob(t, r, app, oci.SHA512, "content")
			kept := pushBlob(t, r, app, oci.SHA512, "other content")
			deletes := 0
			faults.On(func(c storagetest.Call) storagetest.Fault {
				if c.Op == "Records.Delete" {
					if deletes++; deletes == n+1 {
						return storagetest.NotApplied
					}
				}
				return storagetest.None
			})
			d := asked.Of([]byte("content"))
			if err := r.DeleteBlob(ctx, app, d); err == nil {
				t.Errorf("%s: delete %d failed, and nobody was told", asked, n)
			}
			faults.On(nil)
			if err := r.DeleteBlob(ctx, app, d); err != nil {
				t.Errorf("%s: %v", asked, err)
			}
			for _, alg := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
				_, err := r.StatBlob(ctx, app, alg.Of([]byte("content")))
				wantCode(t, string(asked)+" deleted, stat by "+string(alg), err, oci.CodeBlobUnknown)
			}
			if _, err := r.StatBlob(ctx, app, kept); err != nil {
				t.Error(err)
			}
		}
	}
}

// Ensure that a deletion does not walk over the blobs of a repository where all
// have their canonical digest only.
func TestDeleteBlobIsNoWalk(t *testing.T) {
	var faults storagetest.Faults
	s := storagetest.NewMemory()
	r := registry.New(s.Blobs(), faults.Records(s.Records()), registry.Options{})
	d := pushBlob(t, r, app, oci.SHA256, "content")
	for i := range 50 {
		pushBlob(t, r, app, oci.SHA256, fmt.Sprint(i))
	}
	faults.On(nil)
	if err := r.DeleteBlob(t.Context(), app, d); err != nil || faults.Calls() > 4 {
		t.Errorf("%d operations on records, %v", faults.Calls(), err)
	}
}

// Ensure that a manifest is refused until all that it names is in its own
// repository, and that every missing thing is named.
func TestManifestReferences(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		r := newRegistry(s)
		config := pushBlob(t, r, other, oci.SHA256, "{}")
		body := []byte(imageOf(config, ""))
		_, err := r.PutManifest(t.Context(), registry.Push{Repository: app, ContentType: oci.MediaTypeImageManifest, Body: body})
		wantCode(t, "config only in another repository", err, oci.CodeManifestBlobUnknown)
		_, err = r.Manifest(t.Context(), app, oci.Reference{Digest: oci.FromBytes(body)})
		wantCode(t, "manifest that was refused", err, oci.CodeManifestUnknown)

		absent := []oci.Digest{oci.FromBytes([]byte("x")), oci.FromBytes([]byte("y"))}
		_, err = r.PutManifest(t.Context(), registry.Push{Repository: app, ContentType: oci.MediaTypeImageIndex, Body: []byte(indexOf(absent...))})
		for _, d := range absent {
			if err == nil || !strings.Contains(err.Error(), d.String()) {
				t.Errorf("%v does not name %s", err, d)
			}
		}
		lax := registry.New(s.Blobs(), s.Records(), registry.Options{Validation: registry.Validation{Off: true}})
		if _, err := lax.PutManifest(t.Context(), registry.Push{Repository: app, ContentType: oci.MediaTypeImageIndex, Body: []byte(indexOf(absent...))}); err != nil {
			t.Errorf("validation off: %v", err)
		}
	})
}

func TestManifestLife(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		r, ctx := newRegistry(s), t.Context()
		config := pushBlob(t, r, app, oci.SHA256, "{}")
		first := put(t, r, app, imageOf(config, ""), "v1", "v1.0", "latest")
		second := put(t, r, app, imageOf(config, `,"annotations":{"n":"2"}`), "latest", "v10", "v1-alpine")
		if m, err := r.Manifest(ctx, app, ref(t, "latest")); err != nil || m.Digest != second || string(m.Content) != imageOf(config, `,"annotations":{"n":"2"}`) {
			t.Fatalf("latest: %+v, %v", m, err)
		}
		if got := names(t, r.Tags(ctx, app, "")); !slices.Equal(got, []string{"latest", "v1", "v1-alpine", "v1.0", "v10"}) {
			t.Errorf("tags %v", got)
		}
		if got := names(t, r.Tags(ctx, app, "v1")); !slices.Equal(got, []string{"v1-alpine", "v1.0", "v10"}) {
			t.Errorf("tags after v1: %v", got)
		}
		if err := r.DeleteManifest(ctx, app, first); err != nil {
			t.Fatal(err)
		}
		if got := names(t, r.Tags(ctx, app, "")); !slices.Equal(got, []string{"latest", "v1-alpine", "v10"}) {
			t.Errorf("tags after a manifest was deleted: %v", got)
		}
		_, err := r.Manifest(ctx, app, ref(t, first.String()))
		wantCode(t, "deleted manifest", err, oci.CodeManifestUnknown)
		if err := r.DeleteTag(ctx, app, ref(t, "latest").Tag); err != nil {
			t.Fatal(err)
		}
		wantCode(t, "delete of a deleted tag", r.DeleteTag(ctx, app, ref(t, "latest").Tag), oci.CodeManifestUnknown)
		if _, err := r.Manifest(ctx, app, ref(t, second.String())); err != nil {
			t.Errorf("deleting a tag took the manifest: %v", err)
		}
		if err := r.DeleteRepository(ctx, app, registry.Deletion{Images: true}); err != nil {
			t.Fatal(err)
		}
		if got := names(t, r.Repositories(ctx, "")); len(got) != 0 {
			t.Errorf("deleted repository is listed: %v", got)
		}
		for _, err := range r.Tags(ctx, app, "") {
			wantCode(t, "tags of a deleted repository", err, oci.CodeNameUnknown)
		}
	})
}

// Ensure that the same bytes under two digests are one manifest.
func TestManifestSHA512(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		r, ctx := newRegistry(s), t.Context()
		config := pushBlob(t, r, app, oci.SHA512, "{}")
		body := []byte(imageOf(config, ""))
		d := oci.SHA512.Of(body)
		if _, err := r.PutManifest(ctx, registry.Push{Repository: app, Digest: d, Tags: []oci.Tag{ref(t, "long").Tag}, ContentType: oci.MediaTypeImageManifest, Body: body}); err != nil {
			t.Fatal(err)
		}
		for _, by := range []string{"long", d.String()} {
			if m, err := r.Manifest(ctx, app, ref(t, by)); err != nil || m.Digest != d {
				t.Errorf("by %.12s: %v, %v; want the sha512 digest", by, m.Digest, err)
			}
		}
		if err := r.DeleteManifest(ctx, app, oci.FromBytes(body)); err != nil {
			t.Fatal(err)
		}
		for _, by := range []string{"long", d.String()} {
			_, err := r.Manifest(ctx, app, ref(t, by))
			wantCode(t, "deleted by the other digest, asked by "+by, err, oci.CodeManifestUnknown)
		}
	})
}

func TestReferrers(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		r, ctx := newRegistry(s), t.Context()
		config := pushBlob(t, r, app, oci.SHA256, "{}")
		subject := put(t, r, app, imageOf(config, ""), "v1")
		var want []string
		for i := range 5 {
			extra := fmt.Sprintf(`,"subject":%s,"artifactType":"application/x-%d","annotations":{"i":"%d"}`, descriptor(subject, 1), i%2, i)
			want = append(want, put(t, r, app, imageOf(config, extra)).String())
		}
		slices.Sort(want)
		page, err := r.Referrers(ctx, app, subject, "", "")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, d := range page.Descriptors {
			got = append(got, d.Digest.String())
			if d.Annotations["i"] == "" || d.MediaType != oci.MediaTypeImageManifest || d.Size == 0 {
				t.Errorf("descriptor %+v lacks annotations, media type or size", d)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("referrers %v, want %v", got, want)
		}
		if page, err := r.Referrers(ctx, app, subject, "application/x-1", ""); err != nil || len(page.Descriptors) != 2 {
			t.Errorf("filtered: %+v, %v", page, err)
		}
		if page, err := r.Referrers(ctx, app, subject, "", want[2]); err != nil || len(page.Descriptors) != 2 {
			t.Errorf("after the third: %+v, %v", page, err)
		}
		if page, err := r.Referrers(ctx, other, subject, "", ""); err != nil || len(page.Descriptors) != 0 {
			t.Errorf("in another repository: %+v, %v", page, err)
		}
		if err := r.DeleteManifest(ctx, app, oci.MustDigest(want[0])); err != nil {
			t.Fatal(err)
		}
		if page, err := r.Referrers(ctx, app, subject, "", ""); err != nil || len(page.Descriptors) != 4 {
			t.Errorf("after one was deleted: %d, %v", len(page.Descriptors), err)
		}
	})
}

// Ensure that following pages yields every referrer once.
func TestReferrersPages(t *testing.T) {
	s := storagetest.NewMemory()
	r, ctx := newRegistry(s), t.Context()
	config := pushBlob(t, r, app, oci.SHA256, "{}")
	subject := oci.FromBytes([]byte("subject"))
	want := map[oci.Digest]bool{}
	for i := range registry.MaxReferrersPage + 5 {
		want[put(t, r, app, imageOf(config, fmt.Sprintf(`,"subject":%s,"annotations":{"i":"%d"}`, descriptor(subject, 1), i)))] = true
	}
	for range 3 { // large ones make a page end early
		want[put(t, r, app, imageOf(config, fmt.Sprintf(`,"subject":%s,"annotations":{"large":"%s"}`, descriptor(subject, 1), strings.Repeat("x", 3<<20))+strings.Repeat(" ", len(want)%7)))] = true
	}
	pages := 0
	for after := ""; ; pages++ {
		page, err := r.Referrers(ctx, app, subject, "", after)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Descriptors {
			if !want[d.Digest] {
				t.Fatalf("%s is listed twice, or is no referrer", d.Digest)
			}
			delete(want, d.Digest)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if len(want) > 0 || pages == 0 {
		t.Errorf("%d referrers are missing after %d pages", len(want), pages+1)
	}
}

// Ensure that referrers that clients recorded under the fallback tag, while
// another registry served the storage, are listed.
func TestReferrersTagSchema(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		r, ctx := newRegistry(s), t.Context()
		config := pushBlob(t, r, app, oci.SHA256, "{}")
		subject := put(t, r, app, imageOf(config, ""))
		artifact := put(t, r, app, imageOf(config, `,"annotations":{"old":"1"}`))
		put(t, r, app, indexOf(artifact), "sha256-"+subject.Hex())
		page, err := r.Referrers(ctx, app, subject, "", "")
		if err != nil || len(page.Descriptors) != 1 || page.Descriptors[0].Digest != artifact {
			t.Errorf("%+v, %v; want %s", page, err, artifact)
		}
	})
}

// Ensure byte order of names: a, a-b, a/b.
func TestRepositories(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		r := newRegistry(s)
		want := []string{"a", "a-b", "a-b/c", "a/b", "a/b/c/d", "a0", "b.c", "b/c", "z"}
		for _, name := range want {
			pushBlob(t, r, oci.MustRepository(name), oci.SHA256, "x")
		}
		slices.Sort(want)
		if got := names(t, r.Repositories(t.Context(), "")); !slices.Equal(got, want) {
			t.Errorf("repositories %v, want %v", got, want)
		}
		for _, after := range append([]string{"a-", "a/", "a/b/c", "0", "zz", "a/b/c/d/e"}, want...) {
			var rest []string
			for _, name := range want {
				if name > after {
					rest = append(rest, name)
				}
			}
			if got := names(t, r.Repositories(t.Context(), after)); !slices.Equal(got, rest) {
				t.Errorf("after %q: %v, want %v", after, got, rest)
			}
		}
	})
}

// Ensure that bytes which are not what they are claimed to be are not kept.
func TestWrongDigest(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		r, ctx := newRegistry(s), t.Context()
		up, err := r.StartUpload(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(up, "one thing")
		claimed := oci.FromBytes([]byte("another"))
		_, err = r.CommitUpload(ctx, app, up, claimed, r.Epoch())
		wantCode(t, "commit", err, oci.CodeDigestInvalid)
		_, err = r.StatBlob(ctx, app, claimed)
		wantCode(t, "stat", err, oci.CodeBlobUnknown)
		_, err = r.PutManifest(ctx, registry.Push{Repository: app, Digest: claimed, ContentType: oci.MediaTypeImageIndex, Body: []byte(indexOf())})
		wantCode(t, "manifest", err, oci.CodeDigestInvalid)
	})
}

// Ensure that a tag write that stalled does not undo a newer one.
func TestStalledTagWrite(t *testing.T) {
	s := storagetest.NewMemory()
	plain := newRegistry(s)
	config := pushBlob(t, plain, app, oci.SHA256, "{}")
	var newer oci.Digest
	stalled := registry.New(s.Blobs(), &beforePut{Records: s.Records(), suffix: "/tags/latest/current/link", do: func() {
		newer = put(t, plain, app, imageOf(config, `,"annotations":{"newer":"1"}`), "latest")
	}}, registry.Options{})
	put(t, stalled, app, imageOf(config, ""), "latest")
	if m, err := plain.Manifest(t.Context(), app, ref(t, "latest")); err != nil || m.Digest != newer {
		t.Errorf("latest is %v, %v; want the newer %v", m.Digest, err, newer)
	}
}

// Ensure that a tag write whose first try was done, though its answer was lost,
// is finished: its history is there.
func TestRepeatedTagWrite(t *testing.T) {
	s := storagetest.NewMemory()
	config := pushBlob(t, newRegistry(s), app, oci.SHA256, "{}")
	image := imageOf(config, "")
	key := "docker/registry/v2/repositories/" + app.String() + "/_manifests/tags/latest/current/link"
	repeating := registry.New(s.Blobs(), &beforePut{Records: s.Records(), suffix: "/tags/latest/current/link", do: func() {
		_, err := s.Records().Put(t.Context(), key, []byte(oci.FromBytes([]byte(image)).String()), storage.Absent)
		must(t, err)
	}}, registry.Options{})
	put(t, repeating, app, image, "latest")
	if _, err := repeating.Check(t.Context(), registry.CheckOptions{}, func(f registry.Finding) { t.Errorf("%+v", f) }); err != nil {
		t.Error(err)
	}
}

// beforePut does something else before the first write of a key.
type beforePut struct {
	storage.Records
	suffix string
	do     func()
}

func (b *beforePut) Put(ctx context.Context, key string, value []byte, was storage.Version) (storage.Version, error) {
	if do := b.do; do != nil && strings.HasSuffix(key, b.suffix) {
		b.do = nil
		do()
	}
	return b.Records.Put(ctx, key, value, was)
}

// Ensure that wherever a push, a retag or a delete breaks off, in each of the
// three ways an operation can fail, no tag that is listed leads nowhere, and
// that doing it again succeeds, also when the write that was stuck comes
// through in between. Only a delete that comes through late is left out: it
// can take what was pushed again since, for equal content has an equal version.
// No directory does that to its own process.
func TestBrokenOff(t *testing.T) {
	tag := ref(t, "t").Tag
	push := func(r *registry.Registry, body string) error {
		_, err := r.PutManifest(t.Context(), registry.Push{Repository: app, Tags: []oci.Tag{tag}, ContentType: oci.MediaTypeImageManifest, Body: []byte(body)})
		return err
	}
	for _, fault := range []storagetest.Fault{storagetest.NotApplied, storagetest.Applied, storagetest.AppliedLater} {
		for n := 0; ; n++ {
			s, faults := storagetest.NewMemory(), &storagetest.Faults{}
			good := newRegistry(s)
			config := pushBlob(t, good, app, oci.SHA256, "{}")
			subject := put(t, good, app, imageOf(config, ""))
			faulty := registry.New(faults.Blobs(s.Blobs()), faults.Records(s.Records()), registry.Options{})
			one := imageOf(config, `,"subject":`+descriptor(subject, 1))
			two := imageOf(config, `,"annotations":{"two":"2"}`)

			nth := storagetest.Nth(n, fault)
			faults.On(func(c storagetest.Call) storagetest.Fault {
				if c.N == n && fault == storagetest.AppliedLater && c.Op == "Records.Delete" {
					return storagetest.NotApplied // see below
				}
				return nth(c)
			})
			err := push(faulty, one)
			if err == nil {
				err = push(faulty, two)
			}
			if err == nil {
				err = faulty.DeleteManifest(t.Context(), app, oci.FromBytes([]byte(two)))
			}
			done := faults.Calls() <= n
			faults.On(nil)
			noTagDangles(t, good, fmt.Sprintf("fault %d at operation %d", fault, n))
			if err := push(good, two); err != nil {
				t.Fatalf("fault %d at operation %d: push again: %v", fault, n, err)
			}
			faults.Release()
			noTagDangles(t, good, fmt.Sprintf("fault %d at operation %d, released", fault, n))
			if done {
				if err != nil {
					t.Errorf("without a fault: %v", err)
				}
				break
			}
			if err == nil && n > 200 {
				t.Fatal("the faults have no end")
			}
		}
	}
}

func noTagDangles(t *testing.T, r *registry.Registry, when string) {
	t.Helper()
	for _, name := range names(t, r.Tags(t.Context(), app, "")) {
		if _, err := r.Manifest(t.Context(), app, ref(t, name)); err != nil {
			t.Errorf("%s: tag %s is listed and leads nowhere: %v", when, name, err)
		}
	}
}
