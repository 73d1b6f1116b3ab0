package auth

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// issuedWorld is a world with issued tokens.
type issuedWorld struct {
	*world
	issued *IssuedTokens
}

func newIssuedWorld(t *testing.T) *issuedWorld {
	t.Helper()
	w := &issuedWorld{}
	w.world = newWorld(t, func(v *world, c *Config) {
		w.issued = v.openIssued(c.Directory)
		c.Issued = w.issued
	})
	return w
}

func (w *world) openIssued(d *Directory) *IssuedTokens {
	w.Helper()
	issued, err := OpenIssuedTokens(IssuedConfig{Records: w.records, Directory: d, Now: w.clock.now, Log: w.logs.logger()})
	if err != nil {
		w.Fatal(err)
	}
	return issued
}

// issue makes a token of an hour; globs narrow it to pulls.
func (w *issuedWorld) issue(username string, globs ...string) (Token, string) {
	w.Helper()
	s := TokenSpec{Username: username, Lifetime: time.Hour, CreatedBy: "root", Description: "for a test"}
	if len(globs) > 0 {
		rule, err := oci.ParseRule(globs, []string{"pull"})
		if err != nil {
			w.Fatal(err)
		}
		s.Access = []oci.Rule{rule}
	}
	token, secret, err := w.issued.Issue(w.Context(), s)
	if err != nil {
		w.Fatal(err)
	}
	return token, secret
}

// bears authenticates by a bearer token; false is UNAUTHORIZED.
func (w *issuedWorld) bears(secret string) (Identity, bool) {
	w.Helper()
	id, err := w.bearer(secret)
	if err != nil && oci.ErrorCode(err) != oci.CodeUnauthorized {
		w.Fatal(err)
	}
	return id, err == nil
}

