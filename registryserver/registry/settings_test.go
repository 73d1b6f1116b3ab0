package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

const settingsOfApp = "registrykit/v1/repository-settings/team-app"

func patterns(t *testing.T, list ...string) []oci.TagPattern {
	t.Helper()
	parsed, err := oci.ParseTagPatterns(list)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// create makes a repository with the rule that tags of these patterns stay.
func create(t *testing.T, r *registry.Registry, repo oci.Repository, immutable ...string) registry.Settings {
	t.Helper()
	s, err := r.CreateRepository(t.Context(), repo, registry.SettingsSpec{ImmutableTags: patterns(t, immutable...)}, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Ensure that a repository is there before anything is pushed to it, that its
// settings are changed only by who knows them, and that it goes as a whole.
func TestSettings(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		r, ctx := newRegistry(s), t.Context()
		spec := registry.SettingsSpec{Description: "d", AnonymousPull: true, ImmutableTags: patterns(t, "v*")}
		made, err := r.CreateRepository(ctx, app, spec, "key")
		if err != nil || made.Revision == "" || made.CreatedAt.IsZero() || fmt.Sprint(made.SettingsSpec) != fmt.Sprint(spec) {
			t.Fatalf("%+v, %v", made, err)
		}
		if again, err := r.CreateRepository(ctx, app, spec, "key"); err != nil || again.Revision != made.Revision {
			t.Errorf("the same request again: %+v, %v", again, err)
		}
		_, err = r.CreateRepository(ctx, app, spec, "another key")
		wantCode(t, "create again", err, oci.CodeConflict)
		if got := names(t, r.Repositories(ctx, "")); !slices.Equal(got, []string{app.String()}) {
			t.Errorf("repositories %v", got)
		}
		if got := names(t, r.Tags(ctx, app, "")); got != nil {
			t.Errorf("tags %v", got)
		}
		if got, err := r.Settings(ctx, app); err != nil || fmt.Sprint(got) != fmt.Sprint(made) {
			t.Errorf("%+v, %v; want %+v", got, err, made)
		}
		_, err = r.UpdateSettings(ctx, app, spec, func(revision string) bool { return revision != made.Revision })
		wantCode(t, "update of what is not known", err, oci.CodePreconditionFailed)
		_, err = r.UpdateSettings(ctx, app, registry.SettingsSpec{Description: "\x00"}, nil)
		wantCode(t, "update", err, oci.CodeInvalid)
		now, err := r.UpdateSettings(ctx, app, registry.SettingsSpec{Description: "e"}, func(revision string) bool { return revision == made.Revision })
		if err != nil || now.Revision == made.Revision || !now.CreatedAt.Equal(made.CreatedAt) || now.AnonymousPull || len(now.ImmutableTags) > 0 {
			t.Errorf("%+v, %v", now, err)
		}
		if _, err := r.CreateRepository(ctx, app, spec, "key"); err != nil {
			t.Errorf("the request that made it, after a change: %v", err)
		}

		_, err = r.Settings(ctx, other)
		wantCode(t, "settings of nothing", err, oci.CodeNameUnknown)
		_, err = r.UpdateSettings(ctx, other, spec, nil)
		wantCode(t, "update of nothing", err, oci.CodeNameUnknown)
		wantCode(t, "delete of nothing", r.DeleteRepository(ctx, other, registry.Deletion{}), oci.CodeNameUnknown)
		wantCode(t, "delete of what has changed", r.DeleteRepository(ctx, app, registry.Deletion{May: func(revision string) bool { return revision == made.Revision }}), oci.CodePreconditionFailed)
		must(t, r.DeleteRepository(ctx, app, registry.Deletion{}))
		if got := names(t, r.Repositories(ctx, "")); got != nil {
			t.Errorf("repositories %v", got)
		}
		if _, err := s.Records().Get(ctx, settingsOfApp); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("the settings are still there: %v", err)
		}
	})
}

