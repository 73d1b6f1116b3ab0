package auth

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"crypto/elliptic"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// TestNoSecretsInLogsOrErrors walks the ways to fail, and looks for what was
// secret in all that was said about it.
func TestNoSecretsInLogsOrErrors(t *testing.T) {
	i := newIssuer(t, newClock())
	fileHash := hashOf(t, "pw-of-file-user", bcrypt.MinCost)
	path := tempFile(t, "fileuser:"+fileHash+"\nlegacy:{SHA}c2VjcmV0bGVnYWN5\n")
	w := newWorld(t, func(w *world, c *Config) {
		tokens, err := OpenTokens(TokenConfig{Realm: "r", Service: "registry.example", Issuer: "issuer.example",
			RootCertBundle: tempFile(t, publicPEM(t, i.key.Public())), Now: w.clock.now})
		if err != nil {
			t.Fatal(err)
		}
		h, err := OpenHTPasswd(path, w.logs.logger(), w.clock.now)
		if err != nil {
			t.Fatal(err)
		}
		c.Tokens, c.HTPasswd = tokens, h
	})
	var said strings.Builder
	say := func(values ...any) {
		for _, v := range values {
			fmt.Fprintf(&said, "%v %+v\n", v, v)
		}
	}
	userHash := hashOf(t, "pw-of-alice", bcrypt.MinCost)
	alice, err := w.dir.CreateUser(t.Context(), UserSpec{Username: "alice", Enabled: true, PasswordHash: &userHash}, "")
	say(alice, err)

	for range freeFailures + 2 {
		for _, login := range [][2]string{{"alice", "guess-one"}, {"pw-typed-as-name", "guess-two"}, {"fileuser", "guess-three"}, {"legacy", "guess-four"}} {
			_, err := w.login(login[0], login[1])
			say(err)
		}
	}
	good := i.token()
	_, err = w.bearer(good + "x")
	say(err)
	i.claims["exp"] = 1
	expired := i.token()
	_, err = w.bearer(expired)
	say(err, w.gate.Challenge(bearerRequest(expired), oci.MustRepository("a"), oci.Pull))
	i.key = newECKey(t, elliptic.P256())
	foreign := i.token()
	_, err = w.bearer(foreign)
	say(err)

	for _, s := range []UserSpec{
		{Username: "bob", Password: ptr("short-1")}, {Username: "bob", PasswordHash: ptr(userHash + "x")},
		{Username: "bob", Password: ptr("password-of-bob"), Policies: []string{"none"}}, {Username: "alice", Password: ptr("password-of-bob")},
	} {
		_, err := w.dir.CreateUser(t.Context(), s, "")
		say(err)
	}
	w.faults.On(storagetest.Ops(storagetest.NotApplied, "Records.Put", "Records.Get"))
	_, err = w.dir.CreateUser(t.Context(), spec("carol"), "")
	say(err, w.dir.Refresh(t.Context()), w.dir.EnsureAdmin(t.Context(), "root", "new-admin-password"))
	w.faults.On(nil)
	writeFile(t, path, "fileuser "+fileHash, 1)
	w.clock.add(time.Minute)
	_, err = w.login("fileuser", "guess-five")
	say(err, w.gate.config.HTPasswd.Err())

	text := said.String() + w.logs.String()
	for _, secret := range []string{
		adminPassword, "pw-of-", "guess-", "pw-typed-as-name", "short-1", "password-of-bob", "carol-password", "new-admin-password",
		userHash, fileHash, userHash[7:], fileHash[7:], "{SHA}", "c2VjcmV0", good[len(good)-40:], expired[len(expired)-40:], foreign[len(foreign)-40:],
		w.dir.current.Load().doc.Users["root"].Hash,
	} {
		if strings.Contains(text, secret) {
			t.Errorf("%q shows in\n%s", secret, text)
		}
	}
	for _, want := range []string{"login failed", "token refused", "user=alice", "client=192.0.2.1"} {
		if !strings.Contains(text, want) {
			t.Errorf("the log says nothing of %q", want)
		}
	}
}