func TestIssuedToken(t *testing.T) {
	w := newIssuedWorld(t)
	w.policy("team", false, "team/**", "pull", "push")
	w.policy("public", true, "public/*", "pull")
	w.user("ci", "team")
	w.user("other")
	team, lab, public := oci.MustRepository("team/app"), oci.MustRepository("team/lab/x"), oci.MustRepository("public/a")
	token, secret := w.issue("ci")
	if token.ID == "" || !token.Active || token.Username != "ci" || !token.ExpiresAt.Equal(token.CreatedAt.Add(time.Hour)) || strings.Contains(fmt.Sprintf("%+v", token), secret[30:]) {
		t.Errorf("%+v", token)
	}
	basic, err := w.login("ci", secret)
	if err != nil {
		t.Fatal(err)
	}
	bearer, ok := w.bears(secret)
	for _, id := range []Identity{basic, bearer} {
		if !ok || id.Name() != "ci" || id.Token() != token.ID || id.Scoped() || id.Anonymous() || id.Admin() ||
			!id.May(oci.Push, team) || !id.May(oci.Pull, lab) || !id.May(oci.Pull, public) || id.May(oci.Delete, team) {
			t.Errorf("%+v", id)
		}
		wantCode(t, id.Check(oci.Delete, team), oci.CodeDenied)
	}
	if w.can("other", secret) || w.can("nobody", secret) {
		t.Error("the token is another user's password, too")
	}
	_, narrow := w.issue("ci", "team/*", "elsewhere")
	id, _ := w.bears(narrow)
	if !id.May(oci.Pull, team) || id.May(oci.Push, team) || id.May(oci.Pull, lab) || id.May(oci.Pull, public) || id.May(oci.Pull, oci.MustRepository("elsewhere")) {
		t.Error("a narrowed token is not what its user and it may")
	}
	wantCode(t, id.Check(oci.Push, team), oci.CodeDenied)
	if !id.MayList(team) || id.MayList(lab) {
		t.Error("the catalog of a narrowed token")
	}
	// A policy that is withdrawn acts at once.
	if _, err := w.dir.UpdateUser(t.Context(), UserSpec{Username: "ci", Enabled: true}, nil); err != nil {
		t.Fatal(err)
	}
	if id, ok := w.bears(secret); !ok || id.May(oci.Pull, team) {
		t.Error("a policy was withdrawn, and the token still has it")
	}
	if err := w.issued.Revoke(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	if _, ok := w.bears(secret); ok || w.can("ci", secret) {
		t.Error("revoked, and still good")
	}
	wantCode(t, w.issued.Revoke(t.Context(), token.ID), oci.CodeNotFound)
	_, err = w.issued.Token(t.Context(), token.ID)
	wantCode(t, err, oci.CodeNotFound)
}

// TestIssuedTokenSecrets: the storage and the log never hold one.
func TestIssuedTokenSecrets(t *testing.T) {
	w := newIssuedWorld(t)
	w.user("ci")
	token, secret := w.issue("ci")
	w.can("ci", secret)
	w.bears(secret)
	w.bears(secret[:len(secret)-1] + "A")
	w.clock.add(2 * time.Hour)
	w.bears(secret)
	text, _ := parseTokenText(secret)
	for key, err := range w.records.List(t.Context(), storage.KitRoot, "") {
		if err != nil {
			t.Fatal(err)
		}
		rec, err := w.records.Get(t.Context(), key)
		if err != nil || bytes.Contains(rec.Value, []byte(text.secret)) || strings.Contains(key, text.secret) {
			t.Errorf("%s: %v %s", key, err, rec.Value)
		}
	}
	if log := w.logs.String(); strings.Contains(log, text.secret) || !strings.Contains(log, "token refused") {
		t.Errorf("log of %s: %s", token.ID, log)
	}
}

// TestTokenGeneration: a token ends with what it was made for.
func TestTokenGeneration(t *testing.T) {
	for name, change := range map[string]func(w *issuedWorld){
		"password": func(w *issuedWorld) { w.update("ci", func(s *UserSpec) { s.Password = ptr("another-password") }) },
		"disabled and enabled": func(w *issuedWorld) {
			w.update("ci", func(s *UserSpec) { s.Enabled = false })
			w.update("ci", func(*UserSpec) {})
		},
		"deleted and made again": func(w *issuedWorld) {
			if err := w.dir.DeleteUser(w.Context(), "ci", nil); err != nil {
				w.Fatal(err)
			}
			w.user("ci")
		},
		"configured as the admin": func(w *issuedWorld) {
			if err := w.dir.EnsureAdmin(w.Context(), "ci", "ci-password"); err != nil {
				w.Fatal(err)
			}
		},
		"expired": func(w *issuedWorld) { w.clock.add(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newIssuedWorld(t)
			w.user("ci")
			token, secret := w.issue("ci")
			w.update("ci", func(s *UserSpec) { s.Description = "what does not matter" })
			if _, ok := w.bears(secret); !ok {
				t.Fatal("a description ends the token")
			}
			change(w)
			if _, ok := w.bears(secret); ok || w.can("ci", secret) {
				t.Error("still good")
			}
			if now, err := w.issued.Token(t.Context(), token.ID); err != nil || now.Active {
				t.Errorf("%+v, %v", now, err)
			}
		})
	}
}

func (w *world) update(name string, change func(*UserSpec)) {
	w.Helper()
	s := UserSpec{Username: name, Enabled: true}
	change(&s)
	if _, err := w.dir.UpdateUser(w.Context(), s, nil); err != nil {
		w.Fatal(err)
	}
}

// TestTokenWithoutPassword: a user without one has tokens all the same.
func TestTokenWithoutPassword(t *testing.T) {
	w := newIssuedWorld(t)
	if _, err := w.dir.CreateUser(t.Context(), UserSpec{Username: "robot", Enabled: true}, ""); err != nil {
		t.Fatal(err)
	}
	if _, secret := w.issue("robot"); !w.can("robot", secret) {
		t.Error("the token is refused")
	}
}

func TestTokenOfAdmin(t *testing.T) {
	w := newIssuedWorld(t)
	_, secret := w.issue("root")
	if id, _ := w.bears(secret); !id.Admin() {
		t.Error("an admin's token is no admin")
	}
	_, narrow := w.issue("root", "**")
	if id, _ := w.bears(narrow); id.Admin() {
		t.Error("a narrowed token is an admin")
	}
}

func TestIssueErrors(t *testing.T) {
	w := newIssuedWorld(t)
	w.user("ci")
	off := spec("off")
	off.Enabled = false
	if _, err := w.dir.CreateUser(t.Context(), off, ""); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		spec TokenSpec
		code oci.Code
	}{
		"unknown":     {TokenSpec{Username: "nobody", Lifetime: time.Hour}, oci.CodeInvalid},
		"no name":     {TokenSpec{Username: "", Lifetime: time.Hour}, oci.CodeInvalid},
		"disabled":    {TokenSpec{Username: "off", Lifetime: time.Hour}, oci.CodeConflict},
		"short":       {TokenSpec{Username: "ci", Lifetime: time.Second}, oci.CodeInvalid},
		"long":        {TokenSpec{Username: "ci", Lifetime: oci.MaxTokenLifetime + time.Second}, oci.CodeInvalid},
		"description": {TokenSpec{Username: "ci", Lifetime: time.Hour, Description: strings.Repeat("x", 2000)}, oci.CodeInvalid},
		"rules":       {TokenSpec{Username: "ci", Lifetime: time.Hour, Access: make([]oci.Rule, oci.MaxRules+1)}, oci.CodeInvalid},
	} {
		_, secret, err := w.issued.Issue(t.Context(), tc.spec)
		if secret != "" || oci.ErrorCode(err) != tc.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.faults.On(storagetest.Ops(storagetest.NotApplied, "Records.Put"))
	_, _, err := w.issued.Issue(t.Context(), TokenSpec{Username: "ci", Lifetime: time.Hour})
	wantCode(t, err, oci.CodeUnavailable)
}

// TestTokenElsewhere: another server knows a new token at once, also of a new
// user, and hears of its end within 5 s.
func TestTokenElsewhere(t *testing.T) {
	w := newIssuedWorld(t)
	elsewhere := w.openDirectory()
	issued := w.openIssued(elsewhere)
	gate, err := NewGate(Config{Directory: elsewhere, Issued: issued, Now: w.clock.now, Log: w.logs.logger()})
	if err != nil {
		t.Fatal(err)
	}
	there := func(secret string) bool {
		_, err := gate.Authenticate(t.Context(), bearerRequest(secret))
		return err == nil
	}
	w.user("new")
	token, secret := w.issue("new")
	if !there(secret) {
		t.Fatal("a token just made here is unknown there")
	}
	if err := w.issued.Revoke(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	w.clock.add(5 * time.Second)
	if there(secret) {
		t.Error("revoked 5 s ago here, and good there")
	}
	token, secret = w.issue("new")
	if !there(secret) {
		t.Fatal("the second token")
	}
	if err := w.issued.Revoke(t.Context(), token.ID); err != nil {
		t.Fatal(err)
	}
	issued.Forget() // word came
	if there(secret) {
		t.Error("forgotten, and still good")
	}
}

// TestTokenReads: a token that is used costs one read in 5 s, and a stranger
// who makes up tokens costs few.
func TestTokenReads(t *testing.T) {
	w := newIssuedWorld(t)
	w.user("ci")
	_, secret := w.issue("ci")
	reads := func(do func()) int {
		n := 0
		w.faults.On(func(c storagetest.Call) storagetest.Fault {
			if strings.HasPrefix(c.Key, tokensFolder) {
				n++
			}
			return storagetest.None
		})
		do()
		w.faults.On(nil)
		return n
	}
	if n := reads(func() {
		for range 100 {
			w.bears(secret)
			w.can("ci", secret)
		}
	}); n != 1 {
		t.Errorf("100 uses read %d times", n)
	}
	made := func() string {
		text, err := newTokenText(w.clock.now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return text.String()
	}
	refused := 0
	if n := reads(func() {
		for range 300 {
			if _, err := w.bearer(made()); oci.ErrorCode(err) == oci.CodeTooManyRequests {
				refused++
			}
		}
	}); n != lookupsOfClient || refused != 300-lookupsOfClient {
		t.Errorf("300 made-up tokens read %d times, %d were refused", n, refused)
	}
	if _, ok := w.bears(secret); !ok {
		t.Error("the stranger has locked out who has a token")
	}
	if n := reads(func() {
		for i := range 2000 {
			r := bearerRequest(made())
			r.RemoteAddr = fmt.Sprintf("198.51.%d.%d:1", i/200, i%200)
			_, _ = w.gate.Authenticate(context.Background(), r)
		}
	}); n > lookupsOfAll {
		t.Errorf("2000 strangers read %d times", n)
	}
	expired, err := newTokenText(w.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	w.clock.add(lookupWindow)
	if n := reads(func() {
		w.bears(expired.String())
		w.bears("rkt_")
		w.bears(strings.ToUpper(secret))
	}); n != 0 {
		t.Errorf("what cannot be a token is read %d times", n)
	}
	if n := reads(func() {
		again := made()
		for range 20 {
			w.bears(again)
		}
	}); n != 1 {
		t.Errorf("the same unknown token is read %d times", n)
	}
	w.faults.On(storagetest.Ops(storagetest.NotApplied, "Records.Get"))
	w.clock.add(5 * time.Second)
	_, err = w.bearer(secret)
	wantCode(t, err, oci.CodeUnavailable)
}

func TestTokensPageAndSweep(t *testing.T) {
	w := newIssuedWorld(t)
	w.user("ci")
	var want []string
	for i := range 25 {
		token, _, err := w.issued.Issue(t.Context(), TokenSpec{Username: "ci", Lifetime: time.Duration(i+1) * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, token.ID)
	}
	var got []string
	for after := ""; ; {
		tokens, next, err := w.issued.Tokens(t.Context(), after, 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, token := range tokens {
			got = append(got, token.ID)
		}
		if next == "" {
			break
		}
		after = next
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %v, want %v: the order in which they expire", got, want)
	}
	w.clock.add(10*time.Minute + leeway)
	w.faults.On(nil)
	swept, err := w.issued.Sweep(t.Context())
	if err != nil || swept != 10 || w.faults.Calls() != 11 {
		t.Errorf("swept %d, %v, with %d operations", swept, err, w.faults.Calls())
	}
	if tokens, _, err := w.issued.Tokens(t.Context(), "", 100); err != nil || len(tokens) != 15 {
		t.Errorf("%d are left, %v", len(tokens), err)
	}
}

// TestRevokeFaults: whatever becomes of a revocation, this server knows what
// the storage says.
func TestRevokeFaults(t *testing.T) {
	for fault, good := range map[storagetest.Fault]bool{storagetest.NotApplied: true, storagetest.Applied: false} {
		w := newIssuedWorld(t)
		w.user("ci")
		token, secret := w.issue("ci")
		w.bears(secret)
		w.faults.On(storagetest.Ops(fault, "Records.Delete"))
		wantCode(t, w.issued.Revoke(t.Context(), token.ID), oci.CodeUnavailable)
		w.faults.On(nil)
		if _, ok := w.bears(secret); ok != good {
			t.Errorf("fault %v: good %v", fault, ok)
		}
	}
}

// TestTokenThrottle: wrong tokens as passwords are wrong passwords.
func TestTokenThrottle(t *testing.T) {
	w := newIssuedWorld(t)
	w.user("ci")
	refused := false
	for range freeFailures + 3 {
		text, err := newTokenText(w.clock.now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.login("ci", text.String())
		refused = refused || oci.ErrorCode(err) == oci.CodeTooManyRequests
	}
	if !refused {
		t.Error("guesses are not slowed down")
	}
	if _, secret := w.issue("ci"); !w.can("ci", secret) {
		t.Error("who guesses locks out who has a token")
	}
}

func FuzzTokenText(f *testing.F) {
	text, err := newTokenText(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", "rkt_", text.String(), strings.ToUpper(text.String()), text.String() + "x", "rkt_" + strings.Repeat("v", 24) + "_" + strings.Repeat("A", 26)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text, ok := parseTokenText(s)
		if !ok {
			return
		}
		if _, valid := tokenExpiry(text.id); !valid || text.String() != s || storage.CheckKey(tokensFolder+text.id) != nil {
			t.Errorf("%q is parsed as %+v", s, text)
		}
		if c, err := parseAuthorization([]string{"Bearer " + s}, nil); err != nil || c.token != s {
			t.Errorf("%q does not fit a header", s)
		}
	})
}

func FuzzTokenRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"username":"ci","generation":"x","secret_sha256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","access":[{"repositories":["a/*"],"actions":["pull"]}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, err := parseTokenRecord(value)
		if err == nil && (r.Username == "" || r.Generation == "" || len(r.SecretHash) != 32 || (r.limit == nil) != (len(r.Access) == 0)) {
			t.Errorf("%q is %+v", value, r)
		}
	})
}