// Ensure that a push makes a repository with the default settings, and that
// nothing but an explicit wish deletes images with it.
func TestSettingsOfPushedRepository(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		r, ctx := newRegistry(s), t.Context()
		config := pushBlob(t, r, app, oci.SHA256, "{}")
		put(t, r, app, imageOf(config, ""), "v1", "v2")
		if got, err := r.Settings(ctx, app); err != nil || fmt.Sprint(got) != fmt.Sprint(registry.Settings{}) {
			t.Errorf("%+v, %v", got, err)
		}
		_, err := r.CreateRepository(ctx, app, registry.SettingsSpec{}, "key")
		wantCode(t, "create", err, oci.CodeConflict)
		err = r.DeleteRepository(ctx, app, registry.Deletion{})
		wantCode(t, "delete", err, oci.CodeConflict)
		if err != nil && !strings.Contains(err.Error(), "it has 2 tags and 1 manifest;") {
			t.Errorf("%v does not say what there is", err)
		}
		if _, err := r.UpdateSettings(ctx, app, registry.SettingsSpec{Description: "d"}, func(revision string) bool { return revision == "" }); err != nil {
			t.Fatal(err)
		}
		put(t, r, app, imageOf(config, `,"annotations":{}`), "v2")
		if got := names(t, r.Tags(ctx, app, "")); !slices.Equal(got, []string{"v1", "v2"}) {
			t.Errorf("tags %v", got)
		}
		must(t, r.DeleteRepository(ctx, app, registry.Deletion{Images: true}))
		_, err = r.Settings(ctx, app)
		wantCode(t, "settings of a deleted repository", err, oci.CodeNameUnknown)
	})
}

// Ensure that the catalog has those that were pushed to, those that were made and
// those that were both, once and in the order of names.
func TestRepositoriesWithSettings(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		r, ctx := newRegistry(s), t.Context()
		all := []string{"a", "a-b", "a-b/c", "a/b", "a/b/c", "a0", "b.c", "b/c", "z"}
		var repos []oci.Repository
		for i, name := range all {
			repo := oci.MustRepository(name)
			repos = append(repos, repo)
			if i%3 != 0 {
				if _, err := r.CreateRepository(ctx, repo, registry.SettingsSpec{Description: name}, ""); err != nil {
					t.Fatal(err)
				}
			}
			if i%3 != 1 {
				pushBlob(t, r, repo, oci.SHA256, "x")
			}
		}
		for i := range all {
			for after, want := range map[string][]string{"": all, all[i]: all[i+1:]} {
				if got := names(t, r.Repositories(ctx, after)); !slices.Equal(got, want) {
					t.Errorf("after %q: %v, want %v", after, got, want)
				}
			}
			list, err := r.ListSettings(ctx, repos[i:])
			if err != nil {
				t.Fatal(err)
			}
			for j, settings := range list {
				if want := []string{"", all[i+j], all[i+j]}[(i+j)%3]; settings.Description != want {
					t.Errorf("settings of %s: %+v", all[i+j], settings)
				}
			}
		}
	})
}

// Ensure that an immutable tag stays on every path, and what it leads to with it;
// and that without the rule all goes again.
func TestImmutableTags(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		r, ctx := newRegistry(s), t.Context()
		create(t, r, app, "v*", "*-final")
		config := pushBlob(t, r, app, oci.SHA256, "{}")
		image := imageOf(config, "")
		first := put(t, r, app, image, "v1", "latest")
		second := imageOf(config, `,"annotations":{"n":"2"}`)
		child := put(t, r, app, imageOf(config, `,"annotations":{"n":"3"}`))
		index := put(t, r, app, indexOf(put(t, r, app, indexOf(child))), "x-final")

		put(t, r, app, image, "v1", "v2") // an equal digest, and a new tag
		push := func(tags ...string) error {
			p := registry.Push{Repository: app, ContentType: oci.MediaTypeImageManifest, Body: []byte(second)}
			for _, name := range tags {
				p.Tags = append(p.Tags, ref(t, name).Tag)
			}
			_, err := r.PutManifest(ctx, p)
			return err
		}
		err := push("latest", "v1")
		wantCode(t, "push of other content to v1", err, oci.CodeDenied)
		for _, part := range []string{"tag v1", "cannot be overwritten because the tag is immutable", "(pattern v*)", "push under another tag"} {
			if err != nil && !strings.Contains(err.Error(), part) {
				t.Errorf("%v does not say %q", err, part)
			}
		}
		for _, name := range []string{"v1", "latest"} { // nor was one of the tags moved
			if d, err := r.ResolveTag(ctx, app, ref(t, name).Tag); err != nil || d != first {
				t.Errorf("%s is %v, %v; want %v", name, d, err, first)
			}
		}
		must(t, push("latest", "v3"))

		wantCode(t, "delete v1", r.DeleteTag(ctx, app, ref(t, "v1").Tag), oci.CodeDenied)
		wantCode(t, "delete what v1 points at", r.DeleteManifest(ctx, app, first), oci.CodeDenied)
		wantCode(t, "delete what is in an index of an index", r.DeleteManifest(ctx, app, child), oci.CodeDenied)
		wantCode(t, "delete a blob", r.DeleteBlob(ctx, app, config), oci.CodeDenied)
		wantCode(t, "delete the repository", r.DeleteRepository(ctx, app, registry.Deletion{Images: true}), oci.CodeDenied)
		for _, name := range []string{"v1", "v2", "v3", "latest", "x-final", child.String()} {
			if _, err := r.Manifest(ctx, app, ref(t, name)); err != nil {
				t.Errorf("after what was refused: %v", err)
			}
		}
		must(t, r.DeleteTag(ctx, app, ref(t, "latest").Tag))

		if _, err := r.UpdateSettings(ctx, app, registry.SettingsSpec{}, nil); err != nil {
			t.Fatal(err)
		}
		must(t, push("v1"))
		must(t, r.DeleteTag(ctx, app, ref(t, "v1").Tag))
		must(t, r.DeleteManifest(ctx, app, index))
		must(t, r.DeleteManifest(ctx, app, child))
		must(t, r.DeleteRepository(ctx, app, registry.Deletion{Images: true}))
	})
}

