// Package main_test runs the real program from outside: the conformance suite, the registries that share their storage with ours, the benchmark.
package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
)

// builds is where this run's server binary lives. It outlives the test that asked for it first.
var builds string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "registryserver-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		builds = dir
		return m.Run()
	}())
}

// buildServer returns the path of the server's binary, built once per run; REGISTRYSERVER names one to test instead.
// When the tests look for data races, so does the server.
func buildServer(tb testing.TB) string {
	tb.Helper()
	binary, err := buildOnce()
	if err != nil {
		tb.Fatal(err)
	}
	return binary
}

var buildOnce = sync.OnceValues(func() (string, error) {
	if binary := os.Getenv("REGISTRYSERVER"); binary != "" {
		return filepath.Abs(binary)
	}
	args := []string{"build", "-o", filepath.Join(builds, "registryserver")}
	if raceDetector() {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, ".")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return args[2], nil
})

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// tool returns the path of a pinned tool, installed if need be. A test without it is skipped, and says so by name.
func tool(tb testing.TB, name string) string {
	tb.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(tb.Context(), "../.ci/tool", name)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Skipf("%s is not here and cannot be installed: %v\n%s", name, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// process is a registry that runs: ours, or one of those it replaces. They share their command line and their configuration file.
type process struct {
	URL  string // http://127.0.0.1:port
	Host string // 127.0.0.1:port

	cmd    *exec.Cmd
	output lockedBuffer
	exited chan struct{} // closed once err is set
	err    error
}

// startServer starts our server on a free port of the loopback interface, and stops it when the test ends.
func startServer(tb testing.TB, config string, env ...string) *process {
	tb.Helper()
	p := startRegistry(tb, buildServer(tb), config, env...)
	tb.Cleanup(func() { p.stopCleanly(tb) })
	return p
}

// stopCleanly stops our server, and fails the test if it does not end as it should or has raced.
func (p *process) stopCleanly(tb testing.TB) {
	tb.Helper()
	p.stop(tb)
	if p.err != nil {
		tb.Errorf("the server did not end cleanly: %v", p.err)
	}
	if strings.Contains(p.output.String(), "WARNING: DATA RACE") {
		tb.Error("the server has a data race")
	}
	if tb.Failed() {
		tb.Logf("output of the server:\n%s", p.output.tail())
	}
}

// startRegistry starts any registry that takes `serve config.yml`.
func startRegistry(tb testing.TB, binary, config string, env ...string) *process {
	tb.Helper()
	file := writeConfig(tb, config)
	// The port is free when we look and may be taken when the registry does, so another one is tried.
	for range 3 {
		p := launch(tb, binary, file, freeAddress(tb), env...)
		if p.ready(tb) {
			return p
		}
		p.stop(tb)
		if !strings.Contains(p.output.String(), "address already in use") {
			tb.Fatalf("%s did not start: %v\n%s", binary, p.err, p.output.tail())
		}
	}
	tb.Fatal("no free port in three tries")
	return nil
}

// launch starts a registry at an address, and does not wait until it is ready.
func launch(tb testing.TB, binary, file, host string, env ...string) *process {
	tb.Helper()
	p := &process{Host: host, URL: "http://" + host, exited: make(chan struct{})}
	p.cmd = exec.Command(binary, "serve", file)
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "REGISTRY_") || strings.HasPrefix(v, "AWS_") })
	p.cmd.Env = append(p.cmd.Env, append(slices.Clone(env), "REGISTRY_HTTP_ADDR="+p.Host, "OTEL_TRACES_EXPORTER=none")...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	tb.Cleanup(func() { p.stop(tb) })
	return p
}

func writeConfig(tb testing.TB, config string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

// ready waits for an answer that is not 5xx. It returns false when the process ends, or stays silent.
func (p *process) ready(tb testing.TB) bool {
	ctx, cancel := context.WithTimeout(tb.Context(), startTimeout)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/v2/", nil)
		if err != nil {
			tb.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode < 500 {
				return true
			}
		}
		select {
		case <-p.exited:
			return false
		case <-ctx.Done():
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// login makes every later request to p.URL one with a password.
func (p *process) login(user, password string) {
	p.URL = (&url.URL{Scheme: "http", User: url.UserPassword(user, password), Host: p.Host}).String()
}

// stop ends the process as an orchestrator does: SIGTERM first.
func (p *process) stop(tb testing.TB) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Error(err)
	}
	select {
	case <-p.exited:
	case <-time.After(stopTimeout):
		tb.Errorf("%s did not end within %s of a SIGTERM", p.cmd.Path, stopTimeout)
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

func freeAddress(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// filesystemConfig is a configuration that every registry here understands: images in a directory, deletes allowed, and nothing else.
func filesystemConfig(root string) string {
	return fmt.Sprintf("version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: %q\n  delete:\n    enabled: true\n", root)
}

// lockedBuffer collects what a process prints, and can be read while it does.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// tail is what fits in a test's log: the last lines are where the reason stands.
func (b *lockedBuffer) tail() string {
	const limit = 8 << 10
	s := b.String()
	if len(s) > limit {
		s = "…" + s[len(s)-limit:]
	}
	return s
}
