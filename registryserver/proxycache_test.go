package main_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	adminclient "github.com/registrykit/terraform-provider-registry/registryserver/client"
)

// TestProxyCacheFetchesOnce: however many nodes pull an image at once, and however
// many servers they come to, the upstream is asked once for each manifest and blob.
func TestProxyCacheFetchesOnce(t *testing.T) {
	t.Parallel()
	bucket, up := startS3(t), startUpstream(t)
	// One blob is smaller than what is kept in memory of it, one larger.
	layers := [][]byte{hubNoise(1, 300<<10), hubNoise(2, 24<<20), hubNoise(3, 5<<20)}
	manifest := up.publish(t, "library/app", "v1", layers...)
	servers := []*process{cachingServer(t, bucket.config()), cachingServer(t, bucket.config())}
	cacheOf(t, servers[0], adminclient.ProxyCacheSpec{Prefix: "hub.example", UpstreamURL: up.URL, RevalidateAfterSeconds: 600})
	knows(t, servers[1], "hub.example")

	const nodes = 100
	var group errgroup.Group
	for n := range nodes {
		p := servers[n%2]
		group.Go(func() error {
			pulls(t, p, "hub.example/library/app/manifests/v1", manifest)
			for _, l := range layers {
				pulls(t, p, "hub.example/library/app/blobs/"+sha256Digest(l), l)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		if n := up.count("GET /v2/library/app/blobs/" + sha256Digest(l)); n != 1 {
			t.Errorf("a blob of %d bytes was fetched %d times for %d nodes", len(l), n, nodes)
		}
	}
	if n := up.count("GET /v2/library/app/manifests/" + sha256Digest(manifest)); n != 1 {
		t.Errorf("the manifest was fetched %d times", n)
	}
	if n := up.count("GET /v2/library/app/manifests/v1"); n != 0 {
		t.Errorf("the tag was fetched %d times, which Docker Hub counts as pulls; HEAD is not counted", n)
	}
	before := up.total()
	pulls(t, servers[1], "hub.example/library/app/manifests/v1", manifest)
	pulls(t, servers[1], "hub.example/library/app/manifests/"+sha256Digest(manifest), manifest)
	if n := up.total() - before; n != 0 {
		t.Errorf("what is here and fresh took %d requests to the upstream", n)
	}
	// A blob of another repository is not fetched again, and not had without the
	// upstream's word.
	other := up.publish(t, "library/other", "v1", layers[0])
	pulls(t, servers[0], "hub.example/library/other/manifests/v1", other)
	pulls(t, servers[0], "hub.example/library/other/blobs/"+sha256Digest(layers[0]), layers[0])
	if n := up.count("GET /v2/library/other/blobs/" + sha256Digest(layers[0])); n != 0 {
		t.Errorf("content that is here was fetched %d times again", n)
	}
	refuses(t, servers[0], "hub.example/library/other/blobs/"+sha256Digest(layers[1]), http.StatusNotFound, "BLOB_UNKNOWN")
}

// TestProxyCacheFaults: what an upstream does wrong, and what clients see of it.
func TestProxyCacheFaults(t *testing.T) {
	t.Parallel()
	up := startUpstream(t)
	debug := freeAddress(t)
	p := cachingServer(t, filesystemConfig(t.TempDir()), "REGISTRY_HTTP_DEBUG_ADDR="+debug, "REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED=true")
	cacheOf(t, p, adminclient.ProxyCacheSpec{Prefix: "hub", UpstreamURL: up.URL}) // tags are looked at each time
	blob := func(repo string, content []byte) string { return repo + "/blobs/" + sha256Digest(content) }
	layer := hubNoise(10, 1<<20)
	manifest := up.publish(t, "app", "v1", layer)
	answers := func(status int, header ...string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			if len(header) > 0 {
				w.Header().Set(header[0], header[1])
			}
			w.WriteHeader(status)
			return true
		}
	}

	t.Run("down before anything was fetched", func(t *testing.T) {
		up.breaks(answers(http.StatusBadGateway))
		refuses(t, p, "hub/app/manifests/v1", http.StatusServiceUnavailable, "out of order")
		up.breaks(nil)
		pulls(t, p, "hub/app/manifests/v1", manifest)
	})
	t.Run("stale", func(t *testing.T) {
		for _, x := range []struct {
			name  string
			fault func(http.ResponseWriter, *http.Request) bool
		}{
			{"500", answers(http.StatusInternalServerError)}, {"503", answers(http.StatusServiceUnavailable)},
			{"gone", func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }},
			{"429", answers(http.StatusTooManyRequests, "Retry-After", "2")},
		} {
			up.breaks(nil)
			refuses(t, p, "hub/app/manifests/none", http.StatusNotFound, "MANIFEST_UNKNOWN") // so that it is known to be up
			up.breaks(x.fault)
			before := up.total()
			t.Run(x.name, func(t *testing.T) { pulls(t, p, "hub/app/manifests/v1", manifest) })
			asked := up.total()
			pulls(t, p, "hub/app/manifests/v1", manifest)
			if asked == before || up.total() != asked {
				t.Errorf("%s: the upstream was asked %d times, and then %d times though it was known to be down", x.name, asked-before, up.total()-asked)
			}
		}
		header := refuses(t, p, "hub/"+blob("app", layer), http.StatusTooManyRequests, "takes no more requests")
		if header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		up.breaks(nil)
		time.Sleep(2500 * time.Millisecond) // what the upstream asked for
		pulls(t, p, "hub/"+blob("app", layer), layer)
	})
	t.Run("cut in the middle", func(t *testing.T) {
		content := hubNoise(11, 3<<20)
		up.publish(t, "cut", "v1", content)
		var cuts atomic.Int32
		up.breaks(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, sha256Digest(content)) || cuts.Add(1) > 2 {
				return false
			}
			if r.Header.Get("Range") != "" {
				panic(http.ErrAbortHandler)
			}
			w.Header().Set("Content-Length", "3145728")
			_, _ = w.Write(content[:1<<20])
			panic(http.ErrAbortHandler)
		})
		pulls(t, p, "hub/"+blob("cut", content), content)
		if cuts.Load() != 3 {
			t.Errorf("it was asked for %d times", cuts.Load())
		}
	})
	t.Run("wrong bytes", func(t *testing.T) {
		content := hubNoise(12, 1<<20)
		up.publish(t, "wrong", "v1", content)
		bad := bytes.Clone(content)
		bad[len(bad)/2] ^= 1
		up.breaks(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, sha256Digest(content)) {
				return false
			}
			_, _ = w.Write(bad)
			return true
		})
		resp, err := http.Get(p.URL + "/v2/hub/" + blob("wrong", content))
		if err == nil {
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); err == nil && resp.StatusCode == http.StatusOK {
				t.Errorf("%d wrong bytes were sent as if they were right", len(body))
			}
		}
		up.breaks(nil)
		pulls(t, p, "hub/"+blob("wrong", content), content) // nothing of it was kept
	})
	t.Run("slow, and the client leaves", func(t *testing.T) {
		content := hubNoise(13, 2<<20)
		up.publish(t, "slow", "v1", content)
		goOn := make(chan struct{})
		up.breaks(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, sha256Digest(content)) {
				return false
			}
			w.Header().Set("Content-Length", "2097152")
			_, _ = w.Write(content[:1<<20])
			_ = http.NewResponseController(w).Flush()
			<-goOn
			_, _ = w.Write(content[1<<20:])
			return true
		})
		ctx, leave := context.WithCancel(t.Context())
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+"/v2/hub/"+blob("slow", content), nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		// It comes while it is still being fetched.
		if _, err := io.ReadFull(resp.Body, make([]byte, 512<<10)); err != nil {
			t.Error(err)
		}
		leave()
		resp.Body.Close()
		close(goOn)
		pulls(t, p, "hub/"+blob("slow", content), content)
		if n := up.count("GET /v2/" + blob("slow", content)); n != 1 {
			t.Errorf("it was fetched %d times", n)
		}
		up.breaks(nil)
	})
	t.Run("a tag that moves, and goes", func(t *testing.T) {
		moved := up.publish(t, "app", "v1", hubNoise(14, 1000))
		pulls(t, p, "hub/app/manifests/v1", moved)
		pulls(t, p, "hub/app/manifests/"+sha256Digest(manifest), manifest)
		refuses(t, p, "hub/app/manifests/none", http.StatusNotFound, "MANIFEST_UNKNOWN")
	})
	resp, metrics := do(t, http.MethodGet, "http://"+debug+"/metrics", nil)
	for _, want := range []string{
		`registry_proxy_stale_total{prefix="hub",type="manifest"} 8`, `registry_proxy_upstream_errors_total{prefix="hub",reason="rate_limited"}`,
		`registry_proxy_upstream_errors_total{prefix="hub",reason="other_bytes"} 1`, `registry_proxy_misses_total{prefix="hub",type="blob"}`,
	} {
		if !strings.Contains(string(metrics), want) {
			t.Errorf("the metrics (%s) lack %s:\n%s", resp.Status, want, strings.Join(regexp.MustCompile(`(?m)^registry_proxy.*$`).FindAllString(string(metrics), -1), "\n"))
		}
	}
}

