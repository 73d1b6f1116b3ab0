package main_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBackup runs each command of the section of docs/operations.md, as it is
// written there, beside a server, and finds everything again.
func TestBackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	configs := map[string]string{"config.yml": filesystemConfig(at("var")), "backup.yml": startS3(t).config(), "restored.yml": filesystemConfig(at("restored"))}
	for name, config := range configs {
		if err := os.WriteFile(at(name), []byte(config+"http: {secret: shared}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"bin", "copy"} {
		if err := os.Mkdir(at(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(buildServer(t), at("bin/registryserver")); err != nil {
		t.Fatal(err)
	}
	p := startServer(t, configs["config.yml"]+"http: {secret: shared}\n", adminEnv...)
	p.login(adminUser, adminPassword)
	layer, conf := tiny(1)
	for _, content := range [][]byte{layer, conf} {
		pushBlob(t, p, "app", sha256Digest(content), content)
	}
	manifest := tinyManifest(conf, layer)
	pushManifest(t, p, "app", "v1", tinyType, manifest)
	if resp, body := do(t, http.MethodPost, p.URL+"/api/v1/users", []byte(`{"username":"ci","password":"`+adminPassword+`","policies":["read-only"],"enabled":true}`), "Content-Type", "application/json"); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s: %s", resp.Status, body)
	}

	served := false
	for _, line := range commandsOf(t, "../docs/operations.md", "## Backup and restore") {
		line = strings.NewReplacer("/var/lib/registry", at("var"), "/srv/restored", at("copy")).Replace(line)
		if file, ok := strings.CutPrefix(line, "registryserver serve "); ok {
			served = true
			findRestored(t, string(mustRead(t, at(file))), manifest)
			continue
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-euc", line)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+at("bin")+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
	}
	if !served {
		t.Error("the section starts no server on what was restored")
	}
	findRestored(t, filesystemConfig(at("copy"))+"http: {secret: shared}\n", manifest)
}

// findRestored starts a server on a copy, and looks for what was pushed.
func findRestored(t *testing.T, config string, manifest []byte) {
	t.Helper()
	p := startServer(t, config)
	p.login("ci", adminPassword)
	resp, body := do(t, http.MethodGet, p.URL+"/v2/app/manifests/v1", nil, "Accept", tinyType)
	if resp.StatusCode != http.StatusOK || string(body) != string(manifest) {
		t.Errorf("the image after it was restored: %s %s", resp.Status, body)
	}
	layer, _ := tiny(1)
	if resp, content := do(t, http.MethodGet, p.URL+"/v2/app/blobs/"+sha256Digest(layer), nil); resp.StatusCode != http.StatusOK || string(content) != string(layer) {
		t.Errorf("its layer: %s", resp.Status)
	}
}

// commandsOf are the lines of a section of a page that begin with a prompt.
func commandsOf(t *testing.T, page, heading string) []string {
	t.Helper()
	_, section, found := strings.Cut(string(mustRead(t, page)), heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var commands []string
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	if !found || len(commands) == 0 {
		t.Fatalf("%s has no commands under %q", page, heading)
	}
	return commands
}
