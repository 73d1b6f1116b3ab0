package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	adminclient "github.com/registrykit/terraform-provider-registry/registryserver/client"
)

// upstream is a registry that is cached: distribution 3, behind a proxy that counts
// and does what goes wrong on the way.
type upstream struct {
	*httptest.Server
	process *process
	mu      sync.Mutex
	asked   map[string]int // by method and path
	auth    []string
	fault   func(w http.ResponseWriter, r *http.Request) (answered bool)
}

func startUpstream(t *testing.T) *upstream {
	t.Helper()
	u := &upstream{process: startRegistry(t, tool(t, "distribution"), filesystemConfig(t.TempDir())), asked: map[string]int{}}
	u.Server = httptest.NewServer(u.handler(u.process.Host))
	t.Cleanup(u.Close)
	return u
}

func (u *upstream) handler(host string) http.Handler {
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: host})
		r.Out.Host = r.In.Host
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.mu.Lock()
		u.asked[r.Method+" "+r.URL.Path]++
		if a := r.Header.Get("Authorization"); a != "" {
			u.auth = append(u.auth, a)
		}
		fault := u.fault
		u.mu.Unlock()
		if fault == nil || !fault(w, r) {
			proxy.ServeHTTP(w, r)
		}
	})
}

// break makes everything go wrong in a way; nil heals it.
func (u *upstream) breaks(fault func(w http.ResponseWriter, r *http.Request) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fault = fault
}

func (u *upstream) count(request string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.asked[request]
}

func (u *upstream) total() (n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, times := range u.asked {
		n += times
	}
	return n
}

// publish pushes an image of layers to the upstream itself, and returns its manifest.
func (u *upstream) publish(t testing.TB, repo, tag string, layers ...[]byte) []byte {
	t.Helper()
	config := fmt.Appendf(nil, `{"of":%q,"layers":%d}`, repo+tag, len(layers))
	manifest := layeredManifest(config, layers...)
	for _, content := range append([][]byte{config}, layers...) {
		pushBlob(t, u.process, repo, sha256Digest(content), content)
	}
	pushManifest(t, u.process, repo, tag, tinyType, manifest)
	return manifest
}

func layeredManifest(config []byte, layers ...[]byte) []byte {
	var list []string
	for _, l := range layers {
		list = append(list, fmt.Sprintf(`{"mediaType":"application/x","digest":%q,"size":%d}`, sha256Digest(l), len(l)))
	}
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/x","digest":%q,"size":%d},"layers":[%s]}`,
		tinyType, sha256Digest(config), len(config), strings.Join(list, ","))
}

// hubNoise is content that no two calls share.
func hubNoise(seed, size int) []byte {
	out := make([]byte, size)
	state := uint64(seed)*2654435761 + 1
	for i := range out {
		state = state*6364136223846793005 + 1442695040888963407
		out[i] = byte(state >> 56)
	}
	return out
}

// cacheOf makes a pull-through cache with the admin API.
func cacheOf(t *testing.T, p *process, spec adminclient.ProxyCacheSpec) {
	t.Helper()
	body, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	resp, answer := do(t, http.MethodPut, p.URL+"/api/v1/proxy-caches/"+url.PathEscape(spec.Prefix), body, "Content-Type", "application/json")
	if resp.StatusCode/100 != 2 {
		t.Fatalf("make a cache: %s\n%s", resp.Status, answer)
	}
	if strings.Contains(string(answer), "password") && !strings.Contains(string(answer), "has_password") {
		t.Errorf("the answer has the password: %s", answer)
	}
}

// knows waits until a server has heard of what another one did: lists are always
// read anew.
func knows(t *testing.T, p *process, prefix string) {
	t.Helper()
	if resp, body := do(t, http.MethodGet, p.URL+"/api/v1/proxy-caches", nil); !strings.Contains(string(body), `"prefix":"`+prefix+`"`) {
		t.Fatalf("%s: %s", resp.Status, body)
	}
}

// cachingServer starts a server with an admin on a storage, and a secret.
func cachingServer(t *testing.T, config string, more ...string) *process {
	t.Helper()
	p := startServer(t, config, append([]string{"REGISTRY_HTTP_SECRET=a secret of all servers", "REGISTRY_ADMIN_USERNAME=" + adminUser, "REGISTRY_ADMIN_PASSWORD=" + adminPassword}, more...)...)
	p.login(adminUser, adminPassword)
	return p
}

// pulls gets something and compares it.
func pulls(t testing.TB, p *process, path string, want []byte) {
	t.Helper()
	resp, got := do(t, http.MethodGet, p.URL+"/v2/"+path, nil)
	if resp.StatusCode != http.StatusOK || !bytes.Equal(got, want) {
		t.Errorf("GET %s: %s with %d bytes, want %d: %.300s", path, resp.Status, len(got), len(want), got)
	}
}

// refuses gets something that is not to be had.
func refuses(t testing.TB, p *process, path string, status int, text string) http.Header {
	t.Helper()
	resp, got := do(t, http.MethodGet, p.URL+"/v2/"+path, nil)
	if resp.StatusCode != status || !strings.Contains(string(got), text) {
		t.Errorf("GET %s: %s %.300s, want %d and %q", path, resp.Status, got, status, text)
	}
	return resp.Header
}
