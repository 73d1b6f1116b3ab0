package provider

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/server"
)

const adminPassword = "the-admins-password"

// testServer is the real server in this process, behind a proxy that makes
// faults.
type testServer struct {
	url   string
	admin *client.Client // what happens behind Terraform's back

	mu       sync.Mutex
	faults   []fault
	requests []request
	handler  http.Handler
	server   *server.Server
	pageSize int // what a page has at most; 0 is what was asked for
}

// seen returns what the provider has asked so far.
func (s *testServer) seen() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// fault answers a request, with or without the server.
type fault func(w http.ResponseWriter, r *http.Request, server http.Handler)

// request is what the server was asked.
type request struct {
	method, path, userAgent string
	body                    int64
}

// startServer starts a server with one admin.
func startServer(t *testing.T) *testServer {
	t.Helper()
	s := newServer(t)
	s.start(t, "")
	return s
}

// start lets the server listen; its endpoint has a path.
func (s *testServer) start(t *testing.T, path string) {
	t.Helper()
	listener := httptest.NewUnstartedServer(s)
	listener.Config.IdleTimeout = time.Minute // as a load balancer closes connections
	listener.Start()
	t.Cleanup(listener.Close)
	s.at(t, listener.URL+path)
}

// newServer is a server that does not listen yet.
func newServer(t *testing.T) *testServer {
	t.Helper()
	return newServerWith(t, `{addr: "127.0.0.1:0", secret: the-secret-of-the-test-server, tls: {managed: true}}`)
}

// newServerWith is newServer with another section http.
func newServerWith(t *testing.T, http string) *testServer {
	t.Helper()
	config, _, err := server.LoadConfig(fmt.Appendf(nil, `
version: 0.1
storage: {filesystem: {rootdirectory: %q}}
admin: {username: admin, password: %s}
http: %s
`, t.TempDir(), adminPassword, http), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), config, server.Options{Log: slog.New(slog.DiscardHandler), Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	return &testServer{handler: s.Handler(), server: s}
}

func (s *testServer) at(t *testing.T, url string) {
	t.Helper()
	s.url = url
	var err error
	s.admin, err = client.New(client.Config{Endpoint: url, Username: "admin", Password: adminPassword, UserAgent: "behind-the-back"})
	if err != nil {
		t.Fatal(err)
	}
}

// ServeHTTP stands before the server as an Application Load Balancer does: it
// sends a request on without the body that its method has no use for.
func (s *testServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodDelete {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	var f fault
	if q := r.URL.Query(); s.pageSize > 0 && q.Has("limit") {
		q.Set("limit", strconv.Itoa(s.pageSize))
		r.URL.RawQuery = q.Encode()
	}
	if r.UserAgent() != "behind-the-back" {
		s.mu.Lock()
		s.requests = append(s.requests, request{r.Method, r.URL.Path, r.UserAgent(), r.ContentLength})
		if len(s.faults) > 0 {
			f, s.faults = s.faults[0], s.faults[1:]
		}
		s.mu.Unlock()
	}
	if f == nil {
		s.handler.ServeHTTP(w, r)
		return
	}
	f(w, r, s.handler)
}

// fail makes the provider's next requests fail. It fits TestStep.PreConfig.
func (s *testServer) fail(faults ...fault) func() {
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = faults
	}
}

// on makes a fault for requests of one method; others pass by and leave it
// for the next.
func (s *testServer) on(method string, f fault) fault {
	var again fault
	again = func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		if r.Method == method {
			f(w, r, server)
			return
		}
		s.mu.Lock()
		s.faults = slices.Insert(s.faults, 0, again)
		s.mu.Unlock()
		server.ServeHTTP(w, r)
	}
	return again
}

// status answers with a status, as a load balancer does.
func status(code int) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		http.Error(w, "<html>the load balancer has no server</html>", code)
	}
}

// times is that many of the same fault.
func times(n int, f fault) []fault { return slices.Repeat([]fault{f}, n) }

// cut ends the connection before the server has seen the request.
func cut(w http.ResponseWriter, _ *http.Request, _ http.Handler) { hangUp(w) }

// lose lets the server do what was asked and loses the answer.
func lose(w http.ResponseWriter, r *http.Request, server http.Handler) {
	server.ServeHTTP(httptest.NewRecorder(), r)
	hangUp(w)
}

