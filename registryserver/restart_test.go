package main_test

import (
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// TestUploadSurvivesKill cuts a push off with SIGKILL and goes on with it at a
// server that was started anew: with the Location that the client still has,
// with the status it asks for, and with nothing configured but the directory.
func TestUploadSurvivesKill(t *testing.T) {
	config := filesystemConfig(t.TempDir())
	first := startRegistry(t, buildServer(t), config)
	content := bytes.Repeat([]byte("content of a layer "), 1<<16)
	half := len(content) / 2

	started := send(t, first, http.MethodPost, "/v2/team/app/blobs/uploads/", nil, http.StatusAccepted)
	patched := send(t, first, http.MethodPatch, started.Get("Location"), content[:half], http.StatusAccepted)
	if err := first.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-first.exited

	second := startServer(t, config)
	// The answer to the PATCH may have been lost: then the client has the Location before it.
	status := send(t, second, http.MethodGet, started.Get("Location"), nil, http.StatusNoContent)
	if got, want := status.Get("Range"), patched.Get("Range"); got != want {
		t.Errorf("the new server has %s, the old one said %s", got, want)
	}
	patched = send(t, second, http.MethodPatch, status.Get("Location"), content[half:], http.StatusAccepted)
	digest := sha256Digest(content)
	send(t, second, http.MethodPut, patched.Get("Location")+"&digest="+digest, nil, http.StatusCreated)

	resp, err := http.Get(second.URL + "/v2/team/app/blobs/" + digest)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, content) {
		t.Errorf("pulled %d bytes, %v; pushed %d", len(got), err, len(content))
	}
}

// send sends a request to a path of the server, and returns the header of its answer.
func send(t *testing.T, p *process, method, path string, body []byte, want int) http.Header {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.URL+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != want {
		t.Fatalf("%s %s: %s %s; want %d", method, strings.Split(path, "?")[0], resp.Status, answer, want)
	}
	return resp.Header
}

// TestConfigCommand checks what a user sees of a bad configuration before anything is started.
func TestConfigCommand(t *testing.T) {
	binary := buildServer(t)
	for _, c := range []struct {
		name, env string
		fails     bool
		want      []string
	}{
		{"good", "REGISTRY_HTTP_SECRET=do-not-print-me", false, []string{"filesystem", "***"}},
		{"bad", "REGISTRY_LOG_LEVEL=loud", true, []string{"REGISTRY_LOG_LEVEL", "loud", "debug"}},
		{"not yet", "REGISTRY_STORAGE=gcs", true, []string{"gcs", "not supported"}},
		{"unknown", "REGISTRY_STORGE_DELETE_ENABLED=true", false, []string{"REGISTRY_STORGE_DELETE_ENABLED", "storage"}},
	} {
		cmd := exec.CommandContext(t.Context(), binary, "config")
		cmd.Env = []string{c.env, "PATH=/nonexistent"}
		out, err := cmd.CombinedOutput()
		if (err != nil) != c.fails {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
		for _, want := range c.want {
			if !strings.Contains(strings.ToLower(string(out)), strings.ToLower(want)) {
				t.Errorf("%s: the output lacks %q:\n%s", c.name, want, out)
			}
		}
		if strings.Contains(string(out), "do-not-print-me") {
			t.Errorf("%s: the output holds a secret", c.name)
		}
	}
}
