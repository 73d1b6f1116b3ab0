package registry

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// Ensure that keys of the index sort as names do, lead back to them, and never
// lie below one another.
func FuzzIndexKey(f *testing.F) {
	for _, pair := range [][2]string{{"a", "a/b"}, {"a-b", "a/b"}, {"a.b", "a/b"}, {"a/b", "a0"}, {"a_b", "a__b"}, {"a", "a"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, name := range []string{a, b} {
			if _, err := oci.ParseRepository(name); err != nil {
				t.Skip()
			}
			if got := indexedName(indexKey(name)); got != name {
				t.Errorf("%q comes back as %q", name, got)
			}
			if err := storage.CheckKey(indexKey(name)); err != nil {
				t.Error(err)
			}
		}
		if strings.Compare(a, b) != strings.Compare(indexKey(a), indexKey(b)) || strings.HasPrefix(indexKey(b), indexKey(a)+"/") {
			t.Errorf("%q and %q sort otherwise than %q and %q", indexKey(a), indexKey(b), a, b)
		}
	})
}

func indexedRegistry(s *storagetest.Memory, clock *time.Time) *Registry {
	return New(s.Blobs(), s.Records(), Options{Remember: time.Minute, Now: func() time.Time { return *clock }})
}

func names(t *testing.T, r *Registry) []string {
	t.Helper()
	var all []string
	for repo, err := range r.Repositories(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, repo.String())
	}
	return all
}

func pushTo(t *testing.T, r *Registry, name string) {
	t.Helper()
	body := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageIndex + `","manifests":[]}`
	p := Push{Repository: oci.MustRepository(name), ContentType: oci.MediaTypeImageIndex, Body: []byte(body)}
	if _, err := r.PutManifest(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// Ensure that the index has what was there before it, what was pushed since and
// what another program pushed once it is walked again, and not what is gone.
func TestIndex(t *testing.T) {
	s, clock := storagetest.NewMemory(), time.Now()
	foreign := New(s.Blobs(), s.Records(), Options{}) // keeps no index
	r, other := indexedRegistry(s, &clock), indexedRegistry(s, &clock)
	want := func(r *Registry, want ...string) {
		t.Helper()
		if got := names(t, r); !slices.Equal(got, want) {
			t.Errorf("repositories %v, want %v", got, want)
		}
	}
	reindex := func(r *Registry) {
		t.Helper()
		if err := r.reindex(t.Context(), reindexEvery); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a/b", "a", "a-b"} {
		pushTo(t, foreign, name)
	}
	want(r, "a", "a-b", "a/b")
	reindex(r)
	reindex(other)
	pushTo(t, r, "new")
	pushTo(t, foreign, "foreign")
	want(other, "a", "a-b", "a/b", "new")
	if err := r.DeleteRepository(t.Context(), oci.MustRepository("a"), Deletion{Images: true}); err != nil {
		t.Fatal(err)
	}
	want(other, "a-b", "a/b", "new")
	if err := foreign.DeleteRepository(t.Context(), oci.MustRepository("a/b"), Deletion{Images: true}); err != nil {
		t.Fatal(err)
	}
	clock = clock.Add(reindexEvery + time.Minute)
	reindex(other)
	want(r, "a-b", "foreign", "new")
}

// Ensure that a push to a repository that another instance is deleting, or making
// it anew, leaves it in the index, at whatever step of the deletion it comes.
func TestIndexAgainstDeletion(t *testing.T) {
	t.Run("push", func(t *testing.T) {
		indexAgainstDeletion(t, func(r *Registry) { pushTo(t, r, "a") })
	})
	t.Run("create", func(t *testing.T) {
		indexAgainstDeletion(t, func(r *Registry) {
			if _, err := r.CreateRepository(t.Context(), oci.MustRepository("a"), SettingsSpec{}, ""); err != nil && oci.ErrorCode(err) != oci.CodeConflict {
				t.Error(err)
			}
		})
	})
}

func indexAgainstDeletion(t *testing.T, enter func(*Registry)) {
	t.Helper()
	repo := oci.MustRepository("a")
	for n := 0; ; n++ {
		s, clock := storagetest.NewMemory(), time.Now()
		faults := &storagetest.Faults{}
		deleter := New(faults.Blobs(s.Blobs()), faults.Records(s.Records()), Options{Remember: time.Minute})
		pusher := indexedRegistry(s, &clock)
		pushTo(t, pusher, "a")
		if err := pusher.reindex(t.Context(), reindexEvery); err != nil {
			t.Fatal(err)
		}
		faults.On(func(c storagetest.Call) storagetest.Fault {
			if c.N == n {
				if _, _, err := pusher.facts.look(context.Background()); err != nil {
					t.Error(err)
				}
				enter(pusher)
			}
			return storagetest.None
		})
		if err := deleter.DeleteRepository(t.Context(), repo, Deletion{Images: true}); err != nil {
			t.Fatal(err)
		}
		exists, err := pusher.RepositoryExists(t.Context(), repo)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(t, pusher); exists != slices.Contains(got, "a") {
			t.Errorf("push at operation %d: the repository is there: %v; the index has %v", n, exists, got)
		}
		if faults.Calls() <= n {
			return
		}
	}
}
