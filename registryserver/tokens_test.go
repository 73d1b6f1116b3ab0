package main_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	adminclient "github.com/registrykit/terraform-provider-registry/registryserver/client"
)

// TestTokensOnOneBucket: what one server issues, another takes at once, whether
// it is a token of the admin API or of /token; a revocation is heard of by all.
// Using a token costs next to nothing.
func TestTokensOnOneBucket(t *testing.T) {
	t.Parallel()
	bucket := countS3(t)
	env := []string{"REGISTRY_ADMIN_USERNAME=root", "REGISTRY_ADMIN_PASSWORD=" + adminPassword, "REGISTRY_HTTP_SECRET=the secret of the fleet"}
	here, there := startServer(t, bucket.config(), env...), startServer(t, bucket.config(), env...)
	admin, err := adminclient.New(adminclient.Config{Endpoint: here.URL, Username: "root", Password: adminPassword})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateUser(t.Context(), adminclient.UserSpec{Username: "ci", Policies: []string{"read-write"}, Enabled: true}); err != nil {
		t.Fatal(err)
	}
	issued, err := admin.CreateToken(t.Context(), adminclient.TokenSpec{Username: "ci", ExpiresIn: 600})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(p *process, target, authorization string) (int, []byte) {
		t.Helper()
		resp, body := do(t, http.MethodGet, p.URL+target, nil, "Authorization", authorization)
		return resp.StatusCode, body
	}
	bearer := "Bearer " + issued.Token
	if status, body := ask(there, "/v2/", bearer); status != http.StatusOK {
		t.Fatalf("a token of another server: %d %s", status, body)
	}
	login := "Basic " + base64.StdEncoding.EncodeToString([]byte("ci:"+issued.Token))
	status, body := ask(here, "/token?scope=repository:team/app:pull,push", login)
	var scoped struct{ Token string }
	if err := json.Unmarshal(body, &scoped); err != nil || status != http.StatusOK || scoped.Token == "" {
		t.Fatalf("/token: %d %s %v", status, body, err)
	}
	read := slices.DeleteFunc(bucket.count(func() {
		for range 50 {
			if status, body := ask(there, "/v2/", "Bearer "+scoped.Token); status != http.StatusOK {
				t.Fatalf("a token of another server's /token: %d %s", status, body)
			}
		}
	}), func(request string) bool { return !strings.Contains(request, "/tokens/") })
	if len(read) > 3 { // one in 5 s, and this machine may be slow
		t.Errorf("50 uses of a token read it %d times", len(read))
	}
	if err := admin.DeleteToken(t.Context(), issued.ID); err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{bearer, "Bearer " + scoped.Token} {
		if status, _ := ask(here, "/v2/", token); status != http.StatusUnauthorized {
			t.Errorf("revoked here, and %d here", status)
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
			if status, _ := ask(there, "/v2/", token); status == http.StatusUnauthorized {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("revoked, and still %d on the other server", status)
			}
		}
	}
}

// TestTokensNeedASecret: a secret that lies in the bucket makes no tokens, so
// clients are asked for a password; those that the admin API issues work all
// the same.
func TestTokensNeedASecret(t *testing.T) {
	t.Parallel()
	bucket := startS3(t)
	p := startServer(t, bucket.config(), "REGISTRY_ADMIN_USERNAME=root", "REGISTRY_ADMIN_PASSWORD="+adminPassword)
	if resp := sendOnce(t, http.MethodGet, p.URL+"/v2/"); resp.Header.Get("WWW-Authenticate") != `Basic realm="registry"` {
		t.Errorf("the challenge is %v", resp.Header)
	}
	if resp := sendOnce(t, http.MethodGet, p.URL+"/token"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("/token: %s", resp.Status)
	}
	admin, err := adminclient.New(adminclient.Config{Endpoint: p.URL, Username: "root", Password: adminPassword})
	if err != nil {
		t.Fatal(err)
	}
	token, err := admin.CreateToken(t.Context(), adminclient.TokenSpec{Username: "root", ExpiresIn: 60})
	if err != nil {
		t.Fatal(err)
	}
	by, err := adminclient.New(adminclient.Config{Endpoint: p.URL, Token: token.Token})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := by.Server(t.Context()); err != nil {
		t.Error(err)
	}
}
