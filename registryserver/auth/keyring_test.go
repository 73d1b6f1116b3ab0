package auth

import (
	"bytes"
	"context"
	"encoding/hex"
	"strings"
	"sync"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

func newKeyring(t testing.TB, secrets ...string) *Keyring {
	t.Helper()
	k, err := NewKeyring(secrets[0], secrets[1:]...)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeyring(t *testing.T) {
	k := newKeyring(t, "one")
	sealed, err := k.Seal("uploads", []byte("state"), []byte("repo"))
	if err != nil || len(sealed) != len("state")+SealOverhead {
		t.Fatal(len(sealed), err)
	}
	if again, _ := k.Seal("uploads", []byte("state"), []byte("repo")); bytes.Equal(again, sealed) {
		t.Error("sealed values repeat")
	}
	for name, tc := range map[string]struct {
		ring         *Keyring
		purpose, aad string
		ok           bool
	}{
		"same":           {k, "uploads", "repo", true},
		"another server": {newKeyring(t, "one"), "uploads", "repo", true},
		"rotated":        {newKeyring(t, "two", "one"), "uploads", "repo", true},
		"rotated twice":  {newKeyring(t, "three", "two", "one"), "uploads", "repo", true},
		"removed":        {newKeyring(t, "two"), "uploads", "repo", false},
		"other purpose":  {k, "tokens", "repo", false},
		"other aad":      {k, "uploads", "repo2", false},
		"no aad":         {k, "uploads", "", false},
	} {
		plain, err := tc.ring.Open(tc.purpose, sealed, []byte(tc.aad))
		if tc.ok != (err == nil) || tc.ok && string(plain) != "state" {
			t.Errorf("%s: %q, %v", name, plain, err)
		}
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := k.Open("uploads", bad, []byte("repo")); err == nil {
			t.Errorf("byte %d can be changed", i)
		}
		if _, err := k.Open("uploads", sealed[:i], []byte("repo")); err == nil {
			t.Errorf("can be cut to %d bytes", i)
		}
	}
	if _, err := NewKeyring(""); err == nil {
		t.Error("an empty secret is accepted")
	}
	if _, err := NewKeyring("one", ""); err == nil {
		t.Error("an empty previous secret is accepted")
	}
}

// sealedVector is "x" sealed with the secret "one" for the purpose "p" and aad
// "aad".
const sealedVector = "0151539c98d8dd5123c4c6ac9fc137dfaa1966d051029a29fb5f90be3a9db18e21e1fc2153a9ab3c5c3bccf3e560"

// TestKeyringFormat holds the format: what was sealed before an update of the
// server opens after it.
func TestKeyringFormat(t *testing.T) {
	sealed, err := hex.DecodeString(sealedVector)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := newKeyring(t, "one").Open("p", sealed, []byte("aad")); err != nil || string(plain) != "x" {
		t.Errorf("%q, %v", plain, err)
	}
}

func TestKeyringConcurrent(t *testing.T) {
	k := newKeyring(t, "one", "two")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			purpose := strings.Repeat("p", i%3+1)
			sealed, err := k.Seal(purpose, []byte("x"), nil)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := k.Open(purpose, sealed, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestLoadOrCreateSecret(t *testing.T) {
	records := storagetest.NewMemory().Records()
	secrets := make([]string, 10)
	var wg sync.WaitGroup
	for i := range secrets {
		wg.Go(func() {
			var err error
			if secrets[i], err = LoadOrCreateSecret(context.Background(), records); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range secrets {
		if s != secrets[0] || len(s) < 40 {
			t.Fatalf("secrets differ, or are short: %q", secrets)
		}
	}
	for _, damage := range []string{"", "{}", `{"version":2,"secret":"x"}`, secrets[0]} {
		if _, err := records.Put(t.Context(), secretKey, []byte(damage), storage.Any); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreateSecret(t.Context(), records); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%q: %v", damage, err)
		}
	}
	for _, fault := range []storagetest.Fault{storagetest.NotApplied, storagetest.Applied} {
		for _, op := range []string{"Records.Get", "Records.Put"} {
			var f storagetest.Faults
			f.On(storagetest.Ops(fault, op))
			if _, err := LoadOrCreateSecret(t.Context(), f.Records(storagetest.NewMemory().Records())); err == nil {
				t.Errorf("%s %d: no error", op, fault)
			}
		}
	}
}

// Ensure that a secret accepted later opens what it sealed, and seals nothing.
func TestKeyringAccept(t *testing.T) {
	k, next := newKeyring(t, "one"), newKeyring(t, "two", "one")
	sealed, err := next.Seal("uploads", []byte("state"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Open("uploads", sealed, nil); err == nil {
		t.Error("opened before it was accepted")
	}
	for n, want := range []bool{true, false} {
		if accepted, err := k.Accept("two"); accepted != want || err != nil {
			t.Errorf("accepted for time %d: %v, %v", n, accepted, err)
		}
	}
	if plain, err := k.Open("uploads", sealed, nil); err != nil || string(plain) != "state" {
		t.Errorf("%q, %v", plain, err)
	}
	if mine, err := k.Seal("uploads", nil, nil); err != nil || !k.SealedWithCurrent(mine) || next.SealedWithCurrent(mine) {
		t.Errorf("what seals has changed: %v", err)
	}
	if _, err := k.Accept(""); err == nil {
		t.Error("an empty secret was accepted")
	}
}
