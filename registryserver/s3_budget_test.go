package main_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// s3Proxy stands in front of an S3 server and counts what is asked of it.
type s3Proxy struct {
	s3Server
	mu         sync.Mutex
	requests   []string // that users caused
	background int
	all        []string        // requests, those of the background included
	actions    map[string]bool // of IAM, on the bucket or below it
	delay      time.Duration   // added to each
}

// countS3 puts a proxy in front of a new S3 server.
func countS3(t testing.TB) *s3Proxy {
	t.Helper()
	server := startS3(t)
	target, err := url.Parse(server.url)
	if err != nil {
		t.Fatal(err)
	}
	p := &s3Proxy{actions: map[string]bool{}}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host // which is signed
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 256},
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.all = append(p.all, r.Method+" "+r.URL.Path+"?"+r.URL.RawQuery)
		if r.Header.Get("X-Registrykit-Background") != "" {
			p.background++
		} else {
			p.requests = append(p.requests, r.Method+" "+r.URL.Path+"?"+r.URL.RawQuery)
		}
		onBucket, onObjects := storagetest.S3Actions(r, s3Bucket)
		for _, action := range onBucket {
			p.actions[action+" on the bucket"] = true
		}
		for _, action := range onObjects {
			p.actions[action+" on its objects"] = true
		}
		delay := p.delay
		p.mu.Unlock()
		time.Sleep(delay)
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	p.url = proxy.URL
	return p
}

// count returns what it asks of S3 to do something.
func (p *s3Proxy) count(do func()) []string {
	p.mu.Lock()
	p.requests = nil
	p.mu.Unlock()
	do()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// countAll is count with what is asked in the background.
func (p *s3Proxy) countAll(do func()) []string {
	p.mu.Lock()
	p.all = nil
	p.mu.Unlock()
	do()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all
}

// TestS3Requests holds the server to its budget: requests to S3 are what users of
// a bucket pay for and wait for. "Warm" is what this server has seen before.
func TestS3Requests(t *testing.T) {
	t.Parallel()
	bucket := countS3(t)
	config := strings.Replace(bucket.config(), "disable: true", "disable: false", 1)
	warm := startServer(t, config)
	noise := func(seed byte, size int) []byte { return bytes.Repeat([]byte{seed, 1, 2, 3, 4, 5, 6, 7}, size/8) }
	blob := func(repo string, content []byte) string { return "/v2/" + repo + "/blobs/" + sha256Digest(content) }
	layer, conf := tiny(1)
	manifest := tinyManifest(conf, layer)
	pushImage := func(repo string) {
		for _, content := range [][]byte{layer, conf} {
			if head(t, warm, blob(repo, content)) == http.StatusNotFound {
				pushBlob(t, warm, repo, sha256Digest(content), content)
			}
		}
		pushManifest(t, warm, repo, "v1", tinyType, manifest)
	}
	pushImage("seen") // so that the server has seen a repository and knows the epoch
	cold := startServer(t, config)
	get := func(p *process, path string, want int) func() {
		return func() {
			resp := sendOnce(t, http.MethodGet, p.URL+path)
			if resp.StatusCode != want {
				t.Errorf("GET %s: %s", path, resp.Status)
			}
		}
	}
	mib := func(n int, seed byte) []byte { return noise(seed, n<<20) }
	for _, row := range []struct {
		name string
		most int
		do   func()
	}{
		{"push a 4 KiB blob, POST+PATCH+PUT", 3, func() { patchBlob(t, warm, "seen", noise(1, 4096)) }},
		{"push a 4 KiB blob, POST+PUT", 2, func() { c := noise(2, 4096); pushBlob(t, warm, "seen", sha256Digest(c), c) }},
		{"push 16 MiB, POST+PATCH+PUT", 8, func() { patchBlob(t, warm, "seen", mib(16, 3)) }},
		{"push 16 MiB, POST+PUT", 6, func() { c := mib(16, 4); pushBlob(t, warm, "seen", sha256Digest(c), c) }},
		{"push 100 MiB, POST+PATCH+PUT", 22, func() { patchBlob(t, warm, "seen", mib(100, 5)) }},
		{"push 100 MiB, POST+PUT", 14, func() { c := mib(100, 6); pushBlob(t, warm, "seen", sha256Digest(c), c) }},
		{"a whole small image, first push", 14, func() { pushImage("new") }},
		{"the same image pushed again", 4, func() { pushImage("new") }},
		{"manifest GET by tag, warm", 1, get(warm, "/v2/new/manifests/v1", http.StatusOK)},
		{"manifest GET by digest, warm", 0, get(warm, "/v2/new/manifests/"+sha256Digest(manifest), http.StatusOK)},
		{"HEAD blob, warm", 0, func() { head(t, warm, blob("new", layer)) }},
		{"GET blob, warm", 0, get(warm, blob("new", layer), http.StatusTemporaryRedirect)},
		{"HEAD blob, cold", 2, func() { head(t, cold, blob("new", layer)) }},
		{"GET blob, cold", 2, get(cold, blob("new", conf), http.StatusTemporaryRedirect)},
		{"mount, warm", 1, func() {
			resp := sendOnce(t, http.MethodPost, warm.URL+"/v2/seen/blobs/uploads/?from=new&mount="+sha256Digest(layer))
			if resp.StatusCode != http.StatusCreated {
				t.Errorf("mount: %s", resp.Status)
			}
		}},
	} {
		got := bucket.count(row.do)
		t.Logf("%s: %d of at most %d", row.name, len(got), row.most)
		if len(got) > row.most {
			t.Errorf("%s: %d requests, at most %d are allowed:\n%s", row.name, len(got), row.most, strings.Join(got, "\n"))
		}
	}
}

// TestS3CatalogRequests: once the index stands, a page of the catalog takes two
// requests, wherever in the catalog it is.
func TestS3CatalogRequests(t *testing.T) {
	t.Parallel()
	bucket := countS3(t)
	count := 10_000
	if testing.Short() {
		count = 2_500
	}
	api := bucket.api()
	put := func(key, value string) error {
		_, err := api.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(s3Bucket), Key: aws.String("some/place/registrykit/v1/" + key), Body: strings.NewReader(value)})
		return err
	}
	var puts errgroup.Group
	puts.SetLimit(16)
	for n := range count {
		puts.Go(func() error { return put(fmt.Sprintf("repositories/team-%05d", n), "") })
	}
	if err := puts.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := put("repositories-indexed", "complete"); err != nil {
		t.Fatal(err)
	}
	p := startServer(t, bucket.config())
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(50 * time.Millisecond) {
		if _, body := do(t, http.MethodGet, p.URL+"/v2/_catalog?n=1", nil); strings.Contains(string(body), "team/00000") {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the catalog has %s", body)
		}
	}
	for _, last := range []string{"", "team/00700", fmt.Sprintf("team/%05d", count-1001)} {
		got := bucket.count(func() {
			_, body := do(t, http.MethodGet, p.URL+"/v2/_catalog?n=1000&last="+last, nil)
			if n := strings.Count(string(body), "team/"); n != 1000 {
				t.Errorf("a page after %q has %d repositories", last, n)
			}
		})
		if len(got) > 2 {
			t.Errorf("a page after %q takes %d requests, want at most 2:\n%s", last, len(got), strings.Join(got, "\n"))
		}
	}
}

