package migrate_test

import (
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/migrate"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

func newStore(name string) migrate.Store {
	m := storagetest.NewMemory()
	return migrate.Store{Blobs: m.Blobs(), Records: m.Records(), Name: name}
}

func put(t *testing.T, s migrate.Store, keysAndValues ...string) {
	t.Helper()
	for i := 0; i < len(keysAndValues); i += 2 {
		if _, err := s.Records.Put(t.Context(), keysAndValues[i], []byte(keysAndValues[i+1]), storage.Any); err != nil {
			t.Fatal(err)
		}
	}
}

func keys(t *testing.T, s migrate.Store) string {
	t.Helper()
	var all []string
	for key, err := range s.Records.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, key)
	}
	return strings.Join(all, " ")
}

const repo = "docker/registry/v2/repositories/a"

// What belongs to one storage stays there; what else there is is the same in both.
func TestRun(t *testing.T) {
	from, to := newStore("old"), newStore("new")
	d := oci.FromBytes([]byte("blob"))
	if _, err := from.Blobs.Put(t.Context(), []byte("blob")); err != nil {
		t.Fatal(err)
	}
	put(t, from, repo+"/_layers/sha256/"+d.Hex()+"/link", d.String(), repo+"/_manifests/tags/v1/current/link", d.String(),
		repo+"/_uploads/x/startedat", "now", "registrykit/v1/directory", "users", "registrykit/v1/epoch", "1", "registrykit/v1/webhooks", "hooks", "registrykit/v1/replications", "rules", "registrykit/v1/events/1-x", "event", "registrykit/v1/secrets/http", "secret",
		"registrykit/v1/tokens/x", "token", "registrykit/v1/acme/a/host", "key", "registrykit/v1/acme/a/host+token", "t", "registrykit/v1/acme/a/leases/host", "l")
	o := migrate.Options{Parallel: 4}
	r, err := migrate.Run(t.Context(), from, to, o)
	if err != nil || !r.InStep || r.BlobsCopied != 1 || r.RecordsCopied != 7 {
		t.Fatalf("%+v, %v", r, err)
	}
	want := repo + "/_layers/sha256/" + d.Hex() + "/link " + repo + "/_manifests/tags/v1/current/link registrykit/v1/acme/a/host registrykit/v1/directory registrykit/v1/migration registrykit/v1/replications registrykit/v1/tokens/x registrykit/v1/webhooks"
	if got := keys(t, to); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	// A tag that moved, a token that was revoked.
	other := oci.FromBytes([]byte("other"))
	put(t, from, repo+"/_manifests/tags/v1/current/link", other.String())
	if err := from.Records.Delete(t.Context(), "registrykit/v1/tokens/x", storage.Any); err != nil {
		t.Fatal(err)
	}
	if r, err = migrate.Run(t.Context(), from, to, o); err != nil || r.RecordsCopied != 1 || r.RecordsRemoved != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	o.Final, o.Verify = true, true
	if r, err = migrate.Run(t.Context(), from, to, o); err != nil || !r.Complete || !r.Verified {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err = migrate.Run(t.Context(), from, to, o); err == nil {
		t.Error("a storage that was complete was written again")
	}
}

func TestRunRefusesOtherStorages(t *testing.T) {
	from, to := newStore("old"), newStore("new")
	if _, err := migrate.Run(t.Context(), from, to, migrate.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := migrate.Run(t.Context(), newStore("another"), to, migrate.Options{}); err == nil {
		t.Error("two migrations went into one storage")
	}
	used := newStore("used")
	put(t, used, "registrykit/v1/directory", "users")
	if _, err := migrate.Run(t.Context(), from, used, migrate.Options{}); err == nil {
		t.Error("a storage with users was overwritten")
	}
}

// Whatever call fails, done or not, the next run ends with the same.
func TestRunGoesOnAfterFaults(t *testing.T) {
	for _, kind := range []storagetest.Fault{storagetest.NotApplied, storagetest.Applied} {
		for n := 0; ; n++ {
			from, to := newStore("old"), newStore("new")
			for _, content := range []string{"one", "two"} {
				if _, err := from.Blobs.Put(t.Context(), []byte(content)); err != nil {
					t.Fatal(err)
				}
			}
			put(t, from, repo+"/_manifests/tags/v1/current/link", oci.FromBytes([]byte("one")).String(), "registrykit/v1/directory", "users")
			faults := &storagetest.Faults{}
			faults.On(func(c storagetest.Call) storagetest.Fault {
				if c.N == n {
					return kind
				}
				return storagetest.None
			})
			faulty := migrate.Store{Blobs: faults.Blobs(to.Blobs), Records: faults.Records(to.Records), Name: "new"}
			_, err := migrate.Run(t.Context(), from, faulty, migrate.Options{})
			if err == nil && faults.Calls() <= n {
				break // there were fewer calls
			}
			r, err := migrate.Run(t.Context(), from, to, migrate.Options{Final: true, Verify: true})
			if err != nil || !r.Complete {
				t.Fatalf("fault %v at call %d: %+v, %v", kind, n, r, err)
			}
		}
	}
}
