//go:build linux

package modules

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// testDocker: Docker logs in, pushes and pulls.
func testDocker(t *testing.T, f *fleet) {
	if out, err := f.world.RunWith(f.password, nil, "docker", "login", "--username", "ci", "--password-stdin", fleetDomain); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const ref = fleetDomain + "/team/docker:1"
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	image := randomImage(t)
	id, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	archive := filepath.Join(t.TempDir(), "image.tar")
	if err := tarball.WriteToFile(archive, tag, image); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"load --input " + archive, "push " + ref, "image rm --force " + ref, "pull " + ref} {
		if out, err := f.world.Run(append([]string{"docker"}, strings.Fields(command)...)...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if out, err := f.world.Run("docker", "image", "inspect", "--format", "{{.Id}}", ref); err != nil || out != id.String() {
		t.Errorf("pulled %s, %v; pushed %s", out, err, id)
	}
	if out, err := f.world.Run("docker", "image", "rm", "--force", ref); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func randomImage(t *testing.T) v1.Image {
	t.Helper()
	image, err := random.Image(1<<20, 3)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// load is clients that push and pull, as fast as they are answered, until they are told to end.
type load struct {
	f        *fleet
	stop     context.CancelFunc
	done     sync.WaitGroup
	mu       sync.Mutex
	requests int
	pulls    int
	pushes   int
	slow     int // long uploads
	failures []string
}

func (l *load) String() string {
	return fmt.Sprintf("%d pushes, %d pulls and %d long uploads with %d requests, %d failures", l.pushes, l.pulls, l.slow, l.requests, len(l.failures))
}

// startLoad starts two that push, three that pull and one that uploads slowly.
func (f *fleet) startLoad(t *testing.T) *load {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	l := &load{f: f, stop: stop}
	t.Cleanup(l.end)
	l.push(ctx, t, "seed", 0) // so that there is something to pull
	for n := range 2 {
		l.repeat(ctx, func(round int) { l.push(ctx, t, fmt.Sprintf("push%d", n), round) })
	}
	for range 3 {
		l.repeat(ctx, func(int) { l.pull(ctx) })
	}
	l.repeat(ctx, func(round int) { l.upload(ctx, round) })
	return l
}

func (l *load) repeat(ctx context.Context, do func(round int)) {
	l.done.Go(func() {
		for round := 0; ctx.Err() == nil; round++ {
			do(round)
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
}

// end lets what is under way finish: it counts, too.
func (l *load) end() {
	l.stop()
	l.done.Wait()
}

func (l *load) failed(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) < 100 {
		l.failures = append(l.failures, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	}
}

// RoundTrip counts each request, and takes every answer that tells a client to come again for a failure: no client that repeats requests hides one.
func (l *load) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.f.shared.RoundTrip(r)
	l.mu.Lock()
	l.requests++
	l.mu.Unlock()
	switch {
	case err != nil:
		l.failed("%s %s: %v", r.Method, r.URL.Path, err)
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests:
		l.failed("%s %s: %s", r.Method, r.URL.Path, resp.Status)
	}
	return resp, err
}

// options are those of each pull and push. What was begun ends also after the load was told to.
func (l *load) options() []remote.Option {
	return []remote.Option{
		remote.WithTransport(l), remote.WithAuth(&authn.Basic{Username: "ci", Password: l.f.password}), remote.WithContext(context.Background()),
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
	}
}

func (l *load) push(_ context.Context, t *testing.T, repository string, round int) {
	image, err := random.Image(256<<10, 2)
	if err != nil {
		t.Error(err)
		return
	}
	ref, err := name.NewTag(fmt.Sprintf("%s/team/%s:%d", fleetDomain, repository, round))
	if err == nil {
		err = remote.Write(ref, image, l.options()...)
	}
	if err != nil {
		l.failed("push: %v", err)
		return
	}
	l.mu.Lock()
	l.pushes++
	l.mu.Unlock()
}

func (l *load) pull(context.Context) {
	ref, err := name.NewTag(fleetDomain + "/team/seed:0")
	if err == nil {
		err = pullWhole(ref, l.options())
	}
	if err != nil {
		l.failed("pull: %v", err)
		return
	}
	l.mu.Lock()
	l.pulls++
	l.mu.Unlock()
}

// pullWhole pulls an image and compares what it gets with the digests.
func pullWhole(ref name.Reference, options []remote.Option) error {
	image, err := remote.Image(ref, options...)
	if err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, layer := range layers {
		content, err := layer.Compressed() // verifies
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, content)
		content.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// upload sends 8 MiB over some seconds in one request, which a machine that leaves has to wait for.
func (l *load) upload(_ context.Context, round int) {
	content := bytes.Repeat([]byte(fmt.Sprintf("%08d", round)), 1<<20)
	if err := l.uploadSlowly(content); err != nil {
		l.failed("a long upload: %v", err)
		return
	}
	l.mu.Lock()
	l.slow++
	l.mu.Unlock()
}

func (l *load) uploadSlowly(content []byte) error {
	client := &http.Client{Transport: l, Timeout: 2 * time.Minute}
	do := func(method, url string, body io.Reader, size int64, want int) (string, error) {
		req, err := http.NewRequestWithContext(context.Background(), method, url, body)
		if err != nil {
			return "", err
		}
		req.ContentLength = size
		req.Header.Set("Content-Type", "application/octet-stream")
		req.SetBasicAuth("ci", l.f.password)
		resp, err := client.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		said, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != want {
			return "", fmt.Errorf("%s %s: %s %s %w", method, req.URL.Path, resp.Status, said, err)
		}
		location, err := resp.Location()
		if err != nil {
			return "", err
		}
		return location.String(), nil
	}
	location, err := do(http.MethodPost, "https://"+fleetDomain+"/v2/team/slow/blobs/uploads/", nil, 0, http.StatusAccepted)
	if err != nil {
		return err
	}
	if location, err = do(http.MethodPatch, location, &slowReader{content: content}, int64(len(content)), http.StatusAccepted); err != nil {
		return err
	}
	separator := "?"
	if strings.Contains(location, "?") {
		separator = "&"
	}
	_, err = do(http.MethodPut, location+separator+"digest="+digestOf(content), nil, 0, http.StatusCreated)
	return err
}

// slowReader gives a 64th of its content ten times in a second.
type slowReader struct {
	content []byte
	read    int
}

func (r *slowReader) Read(p []byte) (int, error) {
	if r.read == len(r.content) {
		return 0, io.EOF
	}
	time.Sleep(100 * time.Millisecond)
	n := copy(p[:min(len(p), len(r.content)/64)], r.content[r.read:])
	r.read += n
	return n, nil
}

// pushAndPull pushes an image and pulls it, to see that all is well.
func (f *fleet) pushAndPull(t *testing.T, repository string) {
	t.Helper()
	l := &load{f: f}
	ref, err := name.NewTag(fleetDomain + "/team/" + repository + ":1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, randomImage(t), l.options()...); err != nil {
		t.Fatal(err)
	}
	if err := pullWhole(ref, l.options()); err != nil {
		t.Fatal(err)
	}
}
