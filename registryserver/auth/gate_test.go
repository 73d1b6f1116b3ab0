package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// TestRights is the matrix of who may do what.
func TestRights(t *testing.T) {
	w := newWorld(t, func(w *world, c *Config) {
		path := tempFile(w.T, "old:"+hashOf(w, "old-password", bcrypt.MinCost)+"\nci:"+hashOf(w, "file-password", bcrypt.MinCost)+"\n")
		h, err := OpenHTPasswd(path, w.logs.logger(), w.clock.now)
		if err != nil {
			w.Fatal(err)
		}
		c.HTPasswd = h
	})
	w.policy("team", false, "team/*", "pull", "push")
	w.policy("public", true, "public/**", "pull")
	w.policy("sweep", false, "**", "delete")
	w.user("ci", "team")
	w.user("reader", oci.PolicyReadOnly)
	w.user("writer", oci.PolicyReadWrite)
	w.user("sweeper", "sweep", "team")
	w.user("nobody")

	team, public, other := oci.MustRepository("team/app"), oci.MustRepository("public/a/b"), oci.MustRepository("other")
	for _, tc := range []struct {
		user, password            string
		admin                     bool
		inTeam, inPublic, inOther string // of "pull push delete", as initials
	}{
		{"", "", false, "", "l", ""},
		{"root", adminPassword, true, "lsd", "lsd", "lsd"},
		{"ci", "ci-password", false, "ls", "l", ""},
		{"reader", "reader-password", false, "l", "l", "l"},
		{"writer", "writer-password", false, "lsd", "lsd", "lsd"},
		{"sweeper", "sweeper-password", false, "lsd", "ld", "d"},
		{"nobody", "nobody-password", false, "", "l", ""},
		{"old", "old-password", false, "lsd", "lsd", "lsd"},
	} {
		t.Run("user "+tc.user, func(t *testing.T) {
			id, err := w.login(tc.user, tc.password)
			if err != nil {
				t.Fatal(err)
			}
			if id.Name() != tc.user || id.Anonymous() != (tc.user == "") || id.Admin() != tc.admin {
				t.Errorf("name %q, anonymous %v, admin %v", id.Name(), id.Anonymous(), id.Admin())
			}
			for repo, want := range map[oci.Repository]string{team: tc.inTeam, public: tc.inPublic, other: tc.inOther} {
				got := ""
				for i, a := range oci.Actions() {
					if id.May(a, repo) {
						got += "lsd"[i : i+1]
					}
					if (id.Check(a, repo) == nil) != id.May(a, repo) {
						t.Errorf("Check and May differ on %s in %s", a, repo)
					}
				}
				if got != want {
					t.Errorf("in %s: may %q, want %q", repo, got, want)
				}
				if id.MayList(repo) != id.May(oci.Pull, repo) {
					t.Errorf("in %s: the catalog shows what may not be pulled, or the other way round", repo)
				}
			}
			if id.May(oci.Pull, oci.Repository{}) {
				t.Error("may pull from no repository")
			}
		})
	}
	if w.can("ci", "file-password") {
		t.Error("a managed user does not shadow the one of the htpasswd file")
	}
}

func TestCheckErrors(t *testing.T) {
	w := newWorld(t, nil)
	w.user("nobody")
	repo := oci.MustRepository("a")
	id, err := w.login("", "")
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, id.Check(oci.Pull, repo), oci.CodeUnauthorized)
	wantCode(t, Identity{}.Check(oci.Pull, repo), oci.CodeUnauthorized)
	if id, err = w.login("nobody", "nobody-password"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, id.Check(oci.Push, repo), oci.CodeDenied)
}

