package auth

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// scopedWorld is a world with /token, and with issued tokens.
type scopedWorld struct{ *issuedWorld }

const httpSecret = "the http secret of the fleet"

func newScopedWorld(t *testing.T) *scopedWorld {
	t.Helper()
	w := &scopedWorld{&issuedWorld{}}
	w.world = newWorld(t, func(v *world, c *Config) {
		w.issued = v.openIssued(c.Directory)
		c.Issued, c.Scoped = w.issued, v.scoped(httpSecret)
		h, err := OpenHTPasswd(tempFile(t, "file:"+hashOf(t, "file-password", bcrypt.MinCost)), v.logs.logger(), v.clock.now)
		if err != nil {
			t.Fatal(err)
		}
		c.HTPasswd = h
	})
	w.policy("team", false, "team/**", "pull", "push")
	w.policy("public", true, "public/*", "pull")
	w.user("ci", "team")
	return w
}

func (w *world) scoped(secret string, previous ...string) *ScopedTokens {
	w.Helper()
	keys, err := NewKeyring(secret, previous...)
	if err != nil {
		w.Fatal(err)
	}
	realm := func(r *http.Request) string {
		if r.Header.Get("Via") != "" {
			return ""
		}
		return "https://registry.example/token"
	}
	return NewScopedTokens(ScopedConfig{Keys: keys, Realm: realm, Now: w.clock.now})
}

// token logs in and asks for a token.
func (w *scopedWorld) token(username, password, scope string) string {
	w.Helper()
	id, err := w.login(username, password)
	if err != nil {
		w.Fatal(err)
	}
	s, err := ParseScope([]string{scope})
	if err != nil {
		w.Fatal(err)
	}
	issued, err := w.gate.IssueScoped(w.Context(), id, s)
	if err != nil {
		w.Fatal(err)
	}
	return issued.Token
}

func TestScopedToken(t *testing.T) {
	w := newScopedWorld(t)
	team, other, public := oci.MustRepository("team/app"), oci.MustRepository("team/other"), oci.MustRepository("public/a")
	id, ok := w.bears(w.token("ci", "ci-password", "repository:team/app:pull,push,delete repository:secret:pull"))
	if !ok || id.Name() != "ci" || !id.Scoped() || id.Admin() || !id.May(oci.Pull, team) || !id.May(oci.Push, team) || id.May(oci.Delete, team) || id.May(oci.Pull, other) || id.May(oci.Pull, public) {
		t.Errorf("%+v", id)
	}
	if !id.MayMount(other) || id.MayMount(oci.MustRepository("secret")) {
		t.Error("mounts are not what the user may pull")
	}
	// Another token helps, and then a policy.
	wantCode(t, id.Check(oci.Pull, other), oci.CodeUnauthorized)
	wantCode(t, id.Check(oci.Delete, team), oci.CodeDenied)
	wantCode(t, id.CheckCatalog(), oci.CodeUnauthorized)
	_, err := w.gate.IssueScoped(w.Context(), id, Scope{})
	wantCode(t, err, oci.CodeUnauthorized)

	root, _ := w.bears(w.token("root", adminPassword, "repository:a:*"))
	if root.Admin() || !root.May(oci.Delete, oci.MustRepository("a")) {
		t.Error("an admin's token of /token")
	}
	file, ok := w.bears(w.token("file", "file-password", "repository:a:push"))
	if !ok || !file.May(oci.Push, oci.MustRepository("a")) || file.May(oci.Pull, oci.MustRepository("a")) {
		t.Errorf("a user of the htpasswd file: %+v", file)
	}
	catalog, _ := w.bears(w.token("ci", "ci-password", "registry:catalog:*"))
	if catalog.CheckCatalog() != nil || !catalog.MayList(team) || catalog.MayList(oci.MustRepository("secret")) || catalog.May(oci.Pull, team) {
		t.Error("a token for the catalog")
	}
}