// TestS3Idle: what a server asks of the bucket while nobody asks anything of it.
func TestS3Idle(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a minute: make full")
	}
	t.Parallel()
	bucket := countS3(t)
	startServer(t, bucket.config(), "REGISTRY_ADMIN_USERNAME=admin", "REGISTRY_ADMIN_PASSWORD=change-me-please")
	time.Sleep(2 * time.Second)
	bucket.mu.Lock()
	before := bucket.background
	bucket.mu.Unlock()
	asked := bucket.count(func() { time.Sleep(time.Minute) })
	bucket.mu.Lock()
	defer bucket.mu.Unlock()
	t.Logf("%d requests in a minute", bucket.background-before)
	if n := bucket.background - before; n > 15 || len(asked) > 0 {
		t.Errorf("%d background requests in a minute, want at most 15, and %d others:\n%s", n, len(asked), strings.Join(asked, "\n"))
	}
}

// TestS3TagRequests: a list of tags takes a request for every thousand, however
// many digests each has had.
func TestS3TagRequests(t *testing.T) {
	t.Parallel()
	bucket := countS3(t)
	p := startServer(t, bucket.config())
	layer, conf := tiny(1)
	for _, content := range [][]byte{layer, conf} {
		pushBlob(t, p, "many", sha256Digest(content), content)
	}
	for i := range 3 { // a history for each
		manifest := tinyManifest(conf, layer)
		manifest = fmt.Appendf(manifest[:len(manifest)-1], `,"annotations":{"n":"%d"}}`, i)
		for from := 0; from < 200; from += 100 {
			var tags []string
			for n := range 100 {
				tags = append(tags, fmt.Sprintf("t%03d", from+n))
			}
			pushManifest(t, p, "many", sha256Digest(manifest), tinyType, manifest, tags...)
		}
	}
	got := bucket.count(func() {
		if resp := sendOnce(t, http.MethodGet, p.URL+"/v2/many/tags/list"); resp.StatusCode != http.StatusOK {
			t.Errorf("list: %s", resp.Status)
		}
	})
	if len(got) > 3 {
		t.Errorf("200 tags take %d requests, want 1 and at most 2 more:\n%s", len(got), strings.Join(got, "\n"))
	}
}

// sendOnce sends a request and returns the answer without following it.
func sendOnce(t testing.TB, method, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", tinyType)
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp
}

func head(t testing.TB, p *process, path string) int {
	t.Helper()
	return sendOnce(t, http.MethodHead, p.URL+path).StatusCode
}

// patchBlob pushes as docker does: POST, PATCH, PUT.
func patchBlob(t testing.TB, p *process, repo string, content []byte) {
	t.Helper()
	patchDigest(t, p, repo, sha256Digest(content), content)
}

func patchDigest(t testing.TB, p *process, repo, digest string, content []byte) {
	t.Helper()
	resp, body := do(t, http.MethodPost, p.URL+"/v2/"+repo+"/blobs/uploads/", nil)
	for _, step := range []struct {
		method  string
		content []byte
		want    int
	}{{http.MethodPatch, content, http.StatusAccepted}, {http.MethodPut, nil, http.StatusCreated}} {
		location, err := resp.Location()
		if err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if step.method == http.MethodPut {
			query := location.Query()
			query.Set("digest", digest)
			location.RawQuery = query.Encode()
		}
		resp, body = do(t, step.method, location.String(), step.content, "Content-Type", "application/octet-stream")
		if resp.StatusCode != step.want {
			t.Fatalf("%s: %s\n%s", step.method, resp.Status, body)
		}
	}
}
