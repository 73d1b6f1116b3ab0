package main_test

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer is a real Redis on a port of its own.
type redisServer struct {
	addr, dir string
	cmd       *exec.Cmd
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on the PATH (Debian: apt-get install redis-server)")
	}
	s := &redisServer{addr: freeAddress(t), dir: t.TempDir()}
	s.start(t)
	t.Cleanup(s.kill)
	return s
}

// start starts it, also again.
func (s *redisServer) start(t *testing.T) {
	t.Helper()
	_, port, _ := strings.Cut(s.addr, ":")
	s.cmd = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", s.dir, "--loglevel", "warning")
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// flush empties it.
func (s *redisServer) flush(t *testing.T) {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.addr})
	defer client.Close()
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

func (s *redisServer) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		t.Error(err)
	}
}

func (s *redisServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// TestRedis: with Redis, servers on one bucket know at once what another changed,
// and need not ask the bucket for what another has seen. Without it, or with one
// that is stopped or empty, all goes on.
func TestRedis(t *testing.T) {
	t.Parallel()
	redis, bucket := startRedis(t), countS3(t)
	config := strings.Replace(bucket.config(), "disable: true", "disable: false", 1) + fmt.Sprintf("redis: {addrs: [%q]}\n", redis.addr)
	start := func() *process {
		p := startServer(t, config, "REGISTRY_ADMIN_USERNAME="+adminUser, "REGISTRY_ADMIN_PASSWORD="+adminPassword)
		p.login(adminUser, adminPassword)
		return p
	}
	first, second := start(), start()
	layer, conf := tiny(1)
	push := func(p *process, repo string) {
		for _, content := range [][]byte{layer, conf} {
			pushBlob(t, p, repo, sha256Digest(content), content)
		}
		pushManifest(t, p, repo, "v1", tinyType, tinyManifest(conf, layer))
	}
	blob := "/v2/app/blobs/" + sha256Digest(layer)
	asked := func(p *process, path string, want int) func() bool {
		return func() bool {
			resp, _ := do(t, http.MethodHead, p.URL+path, nil)
			return resp.StatusCode == want
		}
	}
	push(first, "app")
	third := start()
	soon(t, "a server that has just started knows what another has seen", func() bool {
		fresh := start()
		soon(t, "it has looked at the epoch", func() bool { return strings.Contains(fresh.output.String(), "listening") })
		return len(bucket.count(func() { asked(fresh, blob, http.StatusOK)() })) == 0
	})
	if !asked(third, blob, http.StatusOK)() || !asked(second, blob, http.StatusOK)() {
		t.Fatal("the blob is missing")
	}

	// Deleted on one, gone on the others: at once, and not after the lifetime.
	if resp, body := do(t, http.MethodDelete, first.URL+blob, nil); resp.StatusCode != http.StatusAccepted {
		t.Fatalf("delete: %s\n%s", resp.Status, body)
	}
	deleted := time.Now()
	soon(t, "deleted on one, gone on another", asked(second, blob, http.StatusNotFound))
	if took := time.Since(deleted); took > 30*time.Second {
		t.Errorf("it was there for %v more", took)
	}

	// A Redis that hangs, is empty, or is gone.
	_ = redis.cmd.Process.Signal(syscall.SIGSTOP)
	push(second, "stopped")
	_ = redis.cmd.Process.Signal(syscall.SIGCONT)
	if out, err := exec.Command("redis-cli", "-h", "127.0.0.1", "-p", strings.TrimPrefix(redis.addr, "127.0.0.1:"), "FLUSHALL").CombinedOutput(); err != nil {
		t.Logf("FLUSHALL was left out: %v %s", err, out)
	}
	push(third, "flushed")
	redis.kill()
	push(first, "dead")
	for _, p := range []*process{first, second, third} {
		for _, repo := range []string{"stopped", "flushed", "dead"} {
			if !asked(p, "/v2/"+repo+"/manifests/v1", http.StatusOK)() {
				t.Errorf("%s is missing", repo)
			}
		}
	}
}

// soon waits until something is so.
func soon(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after %v", what, startTimeout)
		}
	}
}
