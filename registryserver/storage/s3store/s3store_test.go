package s3store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/s3store"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// counter is a proxy in front of the S3 server that counts requests, and can
// fail them.
type counter struct {
	mu       sync.Mutex
	requests []string
	fail     func(r *http.Request) bool
}

func (c *counter) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.requests
	c.requests = nil
	return all
}

func (c *counter) failing(fail func(r *http.Request) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = fail
}

// count puts a counter in front of the server.
func count(t testing.TB, conf *s3store.Config) *counter {
	t.Helper()
	c := &counter{}
	proxy := forward(t, conf.RegionEndpoint)
	conf.RegionEndpoint = serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.requests = append(c.requests, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/"+bucket+conf.RootDirectory+"/")+"?"+r.URL.RawQuery)
		fail := c.fail != nil && c.fail(r)
		c.mu.Unlock()
		if fail {
			http.Error(w, "injected", http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	return c
}

// forward passes requests on to the S3 server.
func forward(t testing.TB, endpoint string) http.Handler {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
		r.Out.Host = r.In.Host // which is signed
	}}
}

func content(seed uint64, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed)}).Read(b)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// begin starts an upload as POST does, and returns its state.
func begin(t testing.TB, b storage.Blobs) []byte {
	t.Helper()
	up, err := b.StartUpload(t.Context())
	must(t, err)
	must(t, up.Close())
	return up.State()
}

// add adds a chunk as PATCH does.
func add(t testing.TB, b storage.Blobs, state, chunk []byte) []byte {
	t.Helper()
	up, err := b.ResumeUpload(t.Context(), state)
	must(t, err)
	_, err = up.ReadFrom(bytes.NewReader(chunk))
	must(t, err)
	must(t, up.Close())
	return up.State()
}

// finish commits as PUT does.
func finish(t testing.TB, b storage.Blobs, state, all []byte) error {
	t.Helper()
	up, err := b.ResumeUpload(t.Context(), state)
	if err != nil {
		return err
	}
	_, err = up.Commit(t.Context(), oci.FromBytes(all))
	return err
}

// TestRequests holds uploads to their budget of requests.
func TestRequests(t *testing.T) {
	conf := config(t)
	c := count(t, &conf)
	s := open(t, conf)
	c.take()
	for _, step := range []struct {
		name string
		size int
		want int
	}{
		{"docker, small", 4096, 2}, // and one for the link
		{"docker, one part", 10 << 20, 2},
		// Create, 2 parts; ListParts, Complete, Copy, Delete.
		{"docker, 16 MiB", 16 << 20, 7},
		// Create, 3 parts, a tail and the same as a part; ListParts, Complete, Copy,
		// and what is staged listed and deleted.
		{"docker, 32 MiB", 32 << 20, 12},
	} {
		all := content(7, step.size)
		state := add(t, s.Blobs, begin(t, s.Blobs), all)
		must(t, finish(t, s.Blobs, state, all))
		if got := c.take(); len(got) > step.want {
			t.Errorf("%s: %d requests, want at most %d:\n%s", step.name, len(got), step.want, strings.Join(got, "\n"))
		}
	}
	for size, want := range map[int]int{100: 1, 16 << 20: 4, 100 << 20: 12} {
		all := content(8, size)
		must(t, atOnce(t, s.Blobs, all, oci.FromBytes(all)))
		if got := c.take(); len(got) > want {
			t.Errorf("%d bytes with their digest: %d requests, want at most %d:\n%s", size, len(got), want, strings.Join(got, "\n"))
		}
	}
	storagetest.Fsck(t, s.Blobs)
}

// atOnce pushes as POST ?digest= does.
func atOnce(t testing.TB, b storage.Blobs, all []byte, want oci.Digest) error {
	t.Helper()
	up, err := b.StartUpload(t.Context())
	must(t, err)
	up.Expect(want)
	_, err = up.ReadFrom(bytes.NewReader(all))
	must(t, err)
	_, err = up.Commit(t.Context(), want)
	return err
}

