package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// instances is how many servers a cluster has.
const instances = 3

// cluster is servers on one bucket behind a load balancer.
type cluster struct {
	t       *testing.T
	bucket  *faultyS3
	config  string
	servers [instances]*process
	url     string // of the load balancer
	client  *http.Client
	serial  atomic.Int64 // of what is pushed
	failed  atomic.Int64 // requests, of clients that may try again

	mu    sync.Mutex
	acked map[string][]byte           // content by path
	tags  map[string]map[string][]put // by repository and tag
}

// put is a push of a tag.
type put struct {
	digest     string
	begun, end time.Time // end is zero until it is acknowledged
}

// startCluster starts everything, with an environment that all servers have.
func startCluster(t *testing.T, env ...string) *cluster {
	t.Helper()
	balancer, err := exec.LookPath("haproxy")
	if err != nil {
		if balancer, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			t.Skip("SKIPPED haproxy: it is not on the PATH; .ci/clients installs it")
		}
	}
	c := &cluster{t: t, bucket: startFaultyS3(t), acked: map[string][]byte{}, tags: map[string]map[string][]put{}}
	c.config = c.bucket.config() + "http: {drainwait: 1s}\nlog: {accesslog: {disabled: true}}\n"
	for i := range c.servers {
		c.servers[i] = startRegistry(t, buildServer(t), c.config, env...)
	}
	t.Cleanup(func() {
		for _, s := range c.servers { // all at once
			_ = s.cmd.Process.Signal(syscall.SIGTERM)
		}
		for _, s := range c.servers {
			<-s.exited
			s.stopCleanly(t)
		}
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	t.Cleanup(transport.CloseIdleConnections)
	c.client = &http.Client{Transport: transport, Timeout: 2 * time.Minute}
	c.balance(balancer)
	return c
}

// balance starts the load balancer: each request goes to the next server that
// says it is ready, whatever it belongs to.
func (c *cluster) balance(binary string) {
	c.t.Helper()
	address := freeAddress(c.t)
	var config strings.Builder
	fmt.Fprintf(&config, `global
    maxconn 4000
defaults
    mode http
    timeout connect 2s
    timeout client 2m
    timeout server 2m
    option redispatch 1
frontend registry
    bind %s
    default_backend servers
backend servers
    balance roundrobin
    option httpchk GET /readyz
    http-check expect status 200
    default-server check inter 150ms fall 2 rise 1
`, address)
	for i, s := range c.servers {
		fmt.Fprintf(&config, "    server s%d %s\n", i, s.Host)
	}
	file := filepath.Join(c.t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		c.t.Fatal(err)
	}
	var output lockedBuffer
	cmd := exec.Command(binary, "-db", "-f", file)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if c.t.Failed() {
			c.t.Logf("the load balancer says:\n%s", output.tail())
		}
	})
	c.url = "http://" + address
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(50 * time.Millisecond) {
		if resp, err := c.client.Get(c.url + "/v2/"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("haproxy does not answer:\n%s", output.tail())
		}
	}
}

// restart starts server i again where it was, once it has ended.
func (c *cluster) restart(i int, env ...string) {
	c.t.Helper()
	next := launch(c.t, buildServer(c.t), writeConfig(c.t, c.config), c.servers[i].Host, env...)
	if !next.ready(c.t) {
		c.t.Errorf("server %d did not start again: %v\n%s", i, next.err, next.output.tail())
	}
	c.servers[i] = next
}

// roll restarts one server after another, as one updates them, with an
// environment that is new.
func (c *cluster) roll(env ...string) {
	for i := range c.servers {
		c.servers[i].stopCleanly(c.t)
		c.restart(i, env...)
		time.Sleep(500 * time.Millisecond) // until the load balancer has noticed
	}
}

// kill ends server i as a crash does, and starts it again.
func (c *cluster) kill(i int) {
	c.t.Helper()
	_ = c.servers[i].cmd.Process.Signal(syscall.SIGKILL)
	<-c.servers[i].exited
	if strings.Contains(c.servers[i].output.String(), "WARNING: DATA RACE") {
		c.t.Errorf("the server has a data race:\n%s", c.servers[i].output.tail())
	}
	time.Sleep(time.Duration(mathrand.IntN(300)) * time.Millisecond)
	c.restart(i)
}

