package server

import (
	"crypto/tls"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
)

const tokenServer = "admin: {username: root, password: correct-horse}"

// tokenAnswer is what clients read of /token.
type tokenAnswer struct {
	Token       string
	AccessToken string    `json:"access_token"`
	ExpiresIn   int       `json:"expires_in"`
	IssuedAt    time.Time `json:"issued_at"`
	Scope       string
}

// ask sends a request to the server; auth is a header.
func (s *Server) ask(method, target, authorization string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(form.Encode()))
	r.Host = "localhost:5000"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func basic(username, password string) string {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(username, password)
	return r.Header.Get("Authorization")
}

// TestToken is the walk of a client: it is sent to /token, gets a token, and
// comes back with it.
func TestToken(t *testing.T) {
	s, log := newTestServer(t, tokenServer)
	root := basic("root", "correct-horse")
	first := s.ask("POST", "/v2/team/app/blobs/uploads/", "", nil)
	if got := first.Header().Get("WWW-Authenticate"); first.Code != 401 || got != `Bearer realm="http://localhost:5000/token",service="localhost:5000",scope="repository:team/app:pull,push"` {
		t.Fatalf("%d %s", first.Code, got)
	}
	const scope = "scope=repository:team/app:pull,push"
	get := func(w *httptest.ResponseRecorder) tokenAnswer {
		t.Helper()
		var a tokenAnswer
		if err := json.Unmarshal(w.Body.Bytes(), &a); w.Code != 200 || err != nil || a.Token == "" || a.Token != a.AccessToken || a.ExpiresIn != 300 || time.Since(a.IssuedAt) > time.Minute {
			t.Fatalf("%d %s %v", w.Code, w.Body, err)
		}
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("headers %v", w.Header())
		}
		return a
	}
	a := get(s.ask("GET", "/token?service=x&account=root&client_id=docker&offline_token=true&"+scope, root, nil))
	if w := s.ask("POST", "/v2/team/app/blobs/uploads/", "Bearer "+a.Token, nil); w.Code != 202 {
		t.Errorf("with the token: %d %s", w.Code, w.Body)
	}
	if w := s.ask("POST", "/v2/other/blobs/uploads/", "Bearer "+a.Token, nil); w.Code != 401 || !strings.Contains(w.Header().Get("WWW-Authenticate"), `error="insufficient_scope"`) {
		t.Errorf("another repository: %d %v", w.Code, w.Header())
	}
	if w := s.ask("GET", "/v2/", "Bearer "+a.Token, nil); w.Code != 200 {
		t.Errorf("ping: %d", w.Code)
	}
	if w := s.ask("GET", "/api/v1/users", "Bearer "+a.Token, nil); w.Code != 403 || strings.Contains(w.Body.String(), "Bearer") {
		t.Errorf("the admin API: %d %s", w.Code, w.Body)
	}
	if w := s.ask("POST", "/v2/team/app/blobs/uploads/", root, nil); w.Code != 202 {
		t.Errorf("Basic is not taken any more: %d", w.Code)
	}

	form := url.Values{"grant_type": {"password"}, "username": {"root"}, "password": {"correct-horse"}, "service": {"x"}, "scope": {"repository:a:pull repository:b:push"}}
	if a := get(s.ask("POST", "/token", "", form)); a.Scope != "repository:a:pull repository:b:push" {
		t.Errorf("scope %q", a.Scope)
	}
	issue := s.askJSON("POST", "/api/v1/tokens", root, `{"username":"root"}`)
	var issued struct{ ID, Token string }
	if err := json.Unmarshal(issue.Body.Bytes(), &issued); err != nil || issued.Token == "" {
		t.Fatalf("%s %v", issue.Body, err)
	}
	refresh := get(s.ask("POST", "/token", "", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {issued.Token}, "scope": {"repository:a:pull"}}))
	if refresh.Scope != "repository:a:pull" {
		t.Errorf("scope %q", refresh.Scope)
	}
	byToken := s.ask("GET", "/v2/", "Bearer "+refresh.Token, nil)
	if text := log.String(); byToken.Code != 200 || !strings.Contains(text, "path=/v2/ status=200") || strings.Count(text, "user=root") < 6 || !strings.Contains(text, "token="+issued.ID) {
		t.Errorf("who sent a request with a token is not logged:\n%s", text)
	}
	if text := log.String(); strings.Contains(text, a.Token[:40]) || strings.Contains(text, issued.Token) || strings.Contains(text, "correct-horse") || !strings.Contains(text, "path=/token") {
		t.Errorf("log:\n%s", text)
	}

	for name, c := range map[string]struct {
		w      *httptest.ResponseRecorder
		status int
	}{
		"wrong password":      {s.ask("GET", "/token", basic("root", "wrong"), nil), 401},
		"token as login":      {s.ask("GET", "/token", "Bearer "+a.Token, nil), 401},
		"scoped refresh":      {s.ask("POST", "/token", "", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {a.Token}}), 401},
		"no refresh token":    {s.ask("POST", "/token", "", url.Values{"grant_type": {"refresh_token"}}), 400},
		"wrong form password": {s.ask("POST", "/token", "", url.Values{"grant_type": {"password"}, "username": {"root"}, "password": {"x"}}), 401},
		"no user":             {s.ask("POST", "/token", "", url.Values{"grant_type": {"password"}}), 401},
		"no grant":            {s.ask("POST", "/token", root, url.Values{}), 400},
		"large form":          {s.ask("POST", "/token", "", url.Values{"grant_type": {strings.Repeat("x", 70<<10)}}), 400},
		"many scopes":         {s.ask("GET", "/token?scope="+strings.Repeat("x", 5000), root, nil), 400},
		"anonymous":           {s.ask("GET", "/token?"+scope, "", nil), 401},
		"method":              {s.ask("PUT", "/token", root, nil), 405},
		"path":                {s.ask("GET", "/token/", root, nil), 404},
	} {
		if c.w.Code != c.status || c.w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %s, want %d", name, c.w.Code, c.w.Body, c.status)
		}
		if challenge := c.w.Header().Get("WWW-Authenticate"); (challenge == `Basic realm="registry"`) != (c.status == 401) {
			t.Errorf("%s: challenge %q", name, challenge)
		}
	}
}

