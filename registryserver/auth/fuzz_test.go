package auth

import (
	"bytes"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

func FuzzHTPasswd(f *testing.F) {
	for _, s := range []string{"", "a:b", "# x\n\na:$2y$05$abc\n", "\ufeffa:b\r\n", ":x", "x", "a:b:c\nd", "\x00:\xff", "a:$2y$10$" + strings.Repeat("a", 53)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		entries, err := parseHTPasswd(content)
		if err != nil {
			if len(entries) > 0 {
				t.Error("entries beside an error")
			}
			return
		}
		users := newHTPasswdUsers(content, entries)
		for _, e := range entries {
			a := users.accounts[e.name]
			if e.name == "" || strings.Contains(e.name, ":") || a == nil {
				t.Errorf("entry %q", e.name)
			}
			if a.hash != "" && oci.CheckPasswordHash(a.hash) != nil || a.identity.Admin() {
				t.Errorf("user %q", e.name)
			}
		}
	})
}

func FuzzAuthorization(f *testing.F) {
	for _, s := range []string{"", "Basic", "Basic ", "Basic Og==", "basic YTpi", "Basic YTpiOmM=", "Basic !", "Bearer", "Bearer x", "bearer  x ", "\x00", "Basic AGE6Yg=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		var buf [64]byte
		c, err := parseAuthorization([]string{header}, buf[:])
		if err != nil {
			if oci.ErrorCode(err) != oci.CodeUnauthorized || c.scheme != noCredentials || len(header) > 8 && strings.Contains(err.Error(), header) {
				t.Errorf("%+v, %v", c, err)
			}
			return
		}
		switch c.scheme {
		case basicScheme:
			if bytes.ContainsAny(c.username, ":\x00") || len(c.username)+len(c.password) == 0 {
				t.Errorf("credentials %q %q", c.username, c.password)
			}
			again, err := parseAuthorization([]string{"Basic " + base64.StdEncoding.EncodeToString([]byte(string(c.username)+":"+string(c.password)))}, nil)
			if err != nil || !bytes.Equal(again.username, c.username) || !bytes.Equal(again.password, c.password) {
				t.Errorf("does not round-trip: %v", err)
			}
		case bearerScheme:
			if c.token == "" {
				t.Error("an empty token")
			}
		}
	})
}

// FuzzToken: nothing but the one good token is ever accepted.
func FuzzToken(f *testing.F) {
	t := &testing.T{}
	i := newIssuer(t, newClock())
	good := i.token()
	keys := &tokenKeys{byID: map[string][]tokenKey{}}
	if err := keys.add("", i.key.Public(), ""); err != nil {
		f.Fatal(err)
	}
	i.key = newECKey(t, elliptic.P256())
	for _, s := range []string{good, i.token(), good + "=", strings.ToUpper(good), "..", "a.b.c", "e30.e30.", "", "{}", good[:40]} {
		f.Add(s)
	}
	tokens := &Tokens{config: TokenConfig{Service: "registry.example", Issuer: "issuer.example"}, algorithms: asymmetric(), keys: keys,
		now: func() time.Time { return newClock().now() }}
	f.Fuzz(func(t *testing.T, raw string) {
		id, err := tokens.verify(raw)
		signed := good[:strings.LastIndex(good, ".")]
		if err == nil && !strings.HasPrefix(raw, signed) {
			t.Errorf("accepted %q", raw)
		}
		if err != nil && id != (Identity{}) {
			t.Error("an identity beside an error")
		}
	})
}

// FuzzDocument: a stored record never panics, and what is accepted can be
// written and read again.
func FuzzDocument(f *testing.F) {
	for _, s := range []string{
		`{"version":1}`, `null`, `{"version":1,"users":{"a":null}}`, `{"version":1,"policies":{"p":{"rules":[{"repositories":["a/*"],"actions":["pull"]}],"anonymous":true}}}`,
		`{"version":1,"users":{"a":{"policies":["admin","p"],"enabled":true,"password_hash":"x"}},"policies":{"p":{"rules":[]}}}`,
		`{"version":1,"configured_admin":{"username":"a","fingerprint":"b"}}`, `{"version":1,"policies":{"p":{"rules":[{}]}}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		doc, err := parseDocument(value)
		if err != nil {
			return
		}
		snap, err := newSnapshot(doc, storage.Version("v"))
		if err != nil {
			return
		}
		for name, a := range snap.accounts {
			if a.identity.Admin() != doc.Users[name].isAdmin() || a.hash != "" && !doc.Users[name].Enabled {
				t.Errorf("account %q", name)
			}
			a.identity.May(oci.Pull, oci.MustRepository("a/b"))
		}
		again, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseDocument(again); err != nil {
			t.Errorf("%s: %v", again, err)
		}
	})
}

func FuzzKeyringOpen(f *testing.F) {
	k := newKeyring(f, "one", "two")
	sealed, err := hex.DecodeString(sealedVector)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range [][]byte{nil, {1}, sealed, sealed[:len(sealed)-1], append(bytes.Clone(sealed), 0), bytes.Repeat([]byte{1}, SealOverhead)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if plain, err := k.Open("p", b, []byte("aad")); err == nil && (!bytes.Equal(b, sealed) || string(plain) != "x") {
			t.Errorf("opened % x", b)
		}
	})
}
