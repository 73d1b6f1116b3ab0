package rediscache_test

import (
	"context"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/rediscache"
)

// server is a real Redis on a port of its own.
type server struct {
	addr string
	cmd  *exec.Cmd
}

func startRedis(t *testing.T) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not on the PATH (Debian: apt-get install redis-server)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: l.Addr().String()}
	_ = l.Close()
	s.start(t)
	t.Cleanup(s.kill)
	return s
}

func (s *server) start(t *testing.T) {
	t.Helper()
	_, port, _ := net.SplitHostPort(s.addr)
	s.cmd = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir(), "--loglevel", "warning")
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("tcp", s.addr); err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("redis-server does not answer")
		}
	}
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *server) client(t *testing.T) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.addr})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// words is what a cache has heard.
type words struct {
	mu    sync.Mutex
	heard []string
}

func (w *words) add(_ context.Context, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = append(w.heard, what)
}

func (w *words) has(what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.heard, what)
}

func (w *words) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heard = nil
}

// open returns a running cache.
func open(t *testing.T, s *server, secret, place string) (*rediscache.Cache, *words) {
	t.Helper()
	keys, err := auth.NewKeyring(secret)
	if err != nil {
		t.Fatal(err)
	}
	c := rediscache.New(rediscache.Config{Options: &redis.UniversalOptions{Addrs: []string{s.addr}}, Keys: keys, Place: place})
	ctx, cancel := context.WithCancel(t.Context())
	w, done := &words{}, make(chan struct{})
	go func() {
		defer close(done)
		if err := c.Run(ctx, []string{"a", "b"}, w.add); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = c.Close()
	})
	return c, w
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after 20 s", what)
		}
	}
}

func has(c *rediscache.Cache, key, value string) func() bool {
	return func() bool {
		got, ok := c.Get(context.Background(), key)
		return ok && string(got) == value
	}
}

// Ensure that servers with one secret and one storage share what they put, and
// no others do.
func TestShared(t *testing.T) {
	s := startRedis(t)
	c, _ := open(t, s, "a secret", "here")
	same, _ := open(t, s, "a secret", "here")
	elsewhere, _ := open(t, s, "a secret", "there")
	stranger, _ := open(t, s, "another", "here")
	c.Put("k", []byte("value"))
	eventually(t, "what one put, the other has", has(same, "k", "value"))
	for name, other := range map[string]*rediscache.Cache{"another storage": elsewhere, "another secret": stranger} {
		if got, ok := other.Get(t.Context(), "k"); ok {
			t.Errorf("%s has %q", name, got)
		}
	}
}

// Ensure that nothing that others write to Redis is taken for a value, nor a
// value of one key for that of another.
func TestForged(t *testing.T) {
	s := startRedis(t)
	c, _ := open(t, s, "a secret", "here")
	c.Put("k", []byte("value"))
	eventually(t, "put", has(c, "k", "value"))
	raw := s.client(t)
	name := func() string {
		for _, key := range raw.Keys(t.Context(), "*").Val() {
			if strings.HasSuffix(key, ":k") {
				return key
			}
		}
		t.Fatal("the key is not in Redis")
		return ""
	}()
	if ttl := raw.TTL(t.Context(), name).Val(); ttl <= 0 {
		t.Errorf("it lives %v", ttl)
	}
	sealed := raw.Get(t.Context(), name).Val()
	if strings.Contains(sealed, "value") {
		t.Error("the value is in the clear")
	}
	for what, forged := range map[string]string{"text": "value", "nothing": "", "cut": sealed[:len(sealed)-1], "changed": sealed[:20] + "x" + sealed[21:], "huge": strings.Repeat("x", 10<<20)} {
		raw.Set(t.Context(), name, forged, 0)
		if got, ok := c.Get(t.Context(), "k"); ok {
			t.Errorf("%s is taken for %q", what, got)
		}
	}
	raw.Set(t.Context(), strings.TrimSuffix(name, "k")+"other", sealed, 0)
	if got, ok := c.Get(t.Context(), "other"); ok {
		t.Errorf("the value of one key is taken for that of another: %q", got)
	}
	raw.LPush(t.Context(), strings.TrimSuffix(name, "k")+"list", "x")
	if _, ok := c.Get(t.Context(), "list"); ok {
		t.Error("a list is taken for a value")
	}
}

// Ensure that a Redis that stops, dies, is empty and comes back costs a moment,
// and never an error, and that it is used again.
func TestRedisFails(t *testing.T) {
	s := startRedis(t)
	c, w := open(t, s, "a secret", "here")
	c.Put("k", []byte("value"))
	eventually(t, "put", has(c, "k", "value"))

	quick := func(what string) {
		t.Helper()
		start := time.Now()
		for i := range 20 {
			c.Get(t.Context(), strconv.Itoa(i))
			c.Put("x", []byte("y"))
		}
		c.Announce(t.Context(), "a")
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s: 20 questions took %v", what, took)
		}
	}
	_ = s.cmd.Process.Signal(syscall.SIGSTOP)
	quick("stopped")
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	eventually(t, "it goes on", has(c, "k", "value"))

	s.client(t).FlushAll(t.Context())
	if _, ok := c.Get(t.Context(), "k"); ok {
		t.Error("a value outlived FLUSHALL")
	}
	s.kill()
	quick("dead")
	w.forget()
	s.start(t)
	eventually(t, "word that may have been missed", func() bool { return w.has("a") && w.has("b") })
	eventually(t, "it is used again", func() bool {
		c.Put("again", []byte("value"))
		return has(c, "again", "value")()
	})
}

// Ensure that each server hears what any announces, and that many words at once
// are one.
func TestAnnounce(t *testing.T) {
	s := startRedis(t)
	c, mine := open(t, s, "a secret", "here")
	_, theirs := open(t, s, "a secret", "here")
	_, others := open(t, s, "a secret", "there")
	for _, w := range []*words{mine, theirs, others} {
		eventually(t, "the subscription", func() bool { return w.has("a") && w.has("b") })
		w.forget()
	}
	for range 1000 {
		c.Announce(t.Context(), "a")
	}
	c.Announce(t.Context(), "unheard of")
	eventually(t, "word", func() bool { return mine.has("a") && theirs.has("a") })
	time.Sleep(300 * time.Millisecond)
	theirs.mu.Lock()
	defer theirs.mu.Unlock()
	if n := len(theirs.heard); n > 100 || slices.Contains(theirs.heard, "unheard of") {
		t.Errorf("heard %d times", n)
	}
	if others.has("a") {
		t.Error("another storage's servers heard it")
	}
}