func (s *Server) askJSON(method, target, authorization, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Authorization", authorization)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// TestTokenThrottled: whoever guesses passwords at /token is slowed down.
func TestTokenThrottled(t *testing.T) {
	s, _ := newTestServer(t, tokenServer)
	for i := range 10 {
		w := s.ask("POST", "/token", "", url.Values{"grant_type": {"password"}, "username": {"root"}, "password": {strings.Repeat("x", i+1)}})
		if w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") != "" {
			metrics := httptest.NewRecorder()
			s.metrics.handler().ServeHTTP(metrics, httptest.NewRequest("GET", "/metrics", nil))
			for _, want := range []string{"registry_auth_password_failures_total 5", "registry_auth_throttled_total 1", "registry_auth_tokens_total 0"} {
				if !strings.Contains(metrics.Body.String(), want+"\n") {
					t.Errorf("the metrics lack %q", want)
				}
			}
			return
		}
	}
	t.Error("ten guesses were answered")
}

// TestTokenWhere: /token is offered where its keys are secret, unless it is
// switched off or another issuer takes its place.
func TestTokenWhere(t *testing.T) {
	s, _ := newTestServer(t, tokenServer+"\nhttp: {token: {disabled: true}}")
	if w := s.ask("GET", "/v2/", "", nil); w.Header().Get("WWW-Authenticate") != `Basic realm="registry"` {
		t.Errorf("switched off: %v", w.Header())
	}
	if w := s.ask("GET", "/token", "", nil); w.Code != 404 {
		t.Errorf("switched off: %d", w.Code)
	}
	stored, err := auth.NewKeyring("the secret in the storage")
	if err != nil {
		t.Fatal(err)
	}
	inBucket := StorageConfig{S3: &S3Config{}}
	for name, c := range map[string]struct {
		config  Config
		offered bool
	}{
		"disk":                  {Config{}, true},
		"disk, secret":          {Config{HTTP: HTTPConfig{Secret: "x"}}, true},
		"bucket, secret":        {Config{Storage: inBucket, HTTP: HTTPConfig{Secret: "x"}}, true},
		"bucket":                {Config{Storage: inBucket}, false},
		"bucket, previous":      {Config{Storage: inBucket, HTTP: HTTPConfig{PreviousSecrets: []Secret{"x"}}}, false},
		"bucket, secret, off":   {Config{Storage: inBucket, HTTP: HTTPConfig{Secret: "x", TokenDisabled: true}}, false},
		"disk, switched it off": {Config{HTTP: HTTPConfig{TokenDisabled: true}}, false},
	} {
		tokens, err := (&Server{config: &c.config}).scopedTokens(stored)
		if err != nil || (tokens != nil) != c.offered {
			t.Errorf("%s: offered %v, %v", name, tokens != nil, err)
		}
	}
}