// Ensure that a deletion that is refused is none for the other instances: they
// may go on with what they remember.
func TestRefusedDeletion(t *testing.T) {
	s, ctx := storagetest.NewMemory(), t.Context()
	r := registry.New(s.Blobs(), s.Records(), registry.Options{Remember: time.Minute})
	create(t, r, app, "v*")
	config := pushBlob(t, r, app, oci.SHA256, "{}")
	image := put(t, r, app, imageOf(config, ""), "v1")
	wantCode(t, "delete the tag", r.DeleteTag(ctx, app, ref(t, "v1").Tag), oci.CodeDenied)
	wantCode(t, "delete the manifest", r.DeleteManifest(ctx, app, image), oci.CodeDenied)
	wantCode(t, "delete the blob", r.DeleteBlob(ctx, app, config), oci.CodeDenied)
	wantCode(t, "delete the repository", r.DeleteRepository(ctx, app, registry.Deletion{Images: true}), oci.CodeDenied)
	wantCode(t, "delete the repository if it is empty", r.DeleteRepository(ctx, app, registry.Deletion{}), oci.CodeConflict)
	if rec, err := s.Records().Get(ctx, "registrykit/v1/epoch"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the epoch is %s, %v", rec.Value, err)
	}
}

// Ensure that of many who push different content to one immutable tag at once, on
// several instances, one is told that it did and all others that they did not.
func TestImmutableTagRace(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		instances := []*registry.Registry{newRegistry(s), registry.New(s.Blobs(), s.Records(), registry.Options{Remember: time.Minute}), newRegistry(s)}
		create(t, instances[0], app, "*")
		config := pushBlob(t, instances[0], app, oci.SHA256, "{}")
		for round := range 5 {
			tag := ref(t, fmt.Sprintf("v%d", round)).Tag
			const pushers = 12
			type result struct {
				digest oci.Digest
				err    error
			}
			results := make(chan result, pushers)
			for n := range pushers {
				go func() {
					body := imageOf(config, fmt.Sprintf(`,"annotations":{"n":"%d-%d"}`, round, n))
					pushed, err := instances[n%len(instances)].PutManifest(t.Context(), registry.Push{
						Repository: app, Tags: []oci.Tag{tag}, ContentType: oci.MediaTypeImageManifest, Body: []byte(body),
					})
					results <- result{pushed.Digest, err}
				}()
			}
			var won []oci.Digest
			for range pushers {
				if r := <-results; r.err == nil {
					won = append(won, r.digest)
				} else if oci.ErrorCode(r.err) != oci.CodeDenied {
					t.Error(r.err)
				}
			}
			d, err := instances[1].ResolveTag(t.Context(), app, tag)
			if err != nil || len(won) != 1 || won[0] != d {
				t.Errorf("%v points at %v, %v; told that they pushed it: %v", tag, d, err, won)
			}
		}
	})
}

