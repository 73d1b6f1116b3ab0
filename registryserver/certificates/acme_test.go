package certificates

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme/autocert"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

func testKeys(t *testing.T, secrets ...string) *auth.Keyring {
	t.Helper()
	if len(secrets) == 0 {
		return nil
	}
	keys, err := auth.NewKeyring(secrets[0], secrets[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// Ensure that values are sealed once there is a secret, follow its changes as
// they are read, and are never taken for missing when they cannot be opened.
func TestACMECacheFollowsSecrets(t *testing.T) {
	records := storagetest.NewMemory().Records()
	cache := func(secrets ...string) *acmeCache {
		return newACMECache(ACMEConfig{Records: records, Keys: testKeys(t, secrets...), DirectoryURL: "https://acme.example", Log: slog.New(slog.DiscardHandler)})
	}
	const value = "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n"
	stored := func() []byte {
		rec, err := records.Get(t.Context(), cache().folder+"r.example")
		if err != nil {
			t.Fatal(err)
		}
		return rec.Value
	}
	if _, err := cache("one").Get(t.Context(), "r.example"); !errors.Is(err, autocert.ErrCacheMiss) {
		t.Errorf("nothing there: %v", err)
	}
	if err := cache().Put(t.Context(), "r.example", []byte(value)); err != nil {
		t.Fatal(err)
	}
	if string(stored()) != value {
		t.Error("without a secret the value is not plain")
	}
	for _, secrets := range [][]string{{"one"}, {"two", "one"}, {"two"}, {"three", "two"}, {"three"}} {
		got, err := cache(secrets...).Get(t.Context(), "r.example")
		if err != nil || string(got) != value {
			t.Fatalf("%v: %q %v", secrets, got, err)
		}
		if sealed := stored(); bytes.Contains(sealed, []byte("PRIVATE")) || !testKeys(t, secrets...).SealedWithCurrent(sealed) {
			t.Errorf("%v: the value is not sealed with the current secret", secrets)
		}
	}
	for _, secrets := range [][]string{{"one", "two"}, {}} {
		_, err := cache(secrets...).Get(t.Context(), "r.example")
		if err == nil || errors.Is(err, autocert.ErrCacheMiss) || !strings.Contains(err.Error(), "http.previoussecrets") {
			t.Errorf("%v: %v", secrets, err)
		}
	}
	// A sealed value is bound to its place.
	if _, err := records.Put(t.Context(), cache().folder+"other.example", stored(), storage.Absent); err != nil {
		t.Fatal(err)
	}
	if _, err := cache("three").Get(t.Context(), "other.example"); err == nil {
		t.Error("a value opens under another name")
	}
}

// Ensure that servers that start at once have one account, and that each ACME
// server has its own.
func TestACMEAccount(t *testing.T) {
	records := storagetest.NewMemory().Records()
	open := func(directory string) *ecdsa.PrivateKey {
		a, err := OpenACME(t.Context(), ACMEConfig{Records: records, Keys: testKeys(t, "one"), Hosts: []string{"R.example."}, DirectoryURL: directory})
		if err != nil {
			t.Error(err)
			return nil
		}
		return a.hosts["r.example"].manager.Load().Client.Key.(*ecdsa.PrivateKey)
	}
	first, keys := open("https://a.example"), make([]*ecdsa.PrivateKey, 8)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() { keys[i] = open("https://b.example") })
	}
	all.Wait()
	for _, key := range keys {
		if !key.Equal(keys[0]) || key.Equal(first) {
			t.Error("not one account for each ACME server")
		}
	}
}

// Ensure that one server at a time gets a certificate, that a lease ends with
// its time, and that one from the far future counts for nothing.
func TestLease(t *testing.T) {
	now := time.Now()
	c := newACMECache(ACMEConfig{Records: storagetest.NewMemory().Records()})
	c.now = func() time.Time { return now }
	if _, err := c.takeLease(t.Context(), "registrykit/v1/l", "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.takeLease(t.Context(), "registrykit/v1/l", "b"); !errors.Is(err, storage.ErrConflict) {
		t.Errorf("taken twice: %v", err)
	}
	now = now.Add(leaseTime + time.Second)
	if _, err := c.takeLease(t.Context(), "registrykit/v1/l", "b"); err != nil {
		t.Errorf("after its time: %v", err)
	}
	value, _ := json.Marshal(lease{1, "a", now.Add(time.Hour)})
	for _, damaged := range [][]byte{value, []byte("x"), nil} {
		if _, err := c.records.Put(t.Context(), "registrykit/v1/l", damaged, storage.Any); err != nil {
			t.Fatal(err)
		}
		if _, err := c.takeLease(t.Context(), "registrykit/v1/l", "c"); err != nil {
			t.Errorf("%s: %v", damaged, err)
		}
	}
}

// Ensure that strangers cause no requests, and clients hear what is wrong.
func TestACMECertificate(t *testing.T) {
	var faults storagetest.Faults
	a, err := OpenACME(t.Context(), ACMEConfig{Records: faults.Records(storagetest.NewMemory().Records()), Hosts: []string{"r.example"}, DirectoryURL: "https://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	before := faults.Calls()
	for _, hello := range []*tls.ClientHelloInfo{{ServerName: "x.example"}, {}, {ServerName: "x.example", SupportedProtos: []string{ACMEProtocol}}} {
		if cert, err := a.Certificate(hello); cert != nil || err != nil {
			t.Errorf("%v: %v %v", hello, cert, err)
		}
	}
	if n := faults.Calls() - before; n != 0 {
		t.Errorf("strangers caused %d calls of the storage", n)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	a.Run(ctx) // nobody listens there
	if _, err := a.Certificate(&tls.ClientHelloInfo{ServerName: "R.Example"}); err == nil || !strings.Contains(err.Error(), "no certificate for r.example yet") {
		t.Errorf("%v", err)
	}
	if a.Default() != nil || len(a.Expiries()) != 0 {
		t.Error("there is a certificate from nowhere")
	}
}
