package main_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tmpfs mounts a small file system, which a test may fill or turn read-only.
func tmpfs(t *testing.T, size string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// TestFullDisk pushes until the disk is full. What was acknowledged stays, what
// was not is refused with an error of the spec's form, and once there is room
// again pushes go on.
func TestFullDisk(t *testing.T) {
	config := filesystemConfig(tmpfs(t, "12m"))
	p := startServer(t, config)
	acked := map[string][]byte{}
	full := false
	for range 40 {
		layer := make([]byte, 1<<20)
		_, _ = rand.Read(layer)
		resp, body := do(t, http.MethodPost, p.URL+"/v2/a/blobs/uploads/?digest="+sha256Digest(layer), layer)
		if resp.StatusCode == http.StatusCreated {
			acked[sha256Digest(layer)] = layer
			continue
		}
		full = true
		wantUnavailable(t, resp, body)
	}
	if !full || len(acked) < 5 {
		t.Fatalf("%d layers of 1 MiB fit on 12 MiB, full: %v", len(acked), full)
	}
	if resp, _ := do(t, http.MethodGet, p.URL+"/healthz", nil); resp.StatusCode != http.StatusOK {
		t.Errorf("a full disk is no reason to kill the server: healthz %s", resp.Status)
	}
	fsckFindsOnlyGarbage(t, buildServer(t), config)
	for digest, content := range acked {
		resp, got := do(t, http.MethodGet, p.URL+"/v2/a/blobs/"+digest, nil)
		if resp.StatusCode != http.StatusOK || !bytes.Equal(got, content) {
			t.Errorf("%s was acknowledged, and is now %s with %d bytes", digest, resp.Status, len(got))
		}
	}
}

// TestReadOnlyDisk turns the images read-only under a running server: pulls go
// on, pushes are refused, and when the disk is back so is everything.
func TestReadOnlyDisk(t *testing.T) {
	dir := tmpfs(t, "64m")
	config := filesystemConfig(dir)
	p := startServer(t, config)
	content, more := []byte("content"), []byte("more content")
	pushBlob(t, p, "a", sha256Digest(content), content)

	images := filepath.Join(dir, "docker")
	if err := syscall.Mount(images, images, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(images, syscall.MNT_DETACH) })
	if err := syscall.Mount("", images, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if resp, got := do(t, http.MethodGet, p.URL+"/v2/a/blobs/"+sha256Digest(content), nil); resp.StatusCode != http.StatusOK || !bytes.Equal(got, content) {
		t.Errorf("pull from a read-only disk: %s", resp.Status)
	}
	resp, body := do(t, http.MethodPost, p.URL+"/v2/a/blobs/uploads/?digest="+sha256Digest(more), more)
	wantUnavailable(t, resp, body)
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(p.output.String(), syscall.EROFS.Error()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the log does not say why a push was refused")
		}
	}
	if err := syscall.Unmount(images, syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	pushBlob(t, p, "a", sha256Digest(more), more)
	fsckFindsOnlyGarbage(t, buildServer(t), config)
}

// wantUnavailable checks that a push was refused as one that can be repeated
// once the operator has seen to the storage.
func wantUnavailable(t *testing.T, resp *http.Response, body []byte) {
	t.Helper()
	wantSpecError(t, resp, body)
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" ||
		!strings.Contains(string(body), `"UNAVAILABLE"`) || !strings.Contains(string(body), "operator") {
		t.Errorf("a push that the disk does not take: %s, Retry-After %q, %s", resp.Status, resp.Header.Get("Retry-After"), body)
	}
}

// wantSpecError checks the form of an error, and that it says nothing of the
// machine.
func wantSpecError(t *testing.T, resp *http.Response, body []byte) {
	t.Helper()
	var doc struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(body, &doc); err != nil || len(doc.Errors) == 0 || doc.Errors[0].Code == "" || doc.Errors[0].Message == "" {
		t.Errorf("%s: not an error of the spec's form: %s", resp.Status, body)
	}
	if text := string(body); strings.Contains(text, "/tmp") || strings.Contains(text, "device") {
		t.Errorf("%s: the error tells of the machine: %s", resp.Status, text)
	}
}