// TestExpected: parts that go to the key of a blob at once become that blob with
// the right digest, and nothing with another, or when the client goes away, or
// the server.
func TestExpected(t *testing.T) {
	conf := config(t)
	c := count(t, &conf)
	s := open(t, conf)
	all := content(9, 16<<20)
	right, wrong := oci.FromBytes(all), oci.FromBytes(all[1:])
	unfinished := func() int {
		c.take()
		_, err := s.Blobs.SweepUploads(t.Context(), time.Now().Add(time.Hour))
		must(t, err)
		n := 0
		for _, r := range c.take() {
			if strings.HasPrefix(r, "DELETE ") && strings.Contains(r, "/blobs/") && strings.Contains(r, "uploadId=") {
				n++
			}
		}
		return n
	}
	absent := func(when string, d oci.Digest, parts int) {
		t.Helper()
		if _, err := s.Blobs.Stat(t.Context(), d); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s: Stat: %v", when, err)
		}
		if n := unfinished(); n != parts {
			t.Errorf("%s: %d multipart uploads were left, want %d", when, n, parts)
		}
	}
	if err := atOnce(t, s.Blobs, all, wrong); !errors.Is(err, storage.ErrDigestMismatch) {
		t.Errorf("another digest: %v", err)
	}
	absent("another digest", wrong, 0)
	absent("another digest", right, 0)

	part := func() storage.Upload {
		up, err := s.Blobs.ResumeUpload(t.Context(), begin(t, s.Blobs))
		must(t, err)
		up.Expect(right)
		_, err = up.ReadFrom(bytes.NewReader(all[:11<<20]))
		must(t, err)
		return up
	}
	up := part()
	must(t, up.Close())
	absent("the client went away", right, 0)
	if up, err := s.Reopen(t).Blobs.ResumeUpload(t.Context(), up.State()); err != nil || up.Size() != 0 {
		t.Errorf("resume: %v; it has to begin again", err)
	}
	up = part()
	if _, err := up.Commit(t.Context(), oci.FromBytes(all[:11<<20])); !errors.Is(err, storage.ErrDigestMismatch) {
		t.Errorf("a digest that was not expected: %v", err)
	}
	absent("a digest that was not expected", oci.FromBytes(all[:11<<20]), 0)
	part() // and the server is killed
	absent("the server was killed", right, 1)
	// Its last part may still have been on its way: S3 asks to give up such an
	// upload again.
	for deadline := time.Now().Add(20 * time.Second); unfinished() > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what a killed server left is never gone")
		}
	}

	must(t, atOnce(t, s.Blobs, all, right))
	must(t, atOnce(t, s.Blobs, all, right))
	if n := unfinished(); n != 0 {
		t.Errorf("%d multipart uploads were left by what succeeded", n)
	}
	storagetest.Fsck(t, s.Blobs)
}

// TestNothingStaysStaged: uploads of every kind leave nothing behind once they
// have ended.
func TestNothingStaysStaged(t *testing.T) {
	s := open(t, config(t))
	sweep := func(what string) {
		t.Helper()
		if n, err := s.Blobs.SweepUploads(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
			t.Errorf("after %s, %d uploads were swept, %v", what, n, err)
		}
	}
	all := content(1, 26<<20)
	for _, cut := range [][]int{{1, len(all)}, {6 << 20, 7 << 20, len(all)}, {100, 200, 300}, {12 << 20, len(all)}, {9 << 20, 9<<20 + 1}} {
		state, at := begin(t, s.Blobs), 0
		for _, to := range cut {
			state, at = add(t, s.Blobs, state, all[at:to]), to
		}
		must(t, finish(t, s.Blobs, state, all[:at]))
		sweep("a commit")
		if at > 5<<20 {
			if err := finish(t, s.Reopen(t).Blobs, state, all[:at]); !errors.Is(err, storage.ErrUploadUnknown) {
				t.Errorf("a commit of what was committed: %v", err)
			}
		}
		for _, some := range [][]byte{all[:cut[0]], all} {
			state := add(t, s.Blobs, begin(t, s.Blobs), some)
			up, err := s.Blobs.ResumeUpload(t.Context(), state)
			must(t, err)
			must(t, up.Abort(t.Context()))
			if err := finish(t, s.Reopen(t).Blobs, state, some); !errors.Is(err, storage.ErrUploadUnknown) {
				t.Errorf("a commit of what was aborted: %v", err)
			}
			sweep("an abort")
		}
	}
	storagetest.Fsck(t, s.Blobs)
}

// TestForkedParts: of two lineages that share a multipart upload, none can
// commit the other's parts.
func TestForkedParts(t *testing.T) {
	s := open(t, config(t))
	first, a, b := content(1, 12<<20), content(2, 11<<20), content(3, 11<<20)
	state := add(t, s.Blobs, begin(t, s.Blobs), first)
	stateA := add(t, s.Blobs, state, a)
	stateB := add(t, s.Reopen(t).Blobs, state, b)
	errA := finish(t, s.Blobs, stateA, slices.Concat(first, a))
	errB := finish(t, s.Blobs, stateB, slices.Concat(first, b))
	if errA == nil || errB != nil {
		t.Errorf("the lineage that was overwritten: %v, the other: %v", errA, errB)
	}
	storagetest.Fsck(t, s.Blobs)
}