// statusError is an answer that was not hoped for.
type statusError struct {
	method, path, body string
	status             int
	retryAfter         string
}

func (e *statusError) Error() string {
	return fmt.Sprintf("%s %s: %d (Retry-After %q): %.300s", e.method, e.path, e.status, e.retryAfter, e.body)
}

// send sends one request to the load balancer, and returns where it leads.
func (c *cluster) send(ctx context.Context, method, path string, body []byte, contentType string, want int) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.GetBody = nil // no hidden second try
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != want {
		path, _, _ = strings.Cut(path, "?")
		return "", &statusError{method, path, string(answer), resp.StatusCode, resp.Header.Get("Retry-After")}
	}
	return resp.Header.Get("Location"), nil
}

// pusher is a client, and how often it tries something before it gives up.
// docker tries a layer five times, from its start.
type pusher struct {
	*cluster
	tries int
	// fault is called with every failure.
	fault func(error)
}

func (p pusher) patiently(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		if err == nil || ctx.Err() != nil {
			return err
		}
		p.failed.Add(1)
		if p.fault != nil {
			p.fault(err)
		}
		// Anything else than 5xx, 429 and broken connections is an answer, but for
		// uploads that an instance took with it.
		if s, ok := errors.AsType[*statusError](err); ok && s.status < 500 && s.status != http.StatusTooManyRequests && !strings.Contains(s.path, "/blobs/uploads/") || try >= p.tries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 200 * time.Millisecond):
		}
	}
}

// pushBlob pushes as docker does: POST, PATCH, PUT, from the start after a
// failure. Large content comes in two chunks.
func (p pusher) pushBlob(ctx context.Context, repo string, content []byte) error {
	err := p.patiently(ctx, func() error {
		location, err := p.send(ctx, http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil, "", http.StatusAccepted)
		for chunk := range slices.Chunk(content, max(len(content)/2+1, 1<<20)) {
			if err == nil {
				location, err = p.send(ctx, http.MethodPatch, location, chunk, "application/octet-stream", http.StatusAccepted)
			}
		}
		if err == nil {
			_, err = p.send(ctx, http.MethodPut, location+"&digest="+sha256Digest(content), nil, "application/octet-stream", http.StatusCreated)
		}
		return err
	})
	if err == nil {
		p.note("/v2/"+repo+"/blobs/"+sha256Digest(content), content)
	}
	return err
}

func (c *cluster) note(path string, content []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked[path] = content
}

// push pushes a new image under a tag.
func (p pusher) push(ctx context.Context, repo, tag string, size int) error {
	layer := make([]byte, size)
	if _, err := rand.Read(layer); err != nil {
		return err
	}
	config := fmt.Appendf(nil, `{"serial":%d}`, p.serial.Add(1))
	for _, content := range [][]byte{layer, config} {
		if err := p.pushBlob(ctx, repo, content); err != nil {
			return err
		}
	}
	manifest := tinyManifest(config, layer)
	return p.patiently(ctx, func() error {
		n := p.begin(repo, tag, sha256Digest(manifest))
		_, err := p.send(ctx, http.MethodPut, "/v2/"+repo+"/manifests/"+tag, manifest, tinyType, http.StatusCreated)
		if err == nil {
			p.finish(repo, tag, n)
			p.note("/v2/"+repo+"/manifests/"+sha256Digest(manifest), manifest)
		}
		return err
	})
}

func (c *cluster) begin(repo, tag, digest string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tags[repo] == nil {
		c.tags[repo] = map[string][]put{}
	}
	c.tags[repo][tag] = append(c.tags[repo][tag], put{digest: digest, begun: time.Now()})
	return len(c.tags[repo][tag]) - 1
}

func (c *cluster) finish(repo, tag string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tags[repo][tag][n].end = time.Now()
}

