package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
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

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// runWith runs the program on a configuration.
func runWith(t testing.TB, config string, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), buildServer(t), append(args, writeConfig(t, config))...)
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "REGISTRY_") || strings.HasPrefix(v, "AWS_") }), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var noGrace = []string{"REGISTRY_GC_GRACE=0s"}

// TestGarbageCollect: the command, with distribution's flags, beside a server that
// runs, on a disk and in a bucket.
func TestGarbageCollect(t *testing.T) {
	t.Parallel()
	t.Run("disk", func(t *testing.T) { t.Parallel(); testGarbageCollect(t, filesystemConfig(t.TempDir())) })
	t.Run("S3", func(t *testing.T) { t.Parallel(); testGarbageCollect(t, startS3(t).config()) })
}

func testGarbageCollect(t *testing.T, config string) {
	p := startServer(t, config, "REGISTRY_ADMIN_USERNAME=admin", "REGISTRY_ADMIN_PASSWORD=change-me-please")
	p.login("admin", "change-me-please")
	layer, conf := tiny(1)
	lost := []byte("nothing names this")
	for _, content := range [][]byte{layer, conf, lost} {
		pushBlob(t, p, "app", sha256Digest(content), content)
	}
	pushManifest(t, p, "app", "v1", tinyType, tinyManifest(conf, layer))
	run := func(want string, args ...string) {
		t.Helper()
		out, err := runWith(t, config, noGrace, append([]string{"garbage-collect"}, args...)...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("garbage-collect %q: %v; it should say %q:\n%s", args, err, want, out)
		}
	}
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(50 * time.Millisecond) {
		if out, _ := runWith(t, config, nil, "exclusive", "--show"); strings.Contains(out, "(created)") {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("a storage that was empty is not marked: %s", out)
		}
	}
	run("eligible for the next run: blob "+sha256Digest(lost), "--dry-run")
	run("eligible for the next run: 1 of kind blob", "-d", "-q")
	run("eligible for the next run: blob " + sha256Digest(lost)) // which is remembered
	run("would be deleted: 18 bytes in all", "--dry-run", "--quiet")
	run("deleted: 18 bytes in all")
	for content, want := range map[string]int{string(lost): 404, string(layer): 200, string(conf): 200} {
		if resp, _ := do(t, http.MethodGet, p.URL+"/v2/app/blobs/"+sha256Digest([]byte(content)), nil); resp.StatusCode != want {
			t.Errorf("a blob after the collection: %s, want %d", resp.Status, want)
		}
	}
	// The same through the admin API.
	if resp, body := do(t, http.MethodPost, p.URL+"/api/v1/collections", []byte(`{}`), "Content-Type", "application/json"); resp.StatusCode != http.StatusAccepted {
		t.Fatalf("start: %s %s", resp.Status, body)
	}
	var list struct {
		Items []struct {
			Trigger string    `json:"trigger"`
			Ended   time.Time `json:"ended_at"`
			Error   string    `json:"error"`
			Blobs   int       `json:"blobs"`
		} `json:"items"`
	}
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(50 * time.Millisecond) {
		_, body := do(t, http.MethodGet, p.URL+"/api/v1/collections", nil)
		if err := json.Unmarshal(body, &list); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		if len(list.Items) == 3 && list.Items[0].Trigger == "api" && !list.Items[0].Ended.IsZero() {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the reports: %+v", list)
		}
	}
	if list.Items[0].Error != "" || list.Items[0].Blobs != 3 {
		t.Errorf("the report: %+v", list.Items[0])
	}
	if out, err := runWith(t, config, nil, "exclusive", "--remove"); err != nil {
		t.Errorf("exclusive --remove: %v %s", err, out)
	}
	if out, err := runWith(t, config, nil, "garbage-collect"); err == nil || !strings.Contains(out, "registryserver exclusive") {
		t.Errorf("without the mark: %v %s", err, out)
	}
	if out, err := runWith(t, config, nil, "fsck"); err != nil || strings.Contains(out, "broken ") {
		t.Errorf("fsck: %v %s", err, out)
	}
}

// gcWorld is three servers, clients that push, and collectors that never stop.
type gcWorld struct {
	t       *testing.T
	config  string
	servers []*process
	// freeLease lets another collector begin, as if the last one were long dead.
	freeLease func()

	mu      sync.Mutex
	acked   map[string][]byte // repository and tag: the manifest
	reasons []string
	tried   atomic.Int64
	runs    atomic.Int64
	whole   atomic.Int64 // runs that came to their end
	bytes   atomic.Int64
}

