package proxycache

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
	"github.com/registrykit/terraform-provider-registry/registryserver/transfer"
)

func openStore(t *testing.T, records storage.Records, secret string, previous ...string) *Store {
	t.Helper()
	c := StoreConfig{Records: records}
	if secret != "" {
		var err error
		if c.Keys, err = auth.NewKeyring(secret, previous...); err != nil {
			t.Fatal(err)
		}
	}
	s, err := OpenStore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestPut(t *testing.T) {
	records := storagetest.NewMemory().Records()
	s := openStore(t, records, "the secret")
	secret := "a password of the upstream"
	spec := Spec{Prefix: "hub", URL: "https://docker.io", Username: "me", Password: &secret, RevalidateAfter: time.Minute}
	e, created, err := s.Put(t.Context(), spec)
	if err != nil || !created || !e.HasPassword || e.URL != "https://registry-1.docker.io" || e.RevalidateAfter != time.Minute {
		t.Fatalf("%+v, %v, %v", e, created, err)
	}
	rec, err := records.Get(t.Context(), documentKey)
	if err != nil || bytes.Contains(rec.Value, []byte(secret)) {
		t.Errorf("the record has the password in the clear, or is not there: %v", err)
	}
	if rt, ok := s.route(oci.MustRepository("hub/library/nginx")); !ok || rt.password != secret {
		t.Errorf("%+v", rt)
	}
	// Without a password, what is kept stays, for the same user and host alone.
	spec.Password = nil
	spec.RevalidateAfter = 0
	again, created, err := s.Put(t.Context(), spec)
	if err != nil || created || again.CredentialRevision != e.CredentialRevision || again.Revision == e.Revision {
		t.Errorf("%+v, %v, %v", again, created, err)
	}
	same, _, err := s.Put(t.Context(), spec)
	if err != nil || same.Revision != again.Revision {
		t.Errorf("what changes nothing has another revision: %+v, %v", same, err)
	}
	for name, change := range map[string]func(*Spec){
		"another host":      func(s *Spec) { s.URL = "https://evil.example" },
		"another user":      func(s *Spec) { s.Username = "you" },
		"in the clear":      func(s *Spec) { s.URL = "http://registry-1.docker.io" },
		"no user":           func(s *Spec) { s.Username, s.Password = "", &secret },
		"empty password":    func(s *Spec) { s.Password = new(string) },
		"bad prefix":        func(s *Spec) { s.Prefix = "Hub" },
		"bad url":           func(s *Spec) { s.URL = "docker.io" },
		"a negative size":   func(s *Spec) { s.MaxSize = -1 },
		"too long a time":   func(s *Spec) { s.RevalidateAfter = 2 * MaxRevalidateAfter },
		"user, no password": func(s *Spec) { s.Prefix = "other" },
	} {
		bad := spec
		change(&bad)
		if _, _, err := s.Put(t.Context(), bad); oci.ErrorCode(err) != oci.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	never := spec
	never.RevalidateAfter = time.Hour
	never.May = func(string) bool { return false }
	if _, _, err := s.Put(t.Context(), never); oci.ErrorCode(err) != oci.CodePreconditionFailed {
		t.Errorf("%v", err)
	}
	if _, _, err := openStore(t, storagetest.NewMemory().Records(), "").Put(t.Context(), Spec{Prefix: "hub", URL: "https://a.b", Username: "me", Password: &secret}); oci.ErrorCode(err) != oci.CodeConflict {
		t.Errorf("without http.secret: %v", err)
	}
	if err := s.Delete(t.Context(), "hub", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), "hub", nil); oci.ErrorCode(err) != oci.CodeNotFound {
		t.Errorf("%v", err)
	}
	if _, ok := s.route(oci.MustRepository("hub/library/nginx")); ok {
		t.Error("what was deleted is still in force")
	}
}

// A password follows the secret: it is sealed anew with the current one, and one
// that no known secret opens is said to be so.
func TestPasswordsFollowTheSecret(t *testing.T) {
	records := storagetest.NewMemory().Records()
	secret := "a password of the upstream"
	if _, _, err := openStore(t, records, "first").Put(t.Context(), Spec{Prefix: "hub", URL: "https://a.b", Username: "me", Password: &secret}); err != nil {
		t.Fatal(err)
	}
	if e, err := openStore(t, records, "foreign").Get(t.Context(), "hub"); err != nil || e.Problem == "" {
		t.Errorf("%+v, %v", e, err)
	}
	if e, err := openStore(t, records, "second", "first").Get(t.Context(), "hub"); err != nil || e.Problem != "" {
		t.Errorf("%+v, %v", e, err)
	}
	s := openStore(t, records, "second")
	if rt, ok := s.route(oci.MustRepository("hub/a")); !ok || rt.err != nil || rt.password != secret {
		t.Errorf("it was not sealed anew: %+v", rt)
	}
	// One that was moved to another host opens no more.
	doc, err := parseDocument(value(t, records))
	if err != nil {
		t.Fatal(err)
	}
	moved := *doc.Caches["hub"]
	moved.URL = "https://evil.example"
	if _, err := moved.password(s.Keys, "hub"); !errors.Is(err, errForeignSecret) {
		t.Errorf("the password opens for another host: %v", err)
	}
}

func value(t *testing.T, records storage.Records) []byte {
	t.Helper()
	rec, err := records.Get(t.Context(), documentKey)
	if err != nil {
		t.Fatal(err)
	}
	return rec.Value
}

func TestRoute(t *testing.T) {
	s := openStore(t, storagetest.NewMemory().Records(), "")
	for prefix, url := range map[string]string{"hub": "https://docker.io", "hub/quay": "https://quay.io", "mirror/ghcr": "https://ghcr.io/org"} {
		if _, _, err := s.Put(t.Context(), Spec{Prefix: prefix, URL: url}); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"hub/nginx": "https://registry-1.docker.io library/nginx", "hub/team/app": "https://registry-1.docker.io team/app",
		"hub/quay": "https://registry-1.docker.io library/quay", "hub/quay/a": "https://quay.io a", "mirror/ghcr/x/y": "https://ghcr.io/org org/x/y",
		"hub": "", "hubs/nginx": "", "mirror/other": "", "team/hub/app": "",
	} {
		repo, got := oci.MustRepository(name), ""
		if rt, ok := s.route(repo); ok {
			upstream, err := rt.name(repo)
			if err != nil {
				t.Error(err)
			}
			got = rt.upstream.String() + " " + upstream.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestSameSite(t *testing.T) {
	for _, x := range []struct {
		upstream, host string
		want           bool
	}{
		{"registry-1.docker.io", "auth.docker.io", true}, {"registry-1.docker.io", "registry-1.docker.io:443", true}, {"ghcr.io", "ghcr.io", true},
		{"registry.gitlab.com", "gitlab.com", true}, {"127.0.0.1:5000", "127.0.0.1:5000", true},
		{"registry-1.docker.io", "auth.docker.io.evil.example", false}, {"registry-1.docker.io", "docker.com", false},
		{"127.0.0.1:5000", "127.0.0.1:5001", false}, {"localhost:5000", "localhost:5001", false}, {"10.0.0.1", "10.0.0.2", false},
		{"one.s3.amazonaws.com", "two.s3.amazonaws.com", false}, {"a.co.uk", "b.co.uk", false}, {"a.github.io", "b.github.io", false},
	} {
		if got := transfer.SameSite(x.upstream, x.host); got != x.want {
			t.Errorf("%s and %s: %v", x.upstream, x.host, got)
		}
	}
}

// FuzzParseDocument: whatever lies in the storage, reading it ends with an error
// or with caches that can be used.
func FuzzParseDocument(f *testing.F) {
	f.Add([]byte(`{"version":1,"caches":{"hub":{"revision":"a","url":"https://docker.io"}}}`))
	f.Add([]byte(`{"version":1,"caches":{"hub":null}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		doc, err := parseDocument(value)
		if err != nil {
			return
		}
		for prefix, r := range doc.Caches {
			if _, err := r.password(nil, prefix); err != nil && !errors.Is(err, errForeignSecret) {
				t.Error(err)
			}
		}
	})
}

// TestCollected: garbage collections hear of all caches, also of those in records of
// before there were bounds, and of the one that is configured.
func TestCollected(t *testing.T) {
	records := storagetest.NewMemory().Records()
	const old = `{"version":1,"caches":{"hub":{"revision":"r","url":"https://registry-1.docker.io","revalidate_after":600,"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}}}`
	if _, err := records.Put(t.Context(), documentKey, []byte(old), storage.Absent); err != nil {
		t.Fatal(err)
	}
	s, err := OpenStore(t.Context(), StoreConfig{Records: records, Whole: &Whole{URL: "https://quay.io", MaxSize: 3}})
	if err != nil {
		t.Fatal(err)
	}
	want := func(hub int64) {
		t.Helper()
		got, err := s.Collected(t.Context())
		if err != nil || !slices.Equal(got, []registry.CollectedCache{{Prefix: "hub", MaxBytes: hub}, {MaxBytes: 3}}) {
			t.Errorf("%+v, %v; want %d", got, err, hub)
		}
	}
	want(0)
	e, _, err := s.Put(t.Context(), Spec{Prefix: "hub", URL: "https://docker.io", RevalidateAfter: 10 * time.Minute, MaxSize: 7})
	if err != nil || e.MaxSize != 7 || e.Revision == "r" {
		t.Fatalf("%+v, %v", e, err)
	}
	want(7)
}