// look pulls what a tag shows, from the server at url, and returns an error if
// that is not what it may show: what nobody pushed, something that is not there,
// or something older than what was acknowledged before.
func (c *cluster) look(ctx context.Context, url, repo, tag string) error {
	asked := time.Now()
	manifest, err := c.pull(ctx, url+"/v2/"+repo+"/manifests/"+tag)
	c.mu.Lock()
	defer c.mu.Unlock()
	puts := c.tags[repo][tag]
	acknowledged := slices.ContainsFunc(puts, func(p put) bool { return !p.end.IsZero() && p.end.Before(asked) })
	if s, ok := errors.AsType[*statusError](err); ok && s.status == http.StatusNotFound && !acknowledged {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tag %s:%s: %w", repo, tag, err)
	}
	digest := sha256Digest(manifest)
	seen := false
	for _, p := range puts {
		if p.digest != digest {
			continue
		}
		seen = true
		overtaken := func(q put) bool {
			return q.digest != digest && !p.end.IsZero() && q.begun.After(p.end) && !q.end.IsZero() && q.end.Before(asked)
		}
		if !slices.ContainsFunc(puts, overtaken) {
			return nil
		}
	}
	if !seen {
		return fmt.Errorf("tag %s:%s shows %s, which nobody pushed", repo, tag, digest)
	}
	return fmt.Errorf("tag %s:%s has moved backwards to %s", repo, tag, digest)
}

func (c *cluster) pull(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", tinyType)
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = &statusError{http.MethodGet, req.URL.Path, string(body), resp.StatusCode, resp.Header.Get("Retry-After")}
	}
	return body, err
}

// check ends a case: whatever was acknowledged pulls bit for bit through every
// server, no tag dangles or has moved backwards, and fsck finds nothing broken.
func (c *cluster) check(t *testing.T) {
	t.Helper()
	c.bucket.set(nil)
	c.bucket.later.Wait()
	ctx := t.Context()
	var (
		work    = make(chan func() error)
		workers sync.WaitGroup
	)
	for range 16 {
		workers.Go(func() {
			for do := range work {
				if err := do(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	c.mu.Lock()
	acked, tags := c.acked, c.tags
	c.acked = map[string][]byte{}
	c.mu.Unlock()
	for _, server := range c.servers {
		for path, want := range acked {
			work <- func() error {
				got, err := c.pull(ctx, server.URL+path)
				if err != nil {
					return fmt.Errorf("acknowledged, but %w", err)
				}
				if !bytes.Equal(got, want) {
					return fmt.Errorf("%s: %d bytes that are not those that were pushed", path, len(got))
				}
				return nil
			}
		}
		for repo := range tags {
			for tag := range tags[repo] {
				work <- func() error { return c.look(ctx, server.URL, repo, tag) }
			}
		}
	}
	close(work)
	workers.Wait()
	t.Logf("%d things acknowledged, all there; %d requests failed and were tried again; %d requests to S3, %d of them failed on purpose",
		len(acked), c.failed.Swap(0), c.bucket.requests.Swap(0), c.bucket.faults.Swap(0))
	fsckFindsOnlyGarbage(t, buildServer(t), c.bucket.direct.config())
}

// load pushes and pulls until stop is called: some clients push to tags that all
// of them share, some to their own, and some look at those.
func (c *cluster) load(t *testing.T, p pusher, repo string) (stop func()) {
	t.Helper()
	var (
		all   sync.WaitGroup
		ended atomic.Bool
		n     atomic.Int64
	)
	ctx := t.Context()
	for client := range 4 {
		all.Go(func() {
			for i := 0; !ended.Load(); i++ {
				tag := "shared"
				if i%2 == 1 {
					tag = fmt.Sprintf("c%d-%d", client, i)
				}
				if err := p.push(ctx, repo, tag, imageSize(i)); err != nil {
					t.Error(err)
					return
				}
				n.Add(1)
				time.Sleep(long(0, 200*time.Millisecond))
			}
		})
	}
	for range 2 {
		all.Go(func() {
			for !ended.Load() {
				if err := p.patiently(ctx, func() error { return c.look(ctx, c.url, repo, "shared") }); err != nil {
					t.Error(err)
				}
				time.Sleep(long(20*time.Millisecond, 100*time.Millisecond))
			}
		})
	}
	return func() {
		ended.Store(true)
		all.Wait()
		t.Logf("%d images pushed", n.Load())
	}
}

// imageSize is that of the nth image: mostly small, now and then of several parts.
func imageSize(n int) int {
	if n%50 == 49 {
		return 11<<20 + mathrand.IntN(1<<20)
	}
	return 1 + mathrand.IntN(50_000)
}