// errorf fails the test. What it says is repeated below what the servers have to
// say, where whoever reads a log looks for it.
func (w *gcWorld) errorf(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf(format, args...)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reasons = append(w.reasons, fmt.Sprintf(format, args...))
}

// TestGarbageHammer: while clients push what collectors are deleting, servers and
// collectors are paused and killed, and several collectors run at once, every
// image that was acknowledged can be pulled whole.
func TestGarbageHammer(t *testing.T) {
	t.Parallel()
	t.Run("disk", func(t *testing.T) {
		t.Parallel()
		root := t.TempDir()
		w := &gcWorld{t: t, config: filesystemConfig(root), freeLease: func() { _ = os.Remove(filepath.Join(root, "registrykit/v1/gc/lease")) }}
		w.run()
	})
	t.Run("S3", func(t *testing.T) {
		t.Parallel()
		bucket := startS3(t)
		w := &gcWorld{t: t, config: bucket.config(), freeLease: func() {
			_, _ = bucket.api().DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: aws.String(s3Bucket), Key: aws.String("some/place/registrykit/v1/gc/lease")})
		}}
		w.run()
	})
}

func (w *gcWorld) run() {
	t := w.t
	w.acked = map[string][]byte{}
	t.Cleanup(func() { // after the servers have printed theirs
		if len(w.reasons) > 0 {
			t.Logf("why it failed:\n%s", strings.Join(w.reasons, "\n"))
		}
	})
	for range 3 {
		w.servers = append(w.servers, startServer(t, w.config, "REGISTRY_HTTP_SECRET=shared", "REGISTRY_STORAGE_CACHE_LIFETIME=3s", "REGISTRY_LOG_LEVEL=warn", "REGISTRY_LOG_ACCESSLOG_DISABLED=true"))
	}
	if out, err := runWith(t, w.config, nil, "exclusive"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	ctx, stop := context.WithTimeout(t.Context(), long(2*time.Minute, 25*time.Second))
	defer stop()
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() { w.push(ctx, n) })
	}
	all.Go(func() { w.pause(ctx) })
	for range 2 {
		all.Go(func() { w.collect(ctx) })
	}
	all.Wait()
	t.Logf("%d pushes tried, %d acknowledged, %d collections, of which %d came to their end, %d bytes deleted", w.tried.Load(), len(w.acked), w.runs.Load(), w.whole.Load(), w.bytes.Load())
	w.calm()
	for at, manifest := range w.acked {
		w.check(at, manifest)
	}
	w.fsck()
}

// calm is what follows the load, undisturbed: a push, and the collections that end
// whatever those before them have left half done. On a slow machine it may be that
// none of those came as far as a deletion.
func (w *gcWorld) calm() {
	const repo = "hammer/calm"
	layer, conf := tiny(1_000_000)
	lost := []byte("garbage of the calm after the load")
	for _, content := range [][]byte{layer, conf, lost} {
		pushBlob(w.t, w.servers[0], repo, sha256Digest(content), content)
	}
	manifest := tinyManifest(conf, layer)
	pushManifest(w.t, w.servers[1], repo, "v1", tinyType, manifest)
	w.acked[repo+" v1"] = manifest
	w.freeLease()
	for range 2 {
		if out, err := runWith(w.t, w.config, noGrace, "garbage-collect", "--quiet"); err != nil {
			w.errorf("an undisturbed collection: %v\n%s", err, out)
		}
	}
	if resp, _ := do(w.t, http.MethodGet, w.servers[2].URL+"/v2/"+repo+"/blobs/"+sha256Digest(lost), nil); resp.StatusCode != http.StatusNotFound {
		w.errorf("garbage after two undisturbed collections: %s", resp.Status)
	}
}

// fsck finds nothing broken: what a refused push leaves counts as garbage.
func (w *gcWorld) fsck() {
	out, err := runWith(w.t, w.config, nil, "fsck")
	if err != nil {
		w.errorf("fsck: %v\n%s", err, out)
	}
}