// TestTokenRealm: a client is sent to /token as it came, and nowhere where that
// cannot be told.
func TestTokenRealm(t *testing.T) {
	for name, c := range map[string]struct {
		config HTTPConfig
		edit   func(*http.Request)
		want   string
	}{
		"plain":               {HTTPConfig{}, func(*http.Request) {}, ""},
		"plain, this machine": {HTTPConfig{}, func(r *http.Request) { r.Host = "localhost:5000" }, "http://localhost:5000/token"},
		"plain, this address": {HTTPConfig{}, func(r *http.Request) { r.Host = "[::1]" }, "http://[::1]/token"},
		"plain, configured":   {HTTPConfig{Host: &url.URL{Scheme: "http", Host: "lan.example"}}, func(*http.Request) {}, "http://lan.example/token"},
		"TLS":                 {HTTPConfig{}, func(r *http.Request) { r.TLS = new(tls.ConnectionState) }, "https://registry.example/token"},
		"prefix":              {HTTPConfig{Prefix: "/some/path/"}, func(r *http.Request) { r.TLS = new(tls.ConnectionState) }, "https://registry.example/some/path/token"},
		"host":                {HTTPConfig{Host: &url.URL{Scheme: "https", Host: "public.example"}}, func(*http.Request) {}, "https://public.example/token"},
		"load balancer":       {HTTPConfig{}, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") }, "https://registry.example/token"},
		"Forwarded":           {HTTPConfig{}, func(r *http.Request) { r.Header.Set("Forwarded", "for=1.2.3.4;Proto=https") }, "https://registry.example/token"},
		"plain load balancer": {HTTPConfig{}, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "http") }, "http://registry.example/token"},
		"silent proxy": {HTTPConfig{}, func(r *http.Request) {
			r.Host = "localhost"
			r.Header.Set("X-Forwarded-For", "1.2.3.4")
		}, ""},
		"silent proxy, Via": {HTTPConfig{}, func(r *http.Request) {
			r.Host = "127.0.0.1:5000"
			r.Header.Set("Via", "1.1 x")
		}, ""},
		"other host": {HTTPConfig{}, func(r *http.Request) { r.Header.Set("X-Forwarded-Host", "public.example") }, ""},
		"no host":    {HTTPConfig{}, func(r *http.Request) { r.Host = "" }, ""},
		"TLS behind TLS": {HTTPConfig{}, func(r *http.Request) {
			r.TLS = new(tls.ConnectionState)
			r.Header.Set("X-Forwarded-For", "1.2.3.4")
		}, "https://registry.example/token"},
	} {
		r := httptest.NewRequest("GET", "/v2/", nil)
		r.Host = "registry.example"
		c.edit(r)
		if got := (&Server{config: &Config{HTTP: c.config}}).tokenRealm(r); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
