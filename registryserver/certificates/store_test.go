package certificates

import (
	"bytes"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

type storeWorld struct {
	*testing.T
	records storage.Records
	faults  *storagetest.Faults
	logs    bytes.Buffer
	failed  int
	now     time.Time
}

func newStoreWorld(t *testing.T) *storeWorld {
	w := &storeWorld{T: t, faults: new(storagetest.Faults), now: time.Now()}
	w.records = w.faults.Records(storagetest.NewMemory().Records())
	return w
}

// open opens a server's store; its secrets are the current one and previous ones.
func (w *storeWorld) open(secrets ...string) *Store {
	w.Helper()
	s, err := OpenStore(w.Context(), StoreConfig{Records: w.records, Keys: testKeys(w.T, secrets...), Served: true,
		Log: slog.New(slog.NewTextHandler(&w.logs, nil)), Failed: func() { w.failed++ }, Now: func() time.Time { return w.now }})
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *storeWorld) put(s *Store, name string, a *authority) Installed {
	w.Helper()
	in, _, err := s.Put(w.Context(), Spec{Name: name, CertificatePEM: a.pem(), PrivateKeyPEM: a.keyPEM()})
	if err != nil {
		w.Fatal(err)
	}
	return in
}

func (w *storeWorld) refresh(s *Store) {
	w.Helper()
	if err := s.Refresh(w.Context()); err != nil {
		w.Fatal(err)
	}
}

// shows checks which certificate a client sees; nil is none.
func (w *storeWorld) shows(s *Store, host string, want *authority, protos ...string) {
	w.Helper()
	cert, err := s.Certificate(&tls.ClientHelloInfo{ServerName: host, SupportedProtos: protos})
	if err != nil || (cert == nil) != (want == nil) || want != nil && !cert.Leaf.Equal(want.cert) {
		w.Errorf("%s: shown %v %v", host, cert, err)
	}
}

// Ensure that names choose, that other servers follow, and that what is removed
// is shown no more.
func TestStoreServes(t *testing.T) {
	w := newStoreWorld(t)
	root := newCA(t)
	a, b := w.open("one"), w.open("one")
	if a.Default() != nil {
		t.Error("there is a certificate from nowhere")
	}
	exact, wild, next := root.leaf("r.example", "Alias.example"), root.leaf("*.example"), root.leaf("r.example")
	first := w.put(a, "exact", exact)
	w.put(a, "wild", wild)
	for _, s := range []*Store{a, b} {
		w.refresh(s)
		w.shows(s, "R.example.", exact)
		w.shows(s, "alias.example", exact)
		w.shows(s, "other.example", wild)
		w.shows(s, "a.b.example", nil)
		w.shows(s, "example", nil)
		w.shows(s, "", nil)
		w.shows(s, "r.example", nil, ACMEProtocol)
		if s.Default() == nil || len(s.Expiries()) != 2 || s.Expiries()[0].Name != "exact" {
			t.Errorf("%v", s.Expiries())
		}
	}
	second := w.put(a, "exact", next)
	w.shows(a, "r.example", next)
	w.shows(a, "alias.example", wild)
	if first.Revision == second.Revision || !first.CreatedAt.Equal(second.CreatedAt) || second.Fingerprint == first.Fingerprint {
		t.Errorf("%+v\n%+v", first, second)
	}
	if again := w.put(a, "exact", next); again.Revision != second.Revision {
		t.Error("installing what is installed changes it")
	}
	if err := a.Delete(t.Context(), "exact", nil); err != nil {
		t.Fatal(err)
	}
	w.shows(a, "r.example", wild)
	w.refresh(b)
	w.shows(b, "r.example", wild)
	if _, err := b.Get(t.Context(), "exact"); oci.ErrorCode(err) != oci.CodeNotFound {
		t.Errorf("%v", err)
	}
	if err := a.Delete(t.Context(), "exact", nil); oci.ErrorCode(err) != oci.CodeNotFound {
		t.Errorf("%v", err)
	}
}

// Ensure that keys are never in the storage as they are, and that data keys are
// wrapped anew when the secret changes, while the certificate stays the same.
func TestStoreSecrets(t *testing.T) {
	w := newStoreWorld(t)
	leaf := newCA(t).leaf("r.example")
	if _, _, err := w.open().Put(t.Context(), Spec{Name: "main", CertificatePEM: leaf.pem(), PrivateKeyPEM: leaf.keyPEM()}); oci.ErrorCode(err) != oci.CodeConflict || !strings.Contains(err.Error(), "http.secret") {
		t.Errorf("without a secret: %v", err)
	}
	in := w.put(w.open("one"), "main", leaf)
	first, err := w.records.Get(t.Context(), recordKey("main"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(first.Value, []byte(leaf.keyPEM()[40:80])) || bytes.Contains(first.Value, []byte("PRIVATE")) {
		t.Error("the storage holds the key")
	}
	running := w.open("one", "two") // not restarted with the new secret yet
	for _, secrets := range [][]string{{"two", "one"}, {"two"}, {"three", "two"}, {"three"}} {
		s := w.open(secrets...)
		w.shows(s, "r.example", leaf)
		if got, err := s.Get(t.Context(), "main"); err != nil || got.Revision != in.Revision || got.Problem != "" {
			t.Errorf("%v: %+v %v", secrets, got, err)
		}
	}
	rec, err := w.records.Get(t.Context(), recordKey("main"))
	if err != nil {
		t.Fatal(err)
	}
	old, _, _ := parseRecord(first.Value)
	now, _, err := parseRecord(rec.Value)
	if err != nil || !bytes.Equal(old.PrivateKey, now.PrivateKey) || bytes.Equal(old.DataKey.Key, now.DataKey.Key) {
		t.Errorf("not only the data key was wrapped anew: %v", err)
	}
	w.refresh(running) // cannot open it any more, and goes on with what it has
	w.shows(running, "r.example", leaf)
	if w.failed != 1 || !strings.Contains(w.logs.String(), "the one before stays in force") {
		t.Errorf("%d failures\n%s", w.failed, &w.logs)
	}
	foreign := w.open("four")
	w.shows(foreign, "r.example", nil)
	if got, err := foreign.Get(t.Context(), "main"); err != nil || !strings.Contains(got.Problem, "http.previoussecrets") || got.Fingerprint != in.Fingerprint {
		t.Errorf("%+v %v", got, err)
	}
	w.put(foreign, "main", leaf) // the way out
	w.shows(foreign, "r.example", leaf)
}

// Ensure that servers that differ about the current secret do not undo each
// other's work at every look.
func TestStoreRewrapsSlowly(t *testing.T) {
	w := newStoreWorld(t)
	w.put(w.open("one"), "main", newCA(t).leaf("r.example"))
	a, b := w.open("two", "one"), w.open("one", "two")
	version := func() storage.Version {
		rec, err := w.records.Get(t.Context(), recordKey("main"))
		if err != nil {
			t.Fatal(err)
		}
		return rec.Version
	}
	before := version()
	for range 3 {
		w.refresh(a)
		w.refresh(b)
	}
	if version() != before {
		t.Error("the data key was wrapped anew by a server that only looked")
	}
	w.now = w.now.Add(rewrapEvery)
	w.refresh(a)
	if version() == before {
		t.Error("an hour later the data key is not wrapped anew")
	}
}

// Ensure that conditions hold, also for what is not there.
func TestStoreConditions(t *testing.T) {
	w := newStoreWorld(t)
	root := newCA(t)
	s, one, two := w.open("one"), root.leaf("r.example"), root.leaf("r.example")
	never := func(string) bool { return false }
	put := func(a *authority, may func(string) bool, mustExist bool) (bool, error) {
		_, created, err := s.Put(t.Context(), Spec{Name: "main", CertificatePEM: a.pem(), PrivateKeyPEM: a.keyPEM(), May: may, MustExist: mustExist})
		return created, err
	}
	if _, err := put(one, nil, true); oci.ErrorCode(err) != oci.CodePreconditionFailed {
		t.Errorf("If-Match of nothing: %v", err)
	}
	if created, err := put(one, never, false); !created || err != nil {
		t.Errorf("If-None-Match: * of nothing: %v %v", created, err)
	}
	if created, err := put(one, never, false); created || err != nil {
		t.Errorf("repeated: %v %v", created, err)
	}
	if _, err := put(two, never, false); oci.ErrorCode(err) != oci.CodePreconditionFailed {
		t.Errorf("another: %v", err)
	}
	if err := s.Delete(t.Context(), "main", never); oci.ErrorCode(err) != oci.CodePreconditionFailed {
		t.Errorf("delete: %v", err)
	}
	if _, _, err := s.Put(t.Context(), Spec{Name: "a/b"}); oci.ErrorCode(err) != oci.CodeInvalid {
		t.Errorf("name: %v", err)
	}
}

// Ensure that a record that is damaged harms no other, is logged once, and can
// be replaced and removed.
func TestStoreDamage(t *testing.T) {
	w := newStoreWorld(t)
	root := newCA(t)
	good, other := root.leaf("r.example"), root.leaf("o.example")
	w.put(w.open("one"), "good", good)
	w.put(w.open("one"), "moved", other)
	moved, err := w.records.Get(t.Context(), recordKey("moved"))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string][]byte{"bad": []byte("x"), "future": []byte(`{"version":2}`), "copied": moved.Value} {
		if _, err := w.records.Put(t.Context(), recordKey(name), value, storage.Any); err != nil {
			t.Fatal(err)
		}
	}
	s := w.open("one")
	w.refresh(s)
	w.shows(s, "r.example", good)
	if w.failed != 3 || strings.Count(w.logs.String(), "cannot be used") != 3 {
		t.Errorf("%d failures\n%s", w.failed, &w.logs)
	}
	all, err := s.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	problems := map[string]bool{}
	for _, in := range all {
		problems[in.Name] = in.Problem != ""
	}
	if want := map[string]bool{"bad": true, "copied": true, "future": true, "good": false, "moved": false}; !maps.Equal(problems, want) {
		t.Errorf("%v", problems)
	}
	w.put(s, "bad", other)
	if err := s.Delete(t.Context(), "future", func(r string) bool {
		return slices.ContainsFunc(all, func(in Installed) bool { return in.Revision == r })
	}); err != nil {
		t.Error(err)
	}
}

// Ensure that a fault of the storage takes nothing away, and that a write that
// failed but was applied counts.
func TestStoreFaults(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.NotApplied, storagetest.Applied} {
		w := newStoreWorld(t)
		leaf, next := newCA(t).leaf("r.example"), newCA(t).leaf("r.example")
		s := w.open("one")
		w.put(s, "main", leaf)
		w.faults.On(storagetest.Ops(fault, "Records.Put"))
		_, _, err := s.Put(t.Context(), Spec{Name: "main", CertificatePEM: next.pem(), PrivateKeyPEM: next.keyPEM()})
		if oci.ErrorCode(err) != oci.CodeUnavailable {
			t.Errorf("%v", err)
		}
		w.faults.On(nil)
		want := map[storagetest.Fault]*authority{storagetest.NotApplied: leaf, storagetest.Applied: next}[fault]
		w.refresh(s)
		w.shows(s, "r.example", want)
		w.put(s, "main", next)
		w.shows(s, "r.example", next)

		w.faults.On(storagetest.Ops(storagetest.NotApplied, "Records.Get", "Records.Children"))
		for range 3 {
			if err := s.Refresh(t.Context()); err == nil || errors.Is(err, storage.ErrNotFound) {
				t.Errorf("%v", err)
			}
		}
		w.shows(s, "r.example", next)
		if n := strings.Count(w.logs.String(), "cannot read the installed"); n != 1 {
			t.Errorf("logged %d times", n)
		}
	}
}