// TestCopyInRanges: what is large is copied in ranges, and is the same.
func TestCopyInRanges(t *testing.T) {
	conf := config(t)
	conf.CopyThreshold, conf.CopyChunkSize, conf.CopyConcurrency = 8<<20, 5<<20, 3
	conf.RootDirectory += "/with space+plus"
	s := open(t, conf)
	all := content(4, 23<<20+1)
	must(t, finish(t, s.Blobs, add(t, s.Blobs, begin(t, s.Blobs), all), all))
	storagetest.Fsck(t, s.Blobs)
	if n, err := s.Blobs.SweepUploads(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d uploads were swept, %v", n, err)
	}
}

// TestFailedPart: when a part cannot be sent, the upload holds what was stored
// before, and goes on from there.
func TestFailedPart(t *testing.T) {
	conf := config(t)
	c := count(t, &conf)
	s := open(t, conf)
	all := content(5, 65<<20)
	c.failing(func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == "3" })
	up, err := s.Blobs.StartUpload(t.Context())
	must(t, err)
	if _, err = up.ReadFrom(bytes.NewReader(all)); err == nil {
		t.Fatal("a part was refused, and nobody said so")
	}
	if got := up.Size(); got != 20<<20 {
		t.Errorf("the upload has %d bytes, want two parts", got)
	}
	must(t, up.Close())
	c.failing(nil)
	state := add(t, s.Reopen(t).Blobs, up.State(), all[up.Size():])
	must(t, finish(t, s.Blobs, state, all))
	storagetest.Fsck(t, s.Blobs)
}

// stall is a client that sends some bytes, and the rest when it is told to.
type stall struct {
	first, rest io.Reader
	goOn        chan struct{}
}

func (c *stall) Read(p []byte) (int, error) {
	if n, err := c.first.Read(p); n > 0 || !errors.Is(err, io.EOF) {
		return n, err
	}
	<-c.goOn
	return c.rest.Read(p)
}

// TestStalledClients: clients that have stalled, with whatever they hold, do not
// keep another from pushing, and go on later as if nothing had happened.
func TestStalledClients(t *testing.T) {
	conf := config(t)
	conf.Memory = 1 // as little as there can be
	s := open(t, conf)
	goOn := make(chan struct{})
	var clients sync.WaitGroup
	cuts := []int{100, 1 << 20, 6 << 20, 12 << 20, 22 << 20}
	for n := range 10 {
		clients.Go(func() {
			cut := cuts[n%len(cuts)]
			all := content(uint64(20+n), cut+7<<20)
			up, err := s.Blobs.StartUpload(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			if n >= len(cuts) {
				up.Expect(oci.FromBytes(all))
			}
			client := &stall{first: bytes.NewReader(all[:cut]), rest: bytes.NewReader(all[cut:]), goOn: goOn}
			if _, err := up.ReadFrom(client); err != nil {
				t.Errorf("%d bytes, then the rest: %v", cut, err)
			}
			if _, err := up.Commit(context.Background(), oci.FromBytes(all)); err != nil {
				t.Errorf("commit after %d bytes and a pause: %v", cut, err)
			}
		})
	}
	time.Sleep(500 * time.Millisecond)
	for i := range 3 {
		all := content(uint64(50+i), 30<<20)
		must(t, finish(t, s.Blobs, add(t, s.Blobs, begin(t, s.Blobs), all), all))
	}
	close(goOn)
	clients.Wait()
	storagetest.Fsck(t, s.Blobs)
	if n, err := s.Blobs.SweepUploads(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d uploads were swept after all were committed, %v", n, err)
	}
}

// TestMemory: uploads that find no memory are told to come back, and those that
// have begun a part finish it.
func TestMemory(t *testing.T) {
	conf := config(t)
	conf.Memory = 1 // as little as there can be
	s := open(t, conf)
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			all := content(uint64(i), 13<<20)
			up, err := s.Blobs.StartUpload(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := io.Copy(up, bytes.NewReader(all)); err != nil && !errors.Is(err, storage.ErrBusy) {
				t.Errorf("write: %v", err)
			} else if err == nil {
				if _, err := up.Commit(context.Background(), oci.FromBytes(all)); err != nil {
					t.Errorf("commit: %v", err)
				}
			}
			_ = up.Close()
		})
	}
	wg.Wait()
	storagetest.Fsck(t, s.Blobs)
}