func TestScopedTokenAnonymous(t *testing.T) {
	w := newScopedWorld(t)
	id, ok := w.bears(w.token("", "", "repository:public/a:pull,push"))
	if !ok || !id.Anonymous() || !id.Scoped() || !id.May(oci.Pull, oci.MustRepository("public/a")) || id.May(oci.Push, oci.MustRepository("public/a")) {
		t.Errorf("%+v", id)
	}
	wantCode(t, id.Check(oci.Push, oci.MustRepository("public/a")), oci.CodeUnauthorized)
	stranger, err := w.login("", "")
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseScope([]string{"repository:team/app:pull"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.gate.IssueScoped(w.Context(), stranger, s)
	wantCode(t, err, oci.CodeUnauthorized)
	wantCode(t, stranger.CheckCatalog(), oci.CodeUnauthorized)
}

// Ensure that a stranger gets a token for a repository that anybody may pull
// from by its settings, and for nothing else.
func TestScopedTokenPublicRepository(t *testing.T) {
	w := newScopedWorld(t)
	open, closed := oci.MustRepository("open/a"), oci.MustRepository("team/app")
	broken := false
	w.gate.config.AnonymousPull = func(_ context.Context, repo oci.Repository) (bool, error) {
		if broken {
			return false, errors.New("the storage is away")
		}
		return repo == open, nil
	}
	id, ok := w.bears(w.token("", "", "repository:open/a:pull,push repository:team/app:pull"))
	if !ok || !id.Anonymous() || w.gate.Authorize(t.Context(), id, oci.Pull, open) != nil {
		t.Errorf("%+v", id)
	}
	wantCode(t, w.gate.Authorize(t.Context(), id, oci.Push, open), oci.CodeUnauthorized)
	wantCode(t, w.gate.Authorize(t.Context(), id, oci.Pull, closed), oci.CodeUnauthorized)
	for _, a := range oci.Actions() {
		e, err := w.gate.Explain(t.Context(), "", a, open)
		if err != nil || e.Allowed != (a == oci.Pull) || e.Allowed && e.Reason != ReasonPublic {
			t.Errorf("%s: %+v, %v", a, e, err)
		}
	}
	broken = true
	s, err := ParseScope([]string{"repository:open/a:pull"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.gate.IssueScoped(t.Context(), Identity{}, s); err == nil || oci.ErrorCode(err) == oci.CodeUnauthorized {
		t.Errorf("without the storage: %v", err)
	}
}

// TestScopedTokenEnds: whatever ends a login ends its tokens, and a policy that
// is withdrawn or given acts at once within what was asked for.
func TestScopedTokenEnds(t *testing.T) {
	team := oci.MustRepository("team/app")
	for name, change := range map[string]func(w *scopedWorld){
		"password": func(w *scopedWorld) { w.update("ci", func(s *UserSpec) { s.Password = ptr("another-password") }) },
		"disabled": func(w *scopedWorld) { w.update("ci", func(s *UserSpec) { s.Enabled = false }) },
		"deleted": func(w *scopedWorld) {
			if err := w.dir.DeleteUser(w.Context(), "ci", nil); err != nil {
				w.Fatal(err)
			}
		},
		"expired": func(w *scopedWorld) { w.clock.add(scopedLifetime + leeway + time.Second) },
		"early":   func(w *scopedWorld) { w.clock.add(-2 * leeway) },
	} {
		w := newScopedWorld(t)
		token := w.token("ci", "ci-password", "repository:team/app:pull")
		if _, ok := w.bears(token); !ok {
			t.Fatal("the token is not good")
		}
		change(w)
		if _, ok := w.bears(token); ok {
			t.Errorf("%s: still good", name)
		}
	}
	w := newScopedWorld(t)
	token := w.token("ci", "ci-password", "repository:team/app:pull")
	w.update("ci", func(*UserSpec) {})
	id, ok := w.bears(token)
	if !ok || id.May(oci.Pull, team) {
		t.Error("a policy that was withdrawn still acts")
	}
	wantCode(t, id.Check(oci.Pull, team), oci.CodeDenied)
	token = w.token("", "", "repository:public/a:pull")
	if err := w.dir.DeletePolicy(t.Context(), "public", nil); err != nil {
		t.Fatal(err)
	}
	if id, _ := w.bears(token); id.May(oci.Pull, oci.MustRepository("public/a")) {
		t.Error("an anonymous policy that was withdrawn still acts")
	}
}

// TestScopedTokenOfIssued: a token that was got with an issued one is bound to
// it.
func TestScopedTokenOfIssued(t *testing.T) {
	w := newScopedWorld(t)
	team, lab := oci.MustRepository("team/app"), oci.MustRepository("team/lab/x")
	issued, secret := w.issue("ci", "team/*")
	id, ok := w.bears(w.token("ci", secret, "repository:team/app:pull,push repository:team/lab/x:pull registry:catalog:*"))
	if !ok || id.Token() != issued.ID || !id.May(oci.Pull, team) || id.May(oci.Push, team) || id.May(oci.Pull, lab) || !id.MayList(team) || id.MayList(lab) {
		t.Errorf("%+v", id)
	}
	token := w.token("ci", secret, "repository:team/app:pull")
	if err := w.issued.Revoke(t.Context(), issued.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok := w.bears(token); ok {
		t.Error("the issued token was revoked, and what was got with it goes on")
	}
}

// TestScopedTokenKeys: any server with the secret takes it, with the secret as
// a previous one, too; nobody else, and nothing else that was sealed.
func TestScopedTokenKeys(t *testing.T) {
	w := newScopedWorld(t)
	token := w.token("ci", "ci-password", "repository:team/app:pull")
	good := func(scoped *ScopedTokens) bool {
		gate, err := NewGate(Config{Directory: w.openDirectory(), Issued: w.issued, Scoped: scoped, Now: w.clock.now, Log: w.logs.logger()})
		if err != nil {
			t.Fatal(err)
		}
		id, err := gate.Authenticate(t.Context(), bearerRequest(token))
		return err == nil && id.May(oci.Pull, oci.MustRepository("team/app"))
	}
	if !good(w.scoped(httpSecret)) || !good(w.scoped("a newer secret", httpSecret)) || good(w.scoped("another secret")) {
		t.Error("keys")
	}
	keys, err := NewKeyring(httpSecret)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := keys.Seal("upload session", []byte(`{"sub":"root","exp":99999999999}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	noise := make([]byte, 200)
	_, _ = rand.Read(noise)
	for _, forged := range []string{
		base64.RawURLEncoding.EncodeToString(sealed), base64.RawURLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(noise),
		"x", "e30.e30.e30", token + "A", token[1:], strings.Repeat("A", maxScopedToken+1),
	} {
		if _, ok := w.bears(forged); ok {
			t.Errorf("%.30s is good", forged)
		}
	}
	if log := w.logs.String(); strings.Contains(log, token[:40]) || !strings.Contains(log, "token refused") {
		t.Errorf("log: %s", log)
	}
}

func TestScopedTokenOfNewUserElsewhere(t *testing.T) {
	w := newScopedWorld(t)
	elsewhere := w.openDirectory()
	gate, err := NewGate(Config{Directory: elsewhere, Issued: w.openIssued(elsewhere), Scoped: w.scoped(httpSecret), Now: w.clock.now, Log: w.logs.logger()})
	if err != nil {
		t.Fatal(err)
	}
	w.user("new", "team")
	if id, err := gate.Authenticate(t.Context(), bearerRequest(w.token("new", "new-password", "repository:team/app:pull"))); err != nil || !id.May(oci.Pull, oci.MustRepository("team/app")) {
		t.Errorf("%+v, %v", id, err)
	}
}

// TestScopedTokenSize: the largest token fits into a header.
func TestScopedTokenSize(t *testing.T) {
	w := newScopedWorld(t)
	w.user("writer", "read-write")
	var scope strings.Builder
	for i := 0; scope.Len() < maxScopeBytes-300; i++ {
		scope.WriteString("repository:" + strings.Repeat("a", 200) + string(rune('a'+i)) + ":* ")
	}
	token := w.token("writer", "writer-password", scope.String())
	if _, ok := w.bears(token); !ok || len(token) > 8<<10 {
		t.Errorf("a token of %d bytes, good: %v", len(token), ok)
	}
}

func TestScopedChallenge(t *testing.T) {
	w := newScopedWorld(t)
	r := basicRequest("192.0.2.1", "", "")
	r.Host = "registry.example"
	const bearer = `Bearer realm="https://registry.example/token",service="registry.example"`
	repo := oci.MustRepository("team/app")
	if got := w.gate.Challenge(r, oci.Repository{}); got != bearer {
		t.Error(got)
	}
	if got := w.gate.Challenge(r, repo, oci.Push, oci.Pull); got != bearer+`,scope="repository:team/app:pull,push"` {
		t.Error(got)
	}
	r.URL.Path = "/v2/_catalog"
	if got := w.gate.Challenge(r, oci.Repository{}); got != bearer+`,scope="registry:catalog:*"` {
		t.Error(got)
	}
	r.Header.Set("Authorization", "Bearer "+w.token("ci", "ci-password", ""))
	if got := w.gate.Challenge(r, repo, oci.Pull); got != bearer+`,scope="repository:team/app:pull",error="insufficient_scope"` {
		t.Error(got)
	}
	r.Header.Set("Authorization", "Bearer x")
	if got := w.gate.Challenge(r, repo, oci.Pull); got != bearer+`,scope="repository:team/app:pull",error="invalid_token"` {
		t.Error(got)
	}
	r.Header.Set("Via", "1.1 proxy")
	if got := w.gate.Challenge(r, repo, oci.Pull); got != `Basic realm="registry"` {
		t.Error(got)
	}
}

// FuzzScopedToken: nothing but what was sealed opens.
func FuzzScopedToken(f *testing.F) {
	keys, err := NewKeyring(rand.Text())
	if err != nil {
		f.Fatal(err)
	}
	tokens := NewScopedTokens(ScopedConfig{Keys: keys})
	issued, err := tokens.issue(Identity{name: "ci"}, Scope{})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", "x", issued.Token, issued.Token + "A", "AQ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := tokens.open(token); err == nil && token != issued.Token {
			t.Errorf("%q is a token: %+v", token, c)
		}
	})
}