// TestProxyCacheKeepsItsLogin: an upstream that wants a login gets it, in both
// ways of doing so, and no other host ever does.
func TestProxyCacheKeepsItsLogin(t *testing.T) {
	t.Parallel()
	const password = "the password of the upstream"
	registry := startServer(t, filesystemConfig(t.TempDir()), "REGISTRY_ADMIN_USERNAME=puller", "REGISTRY_ADMIN_PASSWORD="+password)
	registry.login("puller", password)
	up := &upstream{process: registry, asked: map[string]int{}}
	up.Server = httptest.NewServer(up.handler(registry.Host))
	t.Cleanup(up.Close)
	layer, moved := hubNoise(20, 100_000), hubNoise(21, 100_000)
	manifest := up.publish(t, "private/app", "v1", layer, moved)

	var mu sync.Mutex
	var strayed []string
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "" || bytes.Contains(body, []byte("password")) {
			strayed = append(strayed, r.Method+" "+r.URL.Path)
		}
		_, _ = w.Write(moved)
	}))
	t.Cleanup(other.Close)

	p := cachingServer(t, filesystemConfig(t.TempDir()))
	secret := password
	cacheOf(t, p, adminclient.ProxyCacheSpec{Prefix: "theirs", UpstreamURL: up.URL + "/private", Username: "puller", Password: &secret})
	up.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, sha256Digest(moved)) {
			http.Redirect(w, r, other.URL+"/elsewhere", http.StatusTemporaryRedirect)
			return true
		}
		return false
	})
	pulls(t, p, "theirs/app/manifests/v1", manifest)
	pulls(t, p, "theirs/app/blobs/"+sha256Digest(layer), layer)
	pulls(t, p, "theirs/app/blobs/"+sha256Digest(moved), moved) // a redirect is followed without the login
	if len(up.auth) == 0 {
		t.Error("nobody logged in")
	}
	// A challenge that asks for the password at another host gets none.
	up.breaks(func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+other.URL+`/token",service="x"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
	cacheOf(t, p, adminclient.ProxyCacheSpec{Prefix: "theirs2", UpstreamURL: up.URL + "/private", Username: "puller", Password: &secret})
	refuses(t, p, "theirs2/app/manifests/v1", http.StatusServiceUnavailable, "")
	mu.Lock()
	defer mu.Unlock()
	if len(strayed) > 0 {
		t.Errorf("credentials went to another host: %v", strayed)
	}
	if strings.Contains(p.output.String(), password) {
		t.Error("the log has the password")
	}
}

// TestProxyCacheRights: nothing goes upstream for who may not pull, and nothing is
// pushed into a cache.
func TestProxyCacheRights(t *testing.T) {
	t.Parallel()
	up := startUpstream(t)
	up.publish(t, "app", "v1", hubNoise(30, 1000))
	p := cachingServer(t, filesystemConfig(t.TempDir()))
	cacheOf(t, p, adminclient.ProxyCacheSpec{Prefix: "hub", UpstreamURL: up.URL})
	for _, made := range [][2]string{
		{"policies", `{"name":"mine","rules":[{"repositories":["mine/**"],"actions":["pull","push"]}]}`},
		{"users", `{"username":"dev","policies":["mine"],"password":"a long password"}`},
	} {
		if resp, body := do(t, http.MethodPost, p.URL+"/api/v1/"+made[0], []byte(made[1]), "Content-Type", "application/json"); resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s: %s %s", made[0], resp.Status, body)
		}
	}
	asAdmin := p.URL
	p.login("dev", "a long password")
	before := up.total()
	refuses(t, p, "hub/app/manifests/v1", http.StatusForbidden, "DENIED")
	refuses(t, p, "hub/app/blobs/"+sha256Digest(hubNoise(30, 1000)), http.StatusForbidden, "DENIED")
	if n := up.total() - before; n != 0 {
		t.Errorf("%d requests went upstream for who may not pull", n)
	}
	p.URL = asAdmin
	for _, path := range []string{"hub/app/blobs/uploads/", "hub/new/blobs/uploads/"} {
		resp, body := do(t, http.MethodPost, p.URL+"/v2/"+path, nil)
		if resp.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(string(body), "pull-through cache") {
			t.Errorf("push to %s: %s %s", path, resp.Status, body)
		}
	}
	resp, body := do(t, http.MethodPut, p.URL+"/v2/hub/app/manifests/mine", layeredManifest(nil), "Content-Type", tinyType)
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("push a manifest: %s %s", resp.Status, body)
	}
	content := []byte("of our own")
	pushBlob(t, p, "hubs/app", sha256Digest(content), content) // another prefix
	pushBlob(t, p, "hub", sha256Digest(content), content)      // nor is this one of the cache
}

// TestProxyCacheTakesOver: a server that dies while it fetches holds up nobody for
// long.
func TestProxyCacheTakesOver(t *testing.T) {
	t.Parallel()
	bucket, up := startS3(t), startUpstream(t)
	content := hubNoise(40, 2<<20)
	up.publish(t, "app", "v1", content)
	first := launch(t, buildServer(t), writeConfig(t, bucket.config()), freeAddress(t), "REGISTRY_HTTP_SECRET=a secret of all servers", "REGISTRY_ADMIN_USERNAME="+adminUser, "REGISTRY_ADMIN_PASSWORD="+adminPassword)
	if !first.ready(t) {
		t.Fatal(first.output.tail())
	}
	first.login(adminUser, adminPassword)
	second := cachingServer(t, bucket.config())
	cacheOf(t, first, adminclient.ProxyCacheSpec{Prefix: "hub", UpstreamURL: up.URL})
	knows(t, second, "hub")
	stuck, begun := make(chan struct{}), make(chan struct{})
	defer close(stuck)
	var times atomic.Int32
	up.breaks(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, sha256Digest(content)) || times.Add(1) > 1 {
			return false
		}
		w.Header().Set("Content-Length", "2097152")
		_, _ = w.Write(content[:1000])
		_ = http.NewResponseController(w).Flush()
		close(begun)
		<-stuck
		return true
	})
	go func() {
		if resp, err := http.Get(first.URL + "/v2/hub/app/blobs/" + sha256Digest(content)); err == nil {
			resp.Body.Close()
		}
	}()
	<-begun
	_ = first.cmd.Process.Kill()
	<-first.exited
	pulls(t, second, "hub/app/blobs/"+sha256Digest(content), content)
}

// TestProxyCacheOfTheWholeRegistry: distribution's proxy section.
func TestProxyCacheOfTheWholeRegistry(t *testing.T) {
	t.Parallel()
	up := startUpstream(t)
	layer := hubNoise(50, 1000)
	manifest := up.publish(t, "some/app", "v1", layer)
	p := startServer(t, filesystemConfig(t.TempDir()), "REGISTRY_PROXY_REMOTEURL="+up.URL)
	pulls(t, p, "some/app/manifests/v1", manifest)
	pulls(t, p, "some/app/blobs/"+sha256Digest(layer), layer)
	resp, body := do(t, http.MethodPost, p.URL+"/v2/some/app/blobs/uploads/", nil)
	if resp.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(string(body), up.URL) {
		t.Errorf("push: %s %s", resp.Status, body)
	}
}

// TestProxyCacheCollects: a garbage collection takes nothing that a cached image
// names, though parts of it were never pulled, and fsck misses none of these.
func TestProxyCacheCollects(t *testing.T) {
	t.Parallel()
	up, config := startUpstream(t), filesystemConfig(t.TempDir())
	first, second, loose := hubNoise(60, 1000), hubNoise(61, 1000), hubNoise(62, 1000)
	manifest := up.publish(t, "app", "v1", first, second)
	up.publish(t, "app", "v2", loose)
	p := cachingServer(t, config)
	cacheOf(t, p, adminclient.ProxyCacheSpec{Prefix: "hub", UpstreamURL: up.URL})
	pulls(t, p, "hub/app/manifests/v1", manifest)
	pulls(t, p, "hub/app/blobs/"+sha256Digest(first), first)
	pulls(t, p, "hub/app/blobs/"+sha256Digest(loose), loose) // and never its manifest
	for range 3 {
		if out, err := runWith(t, config, noGrace, "garbage-collect", "--delete-untagged"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if out, err := runWith(t, config, nil, "fsck"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	up.breaks(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true })
	pulls(t, p, "hub/app/manifests/v1", manifest)
	pulls(t, p, "hub/app/blobs/"+sha256Digest(first), first)
	refuses(t, p, "hub/app/blobs/"+sha256Digest(loose), http.StatusServiceUnavailable, "UNAVAILABLE") // nothing needed it
	up.breaks(nil)
	pulls(t, p, "hub/app/blobs/"+sha256Digest(second), second)
}
