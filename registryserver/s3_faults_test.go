package main_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// s3Fault is what becomes of a request to S3.
type s3Fault int

const (
	passed       s3Fault = iota
	slowDown             // 503 SlowDown
	notApplied           // failed, and not done
	applied              // done, but the answer says that it failed, or breaks off
	appliedLater         // failed, and done some time after
	stalled              // done, after two seconds
)

// faultyS3 stands in front of an S3 server and fails what its plan says.
type faultyS3 struct {
	s3Server
	direct   s3Server // without faults
	plan     atomic.Pointer[func(*http.Request) s3Fault]
	requests atomic.Int64
	faults   atomic.Int64
	later    sync.WaitGroup // what is done some time after
	upstream http.RoundTripper
}

func startFaultyS3(t testing.TB) *faultyS3 {
	t.Helper()
	f := &faultyS3{direct: startS3(t), upstream: &http.Transport{MaxIdleConnsPerHost: 256}}
	target, err := url.Parse(f.direct.url)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Host = r.In.Host // which is signed
		},
		Transport:    f.upstream,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.requests.Add(1)
		fault := passed
		if plan := f.plan.Load(); plan != nil {
			fault = (*plan)(r)
		}
		if fault != passed {
			f.faults.Add(1)
		}
		switch fault {
		case stalled:
			time.Sleep(2 * time.Second)
			forward.ServeHTTP(w, r)
		case passed:
			forward.ServeHTTP(w, r)
		default:
			f.fail(w, r, fault, target)
		}
	}))
	t.Cleanup(func() { f.later.Wait(); proxy.Close() })
	f.url = proxy.URL
	return f
}

func (f *faultyS3) set(plan func(*http.Request) s3Fault) {
	if plan == nil {
		f.plan.Store(nil)
		return
	}
	f.plan.Store(&plan)
}

func (f *faultyS3) fail(w http.ResponseWriter, r *http.Request, fault s3Fault, target *url.URL) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	do := func() {
		again := r.Clone(context.WithoutCancel(r.Context())) // whoever asked may be gone
		again.URL.Scheme, again.URL.Host, again.RequestURI = target.Scheme, target.Host, ""
		again.Body, again.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		again.Header.Del("Expect")
		if resp, err := f.upstream.RoundTrip(again); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	}
	switch fault {
	case slowDown:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>")
		return
	case applied:
		do()
	case appliedLater:
		f.later.Go(func() {
			time.Sleep(rand.N(3 * time.Second))
			do()
		})
	}
	if rand.N(2) == 0 {
		panic(http.ErrAbortHandler) // the connection breaks
	}
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(http.StatusInternalServerError)
	fmt.Fprint(w, "<Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message></Error>")
}

