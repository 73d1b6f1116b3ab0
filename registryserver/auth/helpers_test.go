package auth

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// logBuffer collects what is logged.
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

func (l *logBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// world is a gate with all that stands behind it, on one store.
type world struct {
	*testing.T
	records storage.Records
	faults  *storagetest.Faults
	clock   *clock
	logs    *logBuffer
	dir     *Directory
	gate    *Gate
}

const adminPassword = "correct horse battery"

// newWorld makes a world with a configured admin. edit may change the gate.
func newWorld(t *testing.T, edit func(*world, *Config)) *world {
	t.Helper()
	w := &world{T: t, faults: new(storagetest.Faults), clock: newClock(), logs: new(logBuffer)}
	w.records = w.faults.Records(storagetest.NewMemory().Records())
	w.dir = w.openDirectory()
	if err := w.dir.EnsureAdmin(t.Context(), "root", adminPassword); err != nil {
		t.Fatal(err)
	}
	c := Config{Directory: w.dir, Log: w.logs.logger(), Now: w.clock.now}
	if edit != nil {
		edit(w, &c)
	}
	g, err := NewGate(c)
	if err != nil {
		t.Fatal(err)
	}
	w.gate = g
	return w
}

// openDirectory opens the directory once more, as another server would.
func (w *world) openDirectory() *Directory {
	w.Helper()
	d, err := OpenDirectory(w.Context(), DirectoryConfig{Records: w.records, Log: w.logs.logger(), Now: w.clock.now, BcryptCost: bcrypt.MinCost})
	if err != nil {
		w.Fatal(err)
	}
	return d
}

// user makes an enabled user whose password is its name and "-password".
func (w *world) user(name string, policies ...string) User {
	w.Helper()
	u, err := w.dir.CreateUser(w.Context(), spec(name, policies...), "")
	if err != nil {
		w.Fatal(err)
	}
	return u
}

func spec(name string, policies ...string) UserSpec {
	return UserSpec{Username: name, Policies: policies, Enabled: true, Password: ptr(name + "-password")}
}

func ptr[T any](v T) *T { return &v }

// policy makes a policy of one rule.
func (w *world) policy(name string, anonymous bool, glob string, actions ...string) {
	w.Helper()
	if _, err := w.dir.CreatePolicy(w.Context(), policySpec(w.T, name, anonymous, glob, actions...), ""); err != nil {
		w.Fatal(err)
	}
}

func policySpec(t *testing.T, name string, anonymous bool, glob string, actions ...string) PolicySpec {
	t.Helper()
	rule, err := oci.ParseRule([]string{glob}, actions)
	if err != nil {
		t.Fatal(err)
	}
	return PolicySpec{Name: name, Anonymous: anonymous, Rules: []oci.Rule{rule}}
}

// login authenticates by password; "" is none.
func (w *world) login(username, password string) (Identity, error) {
	return w.loginFrom("192.0.2.1", username, password)
}

func (w *world) loginFrom(client, username, password string) (Identity, error) {
	return w.gate.Authenticate(context.Background(), basicRequest(client, username, password))
}

func basicRequest(client, username, password string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
	r.RemoteAddr = client + ":40000"
	if username != "" {
		r.SetBasicAuth(username, password)
	}
	return r
}

// can says whether the login works.
func (w *world) can(username, password string) bool {
	w.Helper()
	id, err := w.login(username, password)
	if err != nil && oci.ErrorCode(err) != oci.CodeUnauthorized {
		w.Fatalf("login of %s: %v", username, err)
	}
	return err == nil && id.Name() == username
}

func wantCode(t *testing.T, err error, code oci.Code) {
	t.Helper()
	if err == nil || oci.ErrorCode(err) != code {
		t.Errorf("got error %v, want %s", err, code)
	}
}

// hashOf returns a bcrypt hash of the lowest cost.
func hashOf(t testing.TB, password string, cost int) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(password), cost)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// writeFile writes a file with a modification time of long ago, plus n seconds.
func writeFile(t *testing.T, path, content string, n int) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2020, 1, 1, 0, 0, n, 0, time.UTC)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

func tempFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	writeFile(t, path, content, 0)
	return path
}
