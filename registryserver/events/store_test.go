package events

import (
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// ring returns the keys of http secrets.
func ring(t *testing.T, current string, previous ...string) *auth.Keyring {
	t.Helper()
	keys, err := auth.NewKeyring(current, previous...)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestSecrets: they lie sealed in the storage, follow http.secret when it is
// exchanged, and a webhook whose secrets cannot be opened says so.
func TestSecrets(t *testing.T) {
	w := newWorld(t, nil)
	secret, authorization := "a secret of 25 characters", "Bearer of news"
	spec := Spec{Name: "ci", URL: "http://ci/", Format: Distribution, Actions: []Action{Push}, Enabled: true, Secret: &secret, Authorization: &authorization}
	made, err := w.store.Create(t.Context(), spec, "")
	if err != nil || !made.HasSecret || !made.HasAuthorization || made.SecretRevision == "" {
		t.Fatalf("%+v %v", made, err)
	}
	rec, err := w.records.Get(t.Context(), webhooksKey)
	if err != nil || strings.Contains(string(rec.Value), secret) || strings.Contains(string(rec.Value), authorization) {
		t.Errorf("%v: %s", err, rec.Value)
	}
	open := func(keys *auth.Keyring) *receiver {
		s, err := OpenStore(t.Context(), StoreConfig{Records: w.records, Keys: keys, Log: w.log()})
		if err != nil {
			t.Fatal(err)
		}
		return s.receiver("ci")
	}
	for name, keys := range map[string]*auth.Keyring{"none": nil, "another": ring(t, "another secret")} {
		if got := open(keys); got.Problem == "" || got.secret != "" || !got.HasSecret || !got.wants(Event{Action: Push, Repository: "a"}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	s, err := OpenStore(t.Context(), StoreConfig{Records: w.records, Keys: ring(t, "another secret", "the http secret"), Log: w.log()})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.receiver("ci"); got.secret != secret || got.authorization != authorization {
		t.Errorf("%+v", got)
	}
	s.reseal(t.Context())
	if got := open(ring(t, "another secret")); got.secret != secret || got.authorization != authorization || got.Revision != made.Revision || got.SecretRevision != made.SecretRevision {
		t.Errorf("%+v", got)
	}

	// Nil keeps them, "" removes them.
	spec.Secret, spec.Authorization = nil, nil
	kept, err := s.Update(t.Context(), spec, nil)
	if err != nil || !kept.HasSecret || !kept.HasAuthorization || kept.SecretRevision != made.SecretRevision || kept.Revision == made.Revision {
		t.Errorf("%+v %v", kept, err)
	}
	empty := ""
	spec.Secret = &empty
	without, err := s.Update(t.Context(), spec, nil)
	if err != nil || without.HasSecret || !without.HasAuthorization || without.SecretRevision == made.SecretRevision {
		t.Errorf("%+v %v", without, err)
	}
}

// TestSecretsNeedAnHTTPSecret: what would lie in the clear is not taken.
func TestSecretsNeedAnHTTPSecret(t *testing.T) {
	w := newWorld(t, nil)
	s, err := OpenStore(t.Context(), StoreConfig{Records: w.records, Log: w.log()})
	if err != nil {
		t.Fatal(err)
	}
	secret := "a secret of 25 characters"
	spec := Spec{Name: "ci", URL: "http://ci/", Format: Distribution, Actions: []Action{Push}, Secret: &secret}
	if _, err := s.Create(t.Context(), spec, ""); oci.ErrorCode(err) != oci.CodeConflict || !strings.Contains(err.Error(), "REGISTRY_HTTP_SECRET") {
		t.Error(err)
	}
	spec.Secret = nil
	if _, err := s.Create(t.Context(), spec, ""); err != nil {
		t.Error(err)
	}
}

// TestChanges: another server's changes are seen, keys of requests count, and
// faults of the storage are told as such.
func TestChanges(t *testing.T) {
	w := newWorld(t, nil, "ci")
	other := w.open(nil)
	spec := Spec{Name: "ci", URL: "http://other/", Format: CloudEvents, Actions: []Action{Delete}, Enabled: true}
	if _, err := w.store.Create(t.Context(), spec, "key"); oci.ErrorCode(err) != oci.CodeConflict {
		t.Error(err)
	}
	spec.Name = "two"
	first, err := w.store.Create(t.Context(), spec, "key")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := other.Create(t.Context(), spec, "key"); err != nil || again.Revision != first.Revision {
		t.Errorf("%+v %v", again, err)
	}
	if err := other.Delete(t.Context(), "ci", nil); err != nil {
		t.Fatal(err)
	}
	if w.store.receiver("ci") == nil {
		t.Error("nobody has looked yet")
	}
	if err := w.store.Refresh(t.Context()); err != nil || w.store.receiver("ci") != nil || w.store.Count() != 1 {
		t.Errorf("%v", err)
	}
	w.faults.On(func(storagetest.Call) storagetest.Fault { return storagetest.NotApplied })
	if _, err := w.store.All(t.Context()); oci.ErrorCode(err) != oci.CodeUnavailable {
		t.Error(err)
	}
	if err := w.store.Delete(t.Context(), "two", nil); oci.ErrorCode(err) != oci.CodeUnavailable {
		t.Error(err)
	}
	if w.store.receiver("two") == nil || w.store.Refresh(t.Context()) == nil || !strings.Contains(w.logs.String(), "those known stay in force") {
		t.Errorf("%s", w.logs)
	}
	w.faults.On(nil)
	for n := w.store.Count(); n < maxWebhooks; n++ {
		w.create("more-" + strings.Repeat("x", n))
	}
	spec.Name = "toomany"
	if _, err := w.store.Create(t.Context(), spec, ""); oci.ErrorCode(err) != oci.CodeConflict {
		t.Error(err)
	}
}
