package client

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// newTestClient returns a client of h that does not really sleep; waits
// collects how long it would have.
func newTestClient(t *testing.T, h http.HandlerFunc, edit func(*Config)) (c *Client, waits *[]time.Duration) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	cfg := Config{Endpoint: srv.URL, Username: "admin", Password: "correct horse"}
	if edit != nil {
		edit(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	waits = new([]time.Duration)
	c.sleep = func(ctx context.Context, d time.Duration) error {
		*waits = append(*waits, d)
		return ctx.Err()
	}
	return c, waits
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func writeError(w http.ResponseWriter, status int, item ErrorItem) {
	writeJSON(w, status, ErrorBody{Errors: []ErrorItem{item}})
}

func TestConfigErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		cfg  Config
		want string
	}{
		"empty":       {Config{}, "endpoint is empty"},
		"no scheme":   {Config{Endpoint: "registry.example.com:5000"}, "not begin with https://"},
		"other":       {Config{Endpoint: "ftp://registry.example.com"}, "not begin with https://"},
		"no host":     {Config{Endpoint: "https://"}, "no host"},
		"no hostname": {Config{Endpoint: "https://:5000"}, "no host"},
		"bad":         {Config{Endpoint: "http://%zz"}, "not a URL"},
		"user info":   {Config{Endpoint: "https://admin:secret1234@registry.example.com"}, "apart from it"},
		"query":       {Config{Endpoint: "https://registry.example.com/?secret1234"}, "query"},
		"api path":    {Config{Endpoint: "https://registry.example.com/v2/"}, "path of an API"},
		"both":        {Config{Endpoint: "https://r.example", Token: "t", Username: "u"}, "either a token"},
		"no user":     {Config{Endpoint: "https://r.example", Password: "secret1234"}, "no user name"},
		"colon":       {Config{Endpoint: "https://r.example", Username: "a:b"}, "colon"},
		"token":       {Config{Endpoint: "https://r.example", Token: "secret1234\n"}, "no token has"},
		"ca":          {Config{Endpoint: "https://r.example", CACertificate: "secret1234"}, "no certificate in PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(tc.cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want an error with %q", err, tc.want)
			}
			if strings.Contains(err.Error(), "secret1234") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

// TestRequests holds what goes over the wire for every method.
func TestRequests(t *testing.T) {
	ctx := t.Context()
	password := "correct horse"
	spec := UserSpec{Username: "ci@team", Enabled: true, Password: &password}
	calls := map[string]struct {
		call func(*Client) error
		want string
	}{
		"server": {func(c *Client) error { _, err := c.Server(ctx); return err }, "GET /api/v1/server"},
		"create user": {func(c *Client) error { _, err := c.CreateUser(ctx, spec); return err },
			`POST /api/v1/users {"username":"ci@team","policies":[],"enabled":true,"description":"","password":"correct horse"}`},
		"get user": {func(c *Client) error { _, err := c.GetUser(ctx, "ci@team"); return err }, "GET /api/v1/users/ci@team"},
		"update user": {func(c *Client) error {
			_, err := c.UpdateUser(ctx, UserSpec{Username: "ci", Policies: []string{"admin"}}, "r1")
			return err
		}, `PUT /api/v1/users/ci If-Match:"r1" {"username":"ci","policies":["admin"],"enabled":false,"description":""}`},
		"delete user": {func(c *Client) error { return c.DeleteUser(ctx, "ci", "r1") }, `DELETE /api/v1/users/ci If-Match:"r1"`},
		"list users":  {func(c *Client) error { return drain(c.ListUsers(ctx)) }, "GET /api/v1/users?limit=1000"},
		"access": {func(c *Client) error { _, err := c.Access(ctx, "ci@x", oci.Push, "team/app"); return err },
			"GET /api/v1/access?action=push&repository=team%2Fapp&username=ci%40x"},
		"create token": {func(c *Client) error {
			_, err := c.CreateToken(ctx, TokenSpec{Username: "ci", ExpiresIn: 60})
			return err
		}, `POST /api/v1/tokens {"username":"ci","description":"","expires_in":60}`},
		"get token":     {func(c *Client) error { _, err := c.GetToken(ctx, "0/1"); return err }, "GET /api/v1/tokens/0%2F1"},
		"delete token":  {func(c *Client) error { return c.DeleteToken(ctx, "01") }, "DELETE /api/v1/tokens/01"},
		"list tokens":   {func(c *Client) error { return drain(c.ListTokens(ctx)) }, "GET /api/v1/tokens?limit=1000"},
		"create policy": {func(c *Client) error { _, err := c.CreatePolicy(ctx, PolicySpec{Name: "p"}); return err }, `POST /api/v1/policies {"name":"p","description":"","rules":[],"anonymous":false}`},
		"get policy":    {func(c *Client) error { _, err := c.GetPolicy(ctx, "p"); return err }, "GET /api/v1/policies/p"},
		"update policy": {func(c *Client) error { _, err := c.UpdatePolicy(ctx, PolicySpec{Name: "p"}, ""); return err }, `PUT /api/v1/policies/p {"name":"p","description":"","rules":[],"anonymous":false}`},
		"delete policy": {func(c *Client) error { return c.DeletePolicy(ctx, "p", "") }, "DELETE /api/v1/policies/p"},
		"list policies": {func(c *Client) error { return drain(c.ListPolicies(ctx)) }, "GET /api/v1/policies?limit=1000"},
		"create retention": {func(c *Client) error {
			_, err := c.CreateRetentionPolicy(ctx, RetentionPolicySpec{Name: "p", Repositories: []string{"a"}, Rules: []RetentionRule{{Action: oci.RetentionKeep, Newest: 1}}})
			return err
		}, `POST /api/v1/retention-policies {"name":"p","description":"","repositories":["a"],"rules":[{"action":"keep","newest":1}]}`},
		"get retention": {func(c *Client) error { _, err := c.GetRetentionPolicy(ctx, "p"); return err }, "GET /api/v1/retention-policies/p"},
		"update retention": {func(c *Client) error {
			_, err := c.UpdateRetentionPolicy(ctx, RetentionPolicySpec{Name: "p", Repositories: []string{"a"}, Rules: []RetentionRule{{Action: oci.RetentionDelete, Untagged: true, NotPushedForDays: 1}}}, "r1")
			return err
		}, `PUT /api/v1/retention-policies/p If-Match:"r1" {"name":"p","description":"","repositories":["a"],"rules":[{"action":"delete","untagged":true,"not_pushed_for_days":1}]}`},
		"delete retention": {func(c *Client) error { return c.DeleteRetentionPolicy(ctx, "p", "r1") }, `DELETE /api/v1/retention-policies/p If-Match:"r1"`},
		"list retention":   {func(c *Client) error { return drain(c.ListRetentionPolicies(ctx)) }, "GET /api/v1/retention-policies?limit=1000"},
		"preview retention": {func(c *Client) error {
			return drain(c.PreviewRetention(ctx, RetentionPreviewSpec{Policy: &RetentionPolicySpec{Name: "p"}, Repositories: []string{"a"}}))
		}, `POST /api/v1/retention-preview {"policy":{"name":"p","description":"","repositories":null,"rules":null},"repositories":["a"],"limit":1000}`},
		"list repos": {func(c *Client) error { return drain(c.ListRepositories(ctx)) }, "GET /api/v1/repositories?limit=1000"},
		"get repo":   {func(c *Client) error { _, err := c.GetRepository(ctx, "team/app"); return err }, "GET /api/v1/repositories/team%2Fapp"},
		"create repo": {func(c *Client) error {
			_, err := c.CreateRepository(ctx, RepositorySpec{Name: "team/app", ImmutableTagPatterns: []string{"v*"}})
			return err
		}, `POST /api/v1/repositories {"name":"team/app","description":"","anonymous_pull":false,"immutable_tag_patterns":["v*"]}`},
		"update repo": {func(c *Client) error {
			_, err := c.UpdateRepository(ctx, RepositorySpec{Name: "team/app", AnonymousPull: true}, "r1")
			return err
		}, `PUT /api/v1/repositories/team%2Fapp If-Match:"r1" {"name":"team/app","description":"","anonymous_pull":true,"immutable_tag_patterns":[]}`},
		"force delete repo": {func(c *Client) error { return c.DeleteRepository(ctx, "team/app", true) }, "DELETE /api/v1/repositories/team%2Fapp?force=true"},
		"delete repo":       {func(c *Client) error { return c.DeleteRepository(ctx, "team/app", false) }, "DELETE /api/v1/repositories/team%2Fapp"},
		"list tags":         {func(c *Client) error { return drain(c.ListTags(ctx, "team/app")) }, "GET /api/v1/repositories/team%2Fapp/tags?limit=1000"},
		"get tag":           {func(c *Client) error { _, err := c.GetTag(ctx, "team/app", "v1"); return err }, "GET /api/v1/repositories/team%2Fapp/tags/v1"},
		"delete tag":        {func(c *Client) error { return c.DeleteTag(ctx, "team/app", "v1") }, "DELETE /api/v1/repositories/team%2Fapp/tags/v1"},
		"put tag": {func(c *Client) error {
			_, err := c.PutTag(ctx, "team/app", "v1", oci.FromBytes(nil), oci.FromBytes([]byte("1")))
			return err
		}, `PUT /api/v1/repositories/team%2Fapp/tags/v1 If-Match:"` + oci.FromBytes([]byte("1")).String() + `" {"digest":"` + oci.FromBytes(nil).String() + `"}`},
		"put any tag": {func(c *Client) error {
			_, err := c.PutTag(ctx, "team/app", "v1", oci.FromBytes(nil), oci.Digest{})
			return err
		}, `PUT /api/v1/repositories/team%2Fapp/tags/v1 {"digest":"` + oci.FromBytes(nil).String() + `"}`},
		"create tag": {func(c *Client) error {
			_, err := c.CreateTag(ctx, "team/app", "v1", oci.FromBytes(nil))
			return err
		}, `PUT /api/v1/repositories/team%2Fapp/tags/v1 If-None-Match:* {"digest":"` + oci.FromBytes(nil).String() + `"}`},
	}
	for name, tc := range calls {
		t.Run(name, func(t *testing.T) {
			var got string
			c, _ := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
				got = r.Method + " " + r.RequestURI
				if m := r.Header.Get("If-Match"); m != "" {
					got += " If-Match:" + m
				}
				if m := r.Header.Get("If-None-Match"); m != "" {
					got += " If-None-Match:" + m
				}
				body, _ := io.ReadAll(r.Body)
				if len(body) > 0 {
					got += " " + string(body)
				} else if r.ContentLength != 0 || r.Header.Get("Content-Type") != "" {
					t.Error("a request without a body announces one")
				}
				if u, p, _ := r.BasicAuth(); u != "admin" || p != "correct horse" {
					t.Errorf("credentials are %q %q", u, p)
				}
				if hasKey := r.Header.Get("Idempotency-Key") != ""; hasKey != (r.Method == http.MethodPost) {
					t.Error("Idempotency-Key belongs on POST and nowhere else")
				}
				writeJSON(w, 200, map[string]any{})
			}, nil)
			if err := tc.call(c); err != nil {
				t.Fatal(err)
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func drain[T any](seq func(func(T, error) bool)) error {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestPreviewPages: pages may be empty, and a server that goes in circles is told.
func TestPreviewPages(t *testing.T) {
	pages := map[string]Page[RetentionVictim]{
		"":     {Items: []RetentionVictim{{Tag: "1"}}, Next: "a:1"},
		"a:1":  {Next: "team"},
		"team": {Items: []RetentionVictim{{Tag: "2"}}},
	}
	c, _ := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct{ After string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		writeJSON(w, 200, pages[body.After])
	}, nil)
	var got []string
	for v, err := range c.PreviewRetention(t.Context(), RetentionPreviewSpec{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v.Tag)
	}
	if want := []string{"1", "2"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	pages["team"] = Page[RetentionVictim]{Next: "team"}
	if err := drain(c.PreviewRetention(t.Context(), RetentionPreviewSpec{})); err == nil || !strings.Contains(err.Error(), "do not advance") {
		t.Errorf("a server that goes in circles: %v", err)
	}
}

// TestBadNames: no bad name becomes a request, which might mean another object.
func TestBadNames(t *testing.T) {
	ctx := t.Context()
	c, _ := newTestClient(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") }, nil)
	for _, name := range []string{"", ".", "..", "a/b", "a b", "%2e", "é"} {
		_, e1 := c.GetUser(ctx, name)
		_, e2 := c.CreateUser(ctx, UserSpec{Username: name})
		_, e3 := c.GetPolicy(ctx, name)
		_, e4 := c.CreatePolicy(ctx, PolicySpec{Name: name})
		e5 := c.DeleteUser(ctx, name, "")
		e6 := c.DeletePolicy(ctx, name, "")
		_, e7 := c.GetTag(ctx, "a", "x"+name+"/")
		e8 := drain(c.ListTags(ctx, name+"/"))
		_, e9 := c.GetRetentionPolicy(ctx, name)
		_, e10 := c.CreateRetentionPolicy(ctx, RetentionPolicySpec{Name: name})
		e11 := c.DeleteRetentionPolicy(ctx, name, "")
		for i, err := range []error{e1, e2, e3, e4, e5, e6, e7, e8, e9, e10, e11} {
			if err == nil {
				t.Errorf("%q: call %d succeeded", name, i+1)
			}
		}
	}
}

func TestPaging(t *testing.T) {
	pages := map[string]Page[User]{
		"":  {Items: []User{{Username: "a"}, {Username: "b"}}, Next: "b"},
		"b": {Items: []User{}, Next: "c"},
		"c": {Items: []User{{Username: "d"}}},
	}
	c, _ := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, 200, pages[r.URL.Query().Get("after")])
	}, nil)
	var got []string
	for u, err := range c.ListUsers(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, u.Username)
	}
	if want := []string{"a", "b", "d"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, err := range c.ListUsers(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		break // an iterator can be left
	}
	pages["c"] = Page[User]{Next: "b"}
	if err := drain(c.ListUsers(t.Context())); err == nil || !strings.Contains(err.Error(), "do not advance") {
		t.Errorf("a server that goes in circles: %v", err)
	}
}

func TestErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		answer   func(http.ResponseWriter)
		code     oci.Code
		notFound bool
		text     string
	}{
		"missing object": {func(w http.ResponseWriter) {
			w.Header().Set("X-Request-Id", "r-17")
			writeError(w, 404, ErrorItem{oci.CodeNotFound, "no user alice", Missing{"user", "alice"}})
		}, oci.CodeNotFound, true, "GET /api/v1/users/alice: NOT_FOUND (404): no user alice (request r-17)"},
		"missing path": {func(w http.ResponseWriter) {
			writeError(w, 404, ErrorItem{oci.CodeNotFound, "no such path", nil})
		}, oci.CodeNotFound, false, "no such path"},
		"not us":   {http404, oci.CodeUnknown, false, `not from the admin API of a registry (text/plain; charset=utf-8: "404 page not found")`},
		"empty":    {func(w http.ResponseWriter) { w.WriteHeader(418) }, oci.CodeUnknown, false, "418"},
		"conflict": {func(w http.ResponseWriter) { writeError(w, 409, ErrorItem{oci.CodeConflict, "exists", nil}) }, oci.CodeConflict, false, "CONFLICT (409): exists"},
		"redirect": {func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://else.example/x?secret")
			w.WriteHeader(307)
		}, oci.CodeUnknown, false, "redirects to https://else.example;"},
		"html in a 200":  {func(w http.ResponseWriter) { fmt.Fprint(w, "<html>log in</html>") }, oci.CodeUnknown, false, "is the endpoint a Registry Kit server?"},
		"endless answer": {func(w http.ResponseWriter) { _, _ = io.CopyN(w, zeros{}, maxBody+10) }, oci.CodeUnknown, false, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			c, waits := newTestClient(t, func(w http.ResponseWriter, _ *http.Request) { tc.answer(w) }, nil)
			_, err := c.GetUser(t.Context(), "alice")
			if err == nil || !strings.Contains(err.Error(), tc.text) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("got %v, want an error with %q", err, tc.text)
			}
			if oci.ErrorCode(err) != tc.code || IsNotFound(err) != tc.notFound || IsConflict(err) != (tc.code == oci.CodeConflict) {
				t.Errorf("code %s, not found %v, conflict %v", oci.ErrorCode(err), IsNotFound(err), IsConflict(err))
			}
			if len(*waits) > 0 {
				t.Errorf("retried %d times", len(*waits))
			}
		})
	}
}