// hang answers nothing, until the client gives up. That is seen only by who has
// read the body.
func hang(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// doneAndHangs lets the server do what was asked and never answers.
func doneAndHangs(w http.ResponseWriter, r *http.Request, server http.Handler) {
	server.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithoutCancel(r.Context())))
	hang(w, r, server)
}

// first does something behind the provider's back before the server sees the
// request.
func first(do func()) fault {
	return func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		do()
		server.ServeHTTP(w, r)
	}
}

func hangUp(w http.ResponseWriter) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = conn.Close()
	}
}

// config puts a provider block for the server before a configuration.
func (s *testServer) config(format string, args ...any) string {
	return fmt.Sprintf(`
provider "registry" {
  endpoint      = %q
  username      = "admin"
  password      = %q
  max_retries   = 2
  ready_timeout = "0s"
}
`, s.url, adminPassword) + fmt.Sprintf(format, args...)
}

// login is the status that a docker login with the password gets.
func (s *testServer) login(username, password string) int {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.url+"/v2/", nil)
	if err != nil {
		return 0
	}
	req.SetBasicAuth(username, password)
	req.Header.Set("User-Agent", "behind-the-back")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// logsIn expects the password to work.
func (s *testServer) logsIn(username, password string) statecheck.StateCheck {
	return serverCheck(func() error {
		if got := s.login(username, password); got != http.StatusOK {
			return fmt.Errorf("login of %s: status %d", username, got)
		}
		return nil
	})
}

// user expects the user to be as want says, but for what the server decides.
func (s *testServer) user(want client.User) statecheck.StateCheck {
	return serverCheck(func() error {
		got, err := s.admin.GetUser(context.Background(), want.Username)
		if err != nil {
			return err
		}
		if got.Description != want.Description || got.Enabled != want.Enabled || !slices.Equal(got.Policies, want.Policies) {
			return fmt.Errorf("the server has %+v, want %+v", got, want)
		}
		return nil
	})
}

// serverCheck checks something else than the state after a step.
type serverCheck func() error

func (c serverCheck) CheckState(_ context.Context, _ statecheck.CheckStateRequest, resp *statecheck.CheckStateResponse) {
	resp.Error = c()
}

// behind does something to a user behind Terraform's back.
func (s *testServer) behind(t *testing.T, username string, change func(*client.UserSpec)) func() {
	return func() {
		t.Helper()
		u, err := s.admin.GetUser(t.Context(), username)
		if err != nil {
			t.Fatal(err)
		}
		spec := client.UserSpec{Username: u.Username, Policies: u.Policies, Enabled: u.Enabled, Description: u.Description}
		change(&spec)
		if _, err := s.admin.UpdateUser(t.Context(), spec, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// isEmpty expects that Terraform has left nothing.
func (s *testServer) isEmpty(t *testing.T) {
	t.Helper()
	for u, err := range s.admin.ListUsers(t.Context()) {
		if err != nil || u.Username != "admin" {
			t.Errorf("the user %q is left, %v", u.Username, err)
		}
	}
	for c, err := range s.admin.ListCertificates(t.Context()) {
		t.Errorf("the certificate %q is left, %v", c.Name, err)
	}
	for p, err := range s.admin.ListPolicies(t.Context()) {
		if err != nil || !p.BuiltIn {
			t.Errorf("the policy %q is left, %v", p.Name, err)
		}
	}
	for p, err := range s.admin.ListRetentionPolicies(t.Context()) {
		t.Errorf("the retention policy %q is left, %v", p.Name, err)
	}
	for h, err := range s.admin.ListWebhooks(t.Context()) {
		t.Errorf("the webhook %q is left, %v", h.Name, err)
	}
	for token, err := range s.admin.ListTokens(t.Context()) {
		t.Errorf("the token %s is left, %v", token.ID, err)
	}
	for r, err := range s.admin.ListRepositories(t.Context()) {
		if err == nil && r.CreatedAt.IsZero() {
			continue // a push made it, and its images stay
		}
		t.Errorf("the repository %q is left, %v", r.Name, err)
	}
}

func ptr[T any](v T) *T { return &v }
