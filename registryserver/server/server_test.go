package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Ensure that a server that is about to stop says so while it still serves, so
// that no load balancer sends it a request that it refuses.
func TestDrainWait(t *testing.T) {
	s, _ := newTestServer(t, "http: {addr: '127.0.0.1:0', drainwait: 1s}\nauth: none")
	ctx, stop := context.WithCancel(t.Context())
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	get := func(path string) int {
		resp, err := http.Get("http://" + s.Addr().String() + path)
		if err != nil {
			return 0
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if got := get("/readyz"); got != http.StatusOK {
		t.Fatalf("readyz: %d", got)
	}
	began := time.Now()
	stop()
	waitFor(t, "the server to say that it is not ready", func() bool { return get("/readyz") == http.StatusServiceUnavailable })
	if got := get("/v2/"); got != http.StatusOK {
		t.Errorf("a request while it waits: %d", got)
	}
	if err := <-ended; err != nil || time.Since(began) < time.Second {
		t.Errorf("ended after %s: %v", time.Since(began), err)
	}
}

// Ensure that SIGTERM's path (the end of Run's context) lets a push that is
// under way finish, while new connections are refused.
func TestDrain(t *testing.T) {
	s, log := newTestServer(t, "http: {addr: '127.0.0.1:0'}\nauth: none")
	ctx, stop := context.WithCancel(t.Context())
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	content := "slowly pushed"
	unused, err := net.Dial("tcp", s.Addr().String()) // must not hold the shutdown up
	if err != nil {
		t.Fatal(err)
	}
	defer unused.Close()
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /v2/a/blobs/uploads/?digest=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", oci.FromBytes([]byte(content)), len(content), content[:4])
	waitFor(t, "the push to be under way", func() bool {
		return testutil.ToFloat64(s.metrics.inFlight.WithLabelValues("blob_upload")) == 1
	})
	stop()
	waitFor(t, "new connections to be refused", func() bool {
		conn, err := net.Dial("tcp", s.Addr().String())
		if err == nil {
			_ = conn.Close()
		}
		return err != nil
	})
	fmt.Fprint(conn, content[4:])
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Errorf("the push under way got %s", resp.Status)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run: %v\n%s", err, log)
	}
}

// Ensure that a changed certificate is served without a restart, and that one
// that cannot be used leaves the old one in force.
func TestTLSReload(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, cert, key, "first")
	s, log := newTestServer(t, fmt.Sprintf("http: {addr: '127.0.0.1:0', tls: {certificate: %q, key: %q}}\nauth: none", cert, key))
	var passed atomic.Int64
	s.tls.now = func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
	ctx, stop := context.WithCancel(t.Context())
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	served := func() string {
		conn, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatalf("%v\n%s", err, log)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	if got := served(); got != "first" {
		t.Fatalf("served %q", got)
	}
	writeCertificate(t, cert, key, "second, longer")
	passed.Add(int64(2 * tlsReload))
	if got := served(); got != "second, longer" {
		t.Errorf("served %q after the files changed", got)
	}
	if err := os.WriteFile(cert, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	passed.Add(int64(2 * tlsReload))
	if got := served(); got != "second, longer" {
		t.Errorf("served %q after the files broke", got)
	}
	if !strings.Contains(log.String(), "cannot be used") {
		t.Error("the log does not say that the certificate cannot be used")
	}
}

// Ensure that health pages, request ids and unknown paths are as documented.
func TestPages(t *testing.T) {
	s, log := newTestServer(t, "http: {addr: '127.0.0.1:0'}\nauth: none")
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"/healthz", "ok", 200},
		{"/readyz", "ready", 200},
		{"/", "", 200},
		{"/v2/", "{}", 200},
		{"/nothing", "NOT_FOUND", 404},
		{"/v2x", "NOT_FOUND", 404},
	} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest("GET", c.path, nil))
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) || w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s: %d %q %v", c.path, w.Code, w.Body, w.Header())
		}
	}
	r := httptest.NewRequest("GET", "/v2/a/blobs/uploads/x?_state=topsecret", nil)
	r.Header.Set("X-Request-Id", "from-the-load-balancer")
	r.SetBasicAuth("somebody", "password123")
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	if got := w.Header().Get("X-Request-Id"); got != "from-the-load-balancer" {
		t.Errorf("request id %q", got)
	}
	if !strings.Contains(log.String(), "from-the-load-balancer") {
		t.Error("the access log lacks the request id")
	}
	for _, secret := range []string{"topsecret", "password123"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	s.ready.draining.Store(true)
	w = httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("readyz while draining: %d", w.Code)
	}
}

// Ensure that a panic is one 500 and not the end of the server.
func TestPanic(t *testing.T) {
	s, log := newTestServer(t, "http: {addr: '127.0.0.1:0'}\nauth: none")
	h := s.observe(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret cause") }))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/v2/", nil))
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret cause") || !strings.Contains(log.String(), "secret cause") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Ensure that the open registry is loud about it, unless it is meant.
func TestOpenWarning(t *testing.T) {
	_, log := newTestServer(t, "http: {addr: '127.0.0.1:0'}")
	if !strings.Contains(log.String(), "ANYBODY") {
		t.Error("no warning about an open registry")
	}
	_, log = newTestServer(t, "http: {addr: '127.0.0.1:0'}\nauth: none")
	if strings.Contains(log.String(), "ANYBODY") {
		t.Error("auth: none does not silence the warning")
	}
}

func TestMetrics(t *testing.T) {
	s, _ := newTestServer(t, "http: {addr: '127.0.0.1:0', debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}}\nauth: none")
	s.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/v2/a/tags/list", nil))
	w := httptest.NewRecorder()
	s.debugHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{`registry_http_requests_total{code="404",handler="tags",method="get"} 1`, "registry_build_info", "registry_storage_action_seconds", "go_goroutines"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// newTestServer wires a server over a new directory. Its log can be read while
// it runs.
func newTestServer(t *testing.T, yaml string, env ...string) (*Server, *logBuffer) {
	t.Helper()
	env = append(env, "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY="+t.TempDir())
	config, warnings, err := LoadConfig([]byte("version: 0.1\n"+yaml), env)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) > 0 {
		t.Log(warnings)
	}
	log := &logBuffer{}
	s, err := New(t.Context(), config, Options{Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	return s, log
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func writeCertificate(t *testing.T, certPath, keyPath, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certPath: {Type: "CERTIFICATE", Bytes: der}, keyPath: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