func http404(w http.ResponseWriter) { http.Error(w, "404 page not found", http.StatusNotFound) }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, 200, Server{Version: "1"}) }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are expected
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	for name, tc := range map[string]struct {
		cfg Config
		ok  bool
	}{
		"untrusted": {Config{Endpoint: srv.URL}, false},
		"trusted":   {Config{Endpoint: srv.URL, CACertificate: ca}, true},
		"insecure":  {Config{Endpoint: srv.URL, Insecure: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			tc.cfg.ReadyTimeout = time.Minute // an untrusted certificate is not waited out
			c, err := New(tc.cfg)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = c.Server(t.Context()); (err == nil) != tc.ok {
				t.Errorf("got %v", err)
			}
		})
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	c, err := New(Config{Endpoint: strings.Replace(plain.URL, "http:", "https:", 1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.Server(t.Context()); err == nil || !strings.Contains(err.Error(), "speaks HTTP without TLS") {
		t.Errorf("https to an HTTP server: %v", err)
	}
}

func TestToken(t *testing.T) {
	c, _ := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer abc.def" {
			t.Errorf("Authorization: %s", got)
		}
		writeJSON(w, 200, Server{})
	}, func(cfg *Config) { cfg.Username, cfg.Password, cfg.Token = "", "", "abc.def" })
	if _, err := c.Server(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestEndpointPath(t *testing.T) {
	c, _ := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		if r.RequestURI != "/registry/api/v1/repositories/a%2Fb" {
			t.Errorf("path %s", r.RequestURI)
		}
		writeJSON(w, 200, Repository{})
	}, func(cfg *Config) { cfg.Endpoint += "/registry/" })
	if _, err := c.GetRepository(t.Context(), "a/b"); err != nil {
		t.Error(err)
	}
}