// Ensure that whatever step of a push to an immutable tag fails, in whatever way,
// the tag has one content from when somebody was told so.
func TestImmutableTagBrokenOff(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.NotApplied, storagetest.Applied, storagetest.AppliedLater} {
		for n, more := 0, true; more; n++ {
			s := storagetest.NewMemory()
			faults := &storagetest.Faults{}
			plain := newRegistry(s)
			broken := registry.New(faults.Blobs(s.Blobs()), faults.Records(s.Records()), registry.Options{})
			create(t, plain, app, "*")
			config := pushBlob(t, plain, app, oci.SHA256, "{}")
			push := func(r *registry.Registry, note string) (oci.Digest, error) {
				pushed, err := r.PutManifest(t.Context(), registry.Push{Repository: app, Tags: []oci.Tag{ref(t, "v1").Tag},
					ContentType: oci.MediaTypeImageManifest, Body: []byte(imageOf(config, `,"annotations":{"n":"`+note+`"}`))})
				return pushed.Digest, err
			}
			faults.On(storagetest.Nth(n, fault))
			first, firstErr := push(broken, "1")
			more = faults.Calls() > n
			second, secondErr := push(plain, "2")
			faults.Release()
			d, err := plain.ResolveTag(t.Context(), app, ref(t, "v1").Tag)
			if err != nil || firstErr == nil && d != first || secondErr == nil && d != second ||
				secondErr != nil && oci.ErrorCode(secondErr) != oci.CodeDenied {
				t.Errorf("fault %d of operation %d: v1 is %v, %v; pushed %v, %v and %v, %v", fault, n, d, err, first, firstErr, second, secondErr)
			}
		}
	}
}

// Ensure that a push that began before there was a rule does not move what was
// pushed under it.
func TestRuleAgainstStalledPush(t *testing.T) {
	s := storagetest.NewMemory()
	plain := newRegistry(s)
	config := pushBlob(t, plain, app, oci.SHA256, "{}")
	var kept oci.Digest
	meanwhile := func() {
		if _, err := plain.UpdateSettings(t.Context(), app, registry.SettingsSpec{ImmutableTags: patterns(t, "v*")}, nil); err != nil {
			t.Error(err)
		}
		kept = put(t, plain, app, imageOf(config, `,"annotations":{"kept":"1"}`), "v1")
	}
	stalled := registry.New(s.Blobs(), &beforePut{Records: s.Records(), suffix: "/tags/v1/current/link", do: meanwhile}, registry.Options{})
	put(t, stalled, app, imageOf(config, ""), "v1")
	if d, err := plain.ResolveTag(t.Context(), app, ref(t, "v1").Tag); err != nil || d != kept {
		t.Errorf("v1 is %v, %v; want %v", d, err, kept)
	}
}

// Ensure that settings whose write failed, but was done, are known as one's own,
// and that a repeated request finds them.
func TestSettingsBrokenOff(t *testing.T) {
	spec := registry.SettingsSpec{Description: "d"}
	for _, fault := range []storagetest.Fault{storagetest.NotApplied, storagetest.Applied} {
		for n, more := 0, true; more; n++ {
			s := storagetest.NewMemory()
			faults := &storagetest.Faults{}
			r := registry.New(s.Blobs(), faults.Records(s.Records()), registry.Options{Remember: time.Minute})
			faults.On(storagetest.Nth(n, fault))
			_, err := r.CreateRepository(t.Context(), app, spec, "key")
			more = faults.Calls() > n
			faults.On(nil)
			if err != nil {
				_, err = r.CreateRepository(t.Context(), app, spec, "key")
			}
			if err != nil {
				t.Errorf("fault %d of operation %d: the second try: %v", fault, n, err)
			}
			if got := names(t, r.Repositories(t.Context(), "")); !slices.Equal(got, []string{app.String()}) {
				t.Errorf("fault %d of operation %d: repositories %v", fault, n, got)
			}
		}
	}
	s := storagetest.NewMemory()
	r := registry.New(s.Blobs(), twice{s.Records()}, registry.Options{})
	if _, err := r.CreateRepository(t.Context(), app, spec, ""); err != nil {
		t.Errorf("create, repeated by the store's client: %v", err)
	}
	if got, err := r.UpdateSettings(t.Context(), app, registry.SettingsSpec{Description: "e"}, nil); err != nil || got.Description != "e" {
		t.Errorf("update, repeated by the store's client: %+v, %v", got, err)
	}
}

// twice does each write twice, as a client does that lost the first answer.
type twice struct{ storage.Records }

