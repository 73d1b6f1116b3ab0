package main_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTokensOnOneBucket: what one server issues, another takes at once, whether
// it is a token of the admin API or of /token; a revocation is heard of by all.
// Using a token costs next to nothing.
func TestTokensOnOneBucket(t *testing.T) {
	t.Parallel()
	bucket := countS3(t)
	env := []string{"REGISTRY_ADMIN_USERNAME=root", "REGISTRY_ADMIN_PASSWORD=" + adminPassword, "REGISTRY_HTTP_SECRET=the secret of the fleet"}
	here, there := startServer(t, bucket.config(), env...), startServer(t, bucket.config(), env...)
	administer(t, here, http.MethodPost, "users", `{"username":"ci","policies":["read-write"]}`)
	issued := administer(t, here, http.MethodPost, "tokens", `{"username":"ci","expires_in":600}`)
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
	administer(t, here, http.MethodDelete, "tokens/"+issued.ID, "")
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
	token := administer(t, p, http.MethodPost, "tokens", `{"username":"root","expires_in":60}`)
	if resp, body := do(t, http.MethodGet, p.URL+"/api/v1/server", nil, "Authorization", "Bearer "+token.Token); resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s", resp.Status, body)
	}
}

// administer asks the admin API to do something, as root.
func administer(t *testing.T, p *process, method, path, body string) (token struct{ ID, Token string }) {
	t.Helper()
	login := "Basic " + base64.StdEncoding.EncodeToString([]byte("root:"+adminPassword))
	resp, answer := do(t, method, p.URL+"/api/v1/"+path, []byte(body), "Authorization", login, "Content-Type", "application/json")
	if resp.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	if method == http.MethodPost {
		if err := json.Unmarshal(answer, &token); err != nil {
			t.Fatal(err)
		}
	}
	return token
}