func TestRequestTimeout(t *testing.T) {
	var tries atomic.Int32
	c, _ := newTestClient(t, func(_ http.ResponseWriter, r *http.Request) { tries.Add(1); <-r.Context().Done() },
		func(cfg *Config) { cfg.RequestTimeout = 50 * time.Millisecond })
	_, err := c.Server(t.Context())
	if !errors.Is(err, errTryTimeout) || tries.Load() != 1 {
		t.Errorf("got %v after %d tries", err, tries.Load())
	}
}

// An unanswered POST is sent once more with the same key, by which a server
// that did it answers with what it made.
func TestRequestTimeoutOfPost(t *testing.T) {
	var tries atomic.Int32
	var key atomic.Value
	serve := func(answersFrom int32) *Client {
		tries.Store(0)
		c, _ := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // a server sees that the client is gone only then
			if tries.Add(1) == 1 {
				key.Store(r.Header.Get("Idempotency-Key"))
			} else if key.Load() != r.Header.Get("Idempotency-Key") {
				t.Error("the second try has another key")
			}
			if tries.Load() < answersFrom {
				<-r.Context().Done()
				return
			}
			writeJSON(w, 201, User{Username: "alice"})
		}, func(cfg *Config) { cfg.RequestTimeout = 200 * time.Millisecond })
		return c
	}
	if u, err := serve(2).CreateUser(t.Context(), UserSpec{Username: "alice"}); err != nil || u.Username != "alice" || tries.Load() != 2 {
		t.Errorf("got %v, %v after %d tries", u, err, tries.Load())
	}
	if _, err := serve(9).CreateUser(t.Context(), UserSpec{Username: "alice"}); !errors.Is(err, errTryTimeout) || tries.Load() != 2 {
		t.Errorf("got %v after %d tries", err, tries.Load())
	}
}

// refusingAddress returns an address where nothing listens.
func refusingAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