// push uploads contents, which are garbage until a manifest names them a while
// later: a HEAD says whether they are still there.
func (w *gcWorld) push(ctx context.Context, client int) {
	send := func(method, path, kind string, body []byte, want int) error {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		_, err := try(ctx, method, w.servers[rand.IntN(len(w.servers))].URL+path, kind, body, want)
		return err
	}
	for n := 0; ctx.Err() == nil; n++ {
		// Few contents, so that clients get in each other's way.
		layer, conf := tiny(rand.IntN(6) + n/20*100)
		repo := fmt.Sprintf("hammer%d/r%d", client%2, n%7)
		upload := func(content []byte) error {
			return send(http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+sha256Digest(content), "application/octet-stream", content, http.StatusCreated)
		}
		_ = upload(layer)
		time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
		for _, content := range [][]byte{layer, conf} {
			if send(http.MethodHead, "/v2/"+repo+"/blobs/"+sha256Digest(content), "", nil, http.StatusOK) != nil {
				_ = upload(content)
			}
		}
		manifest := fmt.Appendf(nil, `%s,"annotations":{"n":"%d-%d"}}`, bytes.TrimSuffix(tinyManifest(conf, layer), []byte("}")), client, n)
		tag := fmt.Sprintf("t%d-%d", client, n)
		w.tried.Add(1)
		if send(http.MethodPut, "/v2/"+repo+"/manifests/"+tag, tinyType, manifest, http.StatusCreated) == nil {
			w.mu.Lock()
			w.acked[repo+" "+tag] = manifest
			w.mu.Unlock()
		}
	}
}

// pause stops servers for a while.
func (w *gcWorld) pause(ctx context.Context) {
	for ctx.Err() == nil {
		p := w.servers[rand.IntN(len(w.servers))].cmd.Process
		_ = p.Signal(syscall.SIGSTOP)
		time.Sleep(time.Duration(200+rand.IntN(2500)) * time.Millisecond)
		_ = p.Signal(syscall.SIGCONT)
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
	}
}

// collect runs collectors, of which some are paused and some killed.
func (w *gcWorld) collect(ctx context.Context) {
	file := writeConfig(w.t, w.config)
	for ctx.Err() == nil {
		w.freeLease()
		var out bytes.Buffer
		cmd := exec.Command(buildServer(w.t), "garbage-collect", "--json", file)
		cmd.Env = append(os.Environ(), noGrace...)
		cmd.Stdout, cmd.Stderr = &out, io.Discard
		if err := cmd.Start(); err != nil {
			w.errorf("start a collection: %v", err)
			return
		}
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(time.Duration(20+rand.IntN(400)) * time.Millisecond):
			_ = cmd.Process.Signal(syscall.SIGSTOP)
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Millisecond)
			if rand.IntN(4) == 0 {
				_ = cmd.Process.Kill()
			}
			_ = cmd.Process.Signal(syscall.SIGCONT)
			select {
			case <-done:
			case <-ctx.Done():
				_ = cmd.Process.Kill()
			}
			<-done
		}
		w.runs.Add(1)
		if cmd.ProcessState.Success() {
			w.whole.Add(1)
		}
		for line := range bytes.Lines(out.Bytes()) {
			var u struct {
				Bytes int64 `json:"bytes"`
				Next  bool  `json:"next"`
			}
			if json.Unmarshal(line, &u) == nil && !u.Next {
				w.bytes.Add(u.Bytes)
			}
		}
	}
}

// check pulls an image.
func (w *gcWorld) check(at string, manifest []byte) {
	repo, tag, _ := strings.Cut(at, " ")
	p := w.servers[rand.IntN(len(w.servers))]
	_, body := do(w.t, http.MethodGet, p.URL+"/v2/"+repo+"/manifests/"+tag, nil, "Accept", tinyType)
	if !bytes.Equal(body, manifest) {
		w.errorf("%s is %s", at, body)
		return
	}
	var m struct {
		Config struct{ Digest string }
		Layers []struct{ Digest string }
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		w.t.Fatal(err)
	}
	for _, d := range append(m.Layers, m.Config) {
		if resp, content := do(w.t, http.MethodGet, p.URL+"/v2/"+repo+"/blobs/"+d.Digest, nil); resp.StatusCode != http.StatusOK || sha256Digest(content) != d.Digest {
			w.errorf("%s lacks %s: %s", at, d.Digest, resp.Status)
		}
	}
}