func (r twice) Put(ctx context.Context, key string, value []byte, was storage.Version) (storage.Version, error) {
	_, _ = r.Records.Put(ctx, key, value, was)
	return r.Records.Put(ctx, key, value, was)
}

// Ensure that what is damaged protects all, and can be set again.
func TestSettingsDamaged(t *testing.T) {
	for value, replaceable := range map[string]bool{"{": true, "": true, `{"version":1}`: true, `{"version":2,"revision":"x"}`: false} {
		s := storagetest.NewMemory()
		r, ctx := newRegistry(s), t.Context()
		config := pushBlob(t, r, app, oci.SHA256, "{}")
		put(t, r, app, imageOf(config, ""), "v1")
		write(t, s, settingsOfApp, value)
		_, err := r.PutManifest(ctx, registry.Push{Repository: app, Tags: []oci.Tag{ref(t, "v1").Tag}, ContentType: oci.MediaTypeImageManifest, Body: []byte(imageOf(config, `,"annotations":{}`))})
		for what, err := range map[string]error{"push": err, "delete": r.DeleteTag(ctx, app, ref(t, "v1").Tag), "delete all": r.DeleteRepository(ctx, app, registry.Deletion{Images: true})} {
			if err == nil || !strings.Contains(err.Error(), "settings of repository team/app") {
				t.Errorf("%s with the settings %q: %v", what, value, err)
			}
		}
		if public, err := r.AnonymousPull(ctx, app); public || err == nil {
			t.Errorf("anonymous pull with the settings %q: %v, %v", value, public, err)
		}
		if _, err := r.UpdateSettings(ctx, app, registry.SettingsSpec{Description: "d"}, nil); (err == nil) != replaceable {
			t.Errorf("the settings %q are set again: %v", value, err)
		}
	}
}

// Ensure that anonymous pulls end on all instances once their withdrawal is
// acknowledged, and that questions are few.
func TestAnonymousPull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := storagetest.NewMemory(), t.Context()
		faults := &storagetest.Faults{}
		first := registry.New(s.Blobs(), s.Records(), registry.Options{Remember: time.Minute})
		second := registry.New(s.Blobs(), faults.Records(s.Records()), registry.Options{Remember: time.Minute})
		want := func(what string, r *registry.Registry, want bool) {
			t.Helper()
			if got, err := r.AnonymousPull(ctx, app); err != nil || got != want {
				t.Errorf("%s: %v, %v; want %v", what, got, err, want)
			}
		}
		want("of nothing", second, false)
		create(t, first, app)
		set := func(public bool) time.Duration {
			began := time.Now()
			if _, err := first.UpdateSettings(ctx, app, registry.SettingsSpec{AnonymousPull: public}, nil); err != nil {
				t.Error(err)
			}
			return time.Since(began)
		}
		if took := set(true); took > 0 {
			t.Errorf("granting took %v", took)
		}
		want("granted here", first, true)
		time.Sleep(4 * time.Second)
		faults.On(nil)
		for range 10 {
			want("granted elsewhere", second, true)
		}
		if faults.Calls() != 1 {
			t.Errorf("10 pulls asked %d times", faults.Calls())
		}
		if took := set(false); took < 4*time.Second || took > 5*time.Second {
			t.Errorf("withdrawal took %v", took)
		}
		want("withdrawn elsewhere", second, false)
		want("withdrawn here", first, false)
		if took := set(false); took == 0 {
			t.Error("a repeated withdrawal did not wait")
		}
		time.Sleep(10 * time.Second)
		if took := set(false); took > 0 {
			t.Errorf("a change long after the withdrawal took %v", took)
		}
		set(true)
		began := time.Now()
		must(t, first.DeleteRepository(ctx, app, registry.Deletion{}))
		if time.Since(began) < 4*time.Second {
			t.Error("the deletion of a public repository did not wait")
		}
		want("deleted elsewhere", second, false)
	})
}

// Ensure that without memory, as on a directory, a withdrawal counts at once.
func TestAnonymousPullOnDirectory(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		first, second := newRegistry(s), newRegistry(s)
		create(t, first, app)
		for _, public := range []bool{true, false, true} {
			if _, err := first.UpdateSettings(t.Context(), app, registry.SettingsSpec{AnonymousPull: public}, nil); err != nil {
				t.Fatal(err)
			}
			if got, err := second.AnonymousPull(t.Context(), app); err != nil || got != public {
				t.Errorf("%v, %v; want %v", got, err, public)
			}
		}
	})
}