// TestS3Unreachable: while S3 answers nothing but SlowDown, clients hear that the
// registry is not available and when to ask again, in the spec's words and none
// of S3's; and afterwards all is well.
func TestS3Unreachable(t *testing.T) {
	t.Parallel()
	bucket := startFaultyS3(t)
	p := startServer(t, bucket.config())
	layer, conf := tiny(1)
	manifest := tinyManifest(conf, layer)
	pushAll := func() {
		for _, content := range [][]byte{layer, conf} {
			patchBlob(t, p, "team/app", content)
		}
		pushManifest(t, p, "team/app", "v1", tinyType, manifest)
	}
	pushAll()
	bucket.set(func(*http.Request) s3Fault { return slowDown })
	more := []byte("another blob")
	var requests sync.WaitGroup
	for _, c := range []struct {
		method, path string
		body         []byte
		headers      []string
	}{
		{http.MethodGet, "/v2/team/app/manifests/v1", nil, nil},
		{http.MethodHead, "/v2/team/app/manifests/v1", nil, nil},
		{http.MethodPut, "/v2/team/app/manifests/v2", manifest, []string{"Content-Type", tinyType}},
		{http.MethodDelete, "/v2/team/app/manifests/" + sha256Digest(manifest), nil, nil},
		{http.MethodGet, "/v2/team/app/tags/list", nil, nil},
		{http.MethodGet, "/v2/team/app/referrers/" + sha256Digest(manifest), nil, nil},
		{http.MethodGet, "/v2/_catalog", nil, nil},
		{http.MethodGet, "/v2/team/app/blobs/" + sha256Digest(more), nil, nil},
		{http.MethodPost, "/v2/team/app/blobs/uploads/?digest=" + sha256Digest(more), more, []string{"Content-Type", "application/octet-stream"}},
		{http.MethodPost, "/v2/other/blobs/uploads/?from=team/app&mount=" + sha256Digest(layer), nil, nil},
	} {
		requests.Go(func() {
			began := time.Now()
			resp, body := do(t, c.method, p.URL+c.path, c.body, c.headers...)
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || time.Since(began) > 50*time.Second {
				t.Errorf("%s %s: %s after %s, Retry-After %q", c.method, c.path, resp.Status, time.Since(began), resp.Header.Get("Retry-After"))
			}
			if c.method != http.MethodHead && (!bytes.Contains(body, []byte(`"UNAVAILABLE"`)) || bytes.Contains(body, []byte("SlowDown"))) {
				t.Errorf("%s %s: %s", c.method, c.path, body)
			}
		})
	}
	requests.Go(func() {
		for range 5 {
			if resp, body := do(t, http.MethodGet, p.URL+"/readyz", nil); resp.StatusCode != http.StatusOK {
				t.Errorf("readyz: %s %s", resp.Status, body)
			}
			time.Sleep(time.Second)
		}
	})
	requests.Wait()
	bucket.set(nil)
	pushAll()
	pushBlob(t, p, "team/app", sha256Digest(more), more)
	if resp, got := do(t, http.MethodGet, p.URL+"/v2/team/app/manifests/v1", nil); resp.StatusCode != http.StatusOK || !bytes.Equal(got, manifest) {
		t.Errorf("afterwards: %s", resp.Status)
	}
}

// TestS3CommitGoesOn: when a client, or the load balancer before it, loses
// patience while S3 copies a large blob, the copy goes on; a repeated PUT on
// another server ends well meanwhile, and one that comes later finds it done.
func TestS3CommitGoesOn(t *testing.T) {
	t.Parallel()
	bucket := startFaultyS3(t)
	first, second := startServer(t, bucket.config()), startServer(t, bucket.config())
	bucket.set(func(r *http.Request) s3Fault {
		if r.Header.Get("X-Amz-Copy-Source") != "" {
			return stalled
		}
		return passed
	})
	for n, repeat := range []bool{true, false} {
		content := bytes.Repeat([]byte{byte(n), 1, 2, 3}, 3<<20)
		resp, _ := do(t, http.MethodPost, first.URL+"/v2/app/blobs/uploads/", nil)
		location, err := resp.Location()
		if err != nil {
			t.Fatal(err)
		}
		resp, body := do(t, http.MethodPatch, location.String(), content, "Content-Type", "application/octet-stream")
		if location, err = resp.Location(); err != nil {
			t.Fatalf("PATCH: %s\n%s", resp.Status, body)
		}
		query := location.Query()
		query.Set("digest", sha256Digest(content))
		location.RawQuery = query.Encode()
		impatient, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		req, err := http.NewRequestWithContext(impatient, http.MethodPut, location.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			t.Errorf("the PUT was answered %s, although the copy stalls", resp.Status)
		}
		cancel()
		if repeat {
			elsewhere := strings.Replace(location.String(), first.URL, second.URL, 1)
			if resp, body := do(t, http.MethodPut, elsewhere, nil); resp.StatusCode != http.StatusCreated {
				t.Errorf("the PUT repeated on another server: %s\n%s", resp.Status, body)
			}
		}
		soon(t, "the blob is there", func() bool {
			resp, _ := do(t, http.MethodHead, second.URL+"/v2/app/blobs/"+sha256Digest(content), nil)
			return resp.StatusCode == http.StatusOK && resp.ContentLength == int64(len(content))
		})
		if resp, body := do(t, http.MethodPut, location.String(), nil); resp.StatusCode != http.StatusCreated {
			t.Errorf("the PUT repeated later: %s\n%s", resp.Status, body)
		}
	}
}
