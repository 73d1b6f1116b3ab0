package main_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// pushes is what a test pushed and had acknowledged: content by path.
type pushes struct {
	mu    sync.Mutex
	acked map[string][]byte
}

func (p *pushes) add(path string, content []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.acked[path] = content
}

// TestKilledPushes kills the server at random moments while several clients
// push. Whatever was acknowledged pulls bit for bit afterwards, and fsck finds
// nothing but garbage.
func TestKilledPushes(t *testing.T) {
	kills := 200
	if testing.Short() {
		kills = 15
	}
	config := filesystemConfig(t.TempDir()) + "log:\n  accesslog:\n    disabled: true\n"
	binary := buildServer(t)
	done := &pushes{acked: map[string][]byte{}}
	started := 0
	for range kills {
		p := startRegistry(t, binary, config)
		ctx, cancel := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for client := range 3 {
			repo, first := fmt.Sprintf("team/app%d", client), started
			started++
			clients.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					if err := pushSmallImage(ctx, p.URL, repo, fmt.Sprintf("t%d-%d", first, n), done); err != nil {
						return
					}
				}
			})
		}
		time.Sleep(time.Duration(mathrand.IntN(120)) * time.Millisecond)
		_ = p.cmd.Process.Signal(syscall.SIGKILL)
		<-p.exited
		cancel()
		clients.Wait()
	}
	t.Logf("%d kills, %d things acknowledged", kills, len(done.acked))
	if len(done.acked) < kills {
		t.Errorf("only %d things were acknowledged: the kills came too early to show anything", len(done.acked))
	}
	fsckFindsOnlyGarbage(t, binary, config)
	p := startServer(t, config)
	for path, content := range done.acked {
		resp, got := do(t, http.MethodGet, p.URL+path, nil)
		if resp.StatusCode != http.StatusOK || !bytes.Equal(got, content) {
			t.Errorf("%s was acknowledged, and is now %s with %d bytes of %d", path, resp.Status, len(got), len(content))
		}
	}
}

// pushSmallImage pushes a layer (in one PATCH and a PUT), a config (in one
// POST) and a manifest, and notes each as soon as it is acknowledged.
func pushSmallImage(ctx context.Context, url, repo, tag string, done *pushes) error {
	layer := make([]byte, 1+mathrand.IntN(300_000))
	if _, err := rand.Read(layer); err != nil {
		return err
	}
	config := fmt.Appendf(nil, `{"tag":%q}`, tag)
	base := "/v2/" + repo
	location, err := try(ctx, http.MethodPost, url+base+"/blobs/uploads/", "", nil, http.StatusAccepted)
	if err != nil {
		return err
	}
	if location, err = try(ctx, http.MethodPatch, url+location, "", layer, http.StatusAccepted); err != nil {
		return err
	}
	if _, err = try(ctx, http.MethodPut, url+location+"&digest="+sha256Digest(layer), "", nil, http.StatusCreated); err != nil {
		return err
	}
	done.add(base+"/blobs/"+sha256Digest(layer), layer)
	if _, err = try(ctx, http.MethodPost, url+base+"/blobs/uploads/?digest="+sha256Digest(config), "", config, http.StatusCreated); err != nil {
		return err
	}
	done.add(base+"/blobs/"+sha256Digest(config), config)
	const mediaType = "application/vnd.oci.image.manifest.v1+json"
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/x","digest":%q,"size":%d},"layers":[{"mediaType":"application/x","digest":%q,"size":%d}]}`,
		mediaType, sha256Digest(config), len(config), sha256Digest(layer), len(layer))
	if _, err = try(ctx, http.MethodPut, url+base+"/manifests/"+tag, mediaType, manifest, http.StatusCreated); err != nil {
		return err
	}
	done.add(base+"/manifests/"+tag, manifest)
	return nil
}

// try sends a request to a server that may die, and returns the Location.
func try(ctx context.Context, method, url, contentType string, body []byte, want int) (string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return "", err
	}
	if resp.StatusCode != want {
		return "", fmt.Errorf("%s: %s", method, resp.Status)
	}
	return resp.Header.Get("Location"), nil
}

// fsckFindsOnlyGarbage runs registryserver fsck over the storage of a
// configuration, reading every blob.
func fsckFindsOnlyGarbage(t *testing.T, binary, config string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, "fsck", "--json", writeConfig(t, config))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("fsck: %v\n%s%s", err, out, stderr.String())
	}
	kinds := map[string]int{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var line struct {
			Severity, Kind, Message string
			Summary                 *struct{ Blobs, Tags int }
		}
		if err := dec.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("fsck --json: %v\n%s", err, out)
		}
		if line.Summary != nil {
			t.Logf("fsck: %+v, %v", *line.Summary, kinds)
			continue
		}
		kinds[line.Severity+" "+line.Kind]++
		if line.Severity != "garbage" {
			t.Errorf("fsck: %+v", line)
		}
	}
}