func TestOpen(t *testing.T) {
	dir, err := OpenDirectory(t.Context(), DirectoryConfig{Records: storagetest.NewMemory().Records(), BcryptCost: bcrypt.MinCost})
	if err != nil {
		t.Fatal(err)
	}
	gate := func(c Config) *Gate {
		c.Directory = dir
		g, err := NewGate(c)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	g := gate(Config{})
	if !g.Open() || gate(Config{LoginRequired: true}).Open() || gate(Config{HTPasswd: new(HTPasswd)}).Open() || gate(Config{Tokens: new(Tokens)}).Open() {
		t.Fatal("Open is wrong")
	}
	// distribution without auth ignores credentials, and clients send stale ones.
	for _, header := range []string{"", "Basic " + base64.StdEncoding.EncodeToString([]byte("a:b")), "Bearer x", "nonsense"} {
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.Header.Set("Authorization", header)
		id, err := g.Authenticate(t.Context(), r)
		if err != nil || !id.Anonymous() || id.Admin() || !id.May(oci.Delete, oci.MustRepository("a")) {
			t.Errorf("%q: %+v, %v", header, id, err)
		}
	}
	if err := dir.EnsureAdmin(t.Context(), "root", adminPassword); err != nil {
		t.Fatal(err)
	}
	if g.Open() {
		t.Error("open although there is a user")
	}
	if id, err := g.Authenticate(t.Context(), httptest.NewRequest(http.MethodGet, "/v2/", nil)); err != nil || id.May(oci.Pull, oci.MustRepository("a")) {
		t.Errorf("a stranger may pull: %v", err)
	}
}

func TestBadAuthorization(t *testing.T) {
	w := newWorld(t, nil)
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, values := range map[string][]string{
		"unknown scheme": {"Digest username=root"},
		"no scheme":      {"root:secret"},
		"empty basic":    {"Basic "},
		"not base64":     {"Basic !!!"},
		"no colon":       {basic("root")},
		"NUL":            {basic("ro\x00ot:pw")},
		"bearer":         {"Bearer abc.def.ghi"},
		"empty bearer":   {"Bearer "},
		"twice":          {basic("root:" + adminPassword), basic("root:" + adminPassword)},
		"huge":           {"Basic " + strings.Repeat("QUFB", maxAuthorization/4)},
		"long":           {basic("root:" + strings.Repeat("x", maxBasic))},
		"huge bearer":    {"Bearer " + strings.Repeat("x", maxAuthorization)},
		"wrong password": {basic("root:wrong")},
		"no password":    {basic("root:")},
		"no user":        {basic(":" + adminPassword)},
		"upper case":     {basic("ROOT:" + adminPassword)},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
			r.Header["Authorization"] = values
			id, err := w.gate.Authenticate(t.Context(), r)
			wantCode(t, err, oci.CodeUnauthorized)
			if id != (Identity{}) {
				t.Errorf("got an identity: %+v", id)
			}
		})
	}
	for name, values := range map[string][]string{"none": nil, "empty": {""}, "empty credentials": {basic(":")}} {
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.Header["Authorization"] = values
		if id, err := w.gate.Authenticate(t.Context(), r); err != nil || !id.Anonymous() {
			t.Errorf("%s: %+v, %v", name, id, err)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
	r.Header.Set("Authorization", "bAsIc   "+base64.StdEncoding.EncodeToString([]byte("root:"+adminPassword))+" ")
	if id, err := w.gate.Authenticate(t.Context(), r); err != nil || !id.Admin() {
		t.Errorf("the scheme counts in any case: %v", err)
	}
}

func TestEndedContext(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.gate.Authenticate(ctx, basicRequest("192.0.2.1", "root", adminPassword)); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestBasicChallenge(t *testing.T) {
	w := newWorld(t, func(_ *world, c *Config) { c.Realm = "my \"own\"\r\nX: y" })
	const want = `Basic realm="my \"own\"X: y"`
	if got := w.gate.Challenge(httptest.NewRequest(http.MethodGet, "/v2/", nil), oci.MustRepository("a"), oci.Pull); got != want || w.gate.BasicChallenge() != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
