package main_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/migrate"
)

// TestMigrate brings a registry from a disk to a bucket and from a bucket to a disk while clients push, and everybody finds everything after it.
func TestMigrate(t *testing.T) {
	disk := func(t *testing.T) string { return filesystemConfig(t.TempDir()) }
	bucket := func(t *testing.T) string { return startS3(t).config() }
	for _, c := range []struct {
		name     string
		from, to func(*testing.T) string
	}{{"disk to bucket", disk, bucket}, {"bucket to disk", bucket, disk}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			testMigrate(t, c.from(t), c.to(t))
		})
	}
}

func testMigrate(t *testing.T, from, to string) {
	oldFile, newFile := writeConfig(t, from), writeConfig(t, to)
	old, s := startServer(t, from, adminEnv...), newShelf(t)
	old.login(adminUser, adminPassword)
	admin := func(p *process, method, path, body string, want int) []byte {
		t.Helper()
		resp, answer := do(t, method, p.URL+"/api/v1/"+path, []byte(body), "Content-Type", "application/json")
		if resp.StatusCode != want {
			t.Fatalf("%s %s: %s %s", method, path, resp.Status, answer)
		}
		return answer
	}
	admin(old, http.MethodPost, "repositories", `{"name":"fixed","description":"as it was","immutable_tag_patterns":["v*"]}`, http.StatusCreated)
	admin(old, http.MethodPost, "users", `{"username":"ci","password":"`+adminPassword+`","policies":["read-only"],"enabled":true}`, http.StatusCreated)
	var issued struct{ Token string }
	if err := json.Unmarshal(admin(old, http.MethodPost, "tokens", `{"username":"ci","expires_in":3600}`, http.StatusCreated), &issued); err != nil {
		t.Fatal(err)
	}
	f := newFixtures(t, filepath.Join(t.TempDir(), "fixtures"))
	login := command{env: asAdmin}
	login.ok(t, "import", f.imageArchive, old.Host+"/fixed:v1")
	layer, conf := tiny(1)
	pushTiny := func(p *process, tag string) {
		t.Helper()
		for _, content := range [][]byte{layer, conf} {
			pushBlob(t, p, "tiny", sha256Digest(content), content)
		}
		pushManifest(t, p, "tiny", tag, tinyType, noted(tinyManifest(conf, layer), tag))
	}
	pushTiny(old, "before")
	pushBlob(t, old, "tiny", sha512Digest(s.blob), s.blob)
	report := filepath.Join(t.TempDir(), "report.json")
	run := func(args ...string) *migrate.Report {
		t.Helper()
		command{}.ok(t, append([]string{"migrate", "--from", oldFile, "--to", newFile, "--report", report}, args...)...)
		r := new(migrate.Report)
		content, err := os.ReadFile(report)
		if err == nil {
			err = json.Unmarshal(content, r)
		}
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := run(); !r.InStep || r.Complete || r.BlobsCopied == 0 || r.RecordsCopied == 0 || r.Passes < 2 {
		t.Errorf("%+v", r)
	}
	if r := run("--verify"); r.BlobsCopied+r.RecordsCopied > 0 || !r.Verified {
		t.Errorf("the second time: %+v", r)
	}

	// Pushes and deletions go on while it runs.
	var pushes sync.WaitGroup
	pushes.Go(func() {
		for _, tag := range []string{"a", "b", "c", "d", "e"} {
			pushTiny(old, tag)
		}
	})
	run()
	pushes.Wait()
	admin(old, http.MethodDelete, "repositories/tiny/tags/before", "", http.StatusNoContent)
	if r := run(); !r.InStep || r.RecordsRemoved == 0 {
		t.Errorf("after a deletion: %+v", r)
	}
	command{}.refused(t, "storage.maintenance.readonly.enabled", "migrate", "--from", oldFile, "--to", newFile, "--final")
	old.stop(t)

	readOnly := strings.Replace(from, "  delete:", "  maintenance:\n    readonly: {enabled: true}\n  delete:", 1)
	oldFile = writeConfig(t, readOnly)
	reader := startServer(t, readOnly, adminEnv...) // it still serves
	reader.login(adminUser, adminPassword)
	if r := run("--final", "--verify"); !r.Complete || !r.Verified {
		t.Errorf("the last pass: %+v", r)
	}
	command{}.refused(t, "was complete at", "migrate", "--from", oldFile, "--to", newFile)
	_, catalog := do(t, http.MethodGet, reader.URL+"/v2/_catalog", nil)

	next := startServer(t, to, adminEnv...)
	next.login(adminUser, adminPassword)
	if _, now := do(t, http.MethodGet, next.URL+"/v2/_catalog", nil); !bytes.Equal(now, catalog) || !bytes.Contains(now, []byte(`"fixed","tiny"`)) {
		t.Errorf("the catalog is %s, and was %s", now, catalog)
	}
	for _, tag := range []string{"a", "b", "c", "d", "e"} {
		resp, body := do(t, http.MethodGet, next.URL+"/v2/tiny/manifests/"+tag, nil)
		if resp.StatusCode != http.StatusOK || !bytes.Equal(body, noted(tinyManifest(conf, layer), tag)) {
			t.Errorf("tiny:%s: %s", tag, resp.Status)
		}
	}
	if got := status(t, next, http.MethodGet, "tiny", "before"); got != http.StatusNotFound {
		t.Errorf("a tag that was deleted is there: %d", got)
	}
	if resp, body := do(t, http.MethodGet, next.URL+"/v2/tiny/blobs/"+sha512Digest(s.blob), nil); resp.StatusCode != http.StatusOK || !bytes.Equal(body, s.blob) {
		t.Errorf("the blob by its SHA-512: %s", resp.Status)
	}
	if answer := admin(next, http.MethodGet, "repositories/fixed", "", http.StatusOK); !bytes.Contains(answer, []byte(`"as it was"`)) {
		t.Errorf("the settings are %s", answer)
	}
	login.refused(t, "immutable", "import", f.indexLayout, next.Host+"/fixed:v1")
	command{env: []string{"REGISTRYSERVER_TOKEN=" + issued.Token}}.ok(t, "export", next.Host+"/fixed:v1", filepath.Join(t.TempDir(), "fixed.tar"))
	next.stop(t)
	command{}.ok(t, "fsck", newFile)
}

// What would lose something is refused.
func TestMigrateRefuses(t *testing.T) {
	t.Parallel()
	c := command{}
	const secret = "http: {secret: the-secret-of-the-old-server, tls: {managed: true}}\n"
	from, to := filesystemConfig(t.TempDir()), filesystemConfig(t.TempDir())
	fromFile := writeConfig(t, from)
	c.refused(t, "have the same storage", "migrate", "--from", fromFile, "--to", writeConfig(t, from))

	used := startServer(t, to)
	push(t, used, "app", "v1", image(t, 1))
	used.stop(t)
	c.refused(t, "is not empty", "migrate", "--from", fromFile, "--to", writeConfig(t, to))

	// A record of a certificate, whose key only the old secret opens.
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "registrykit/v1/certificates"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "registrykit/v1/certificates/main"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	sealed, empty := writeConfig(t, filesystemConfig(root)+secret), filesystemConfig(t.TempDir())
	c.refused(t, "--without-keys", "migrate", "--from", sealed, "--to", writeConfig(t, empty))
	c.refused(t, "--without-keys", "migrate", "--from", sealed, "--to", writeConfig(t, empty+strings.Replace(secret, "old", "new", 1)))
	c.ok(t, "migrate", "--from", sealed, "--to", writeConfig(t, empty+strings.Replace(secret, "{secret: the-secret-of-the-old-server", "{secret: another-secret-of-the-server, previoussecrets: [the-secret-of-the-old-server]", 1)))
	c.ok(t, "migrate", "--without-keys", "--from", sealed, "--to", writeConfig(t, filesystemConfig(t.TempDir())))
}

// A damaged blob is named, and everything else is brought over; mended, the migration ends.
func TestMigrateNamesDamage(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	from := filesystemConfig(root)
	server := startServer(t, from)
	push(t, server, "app", "v1", image(t, 1))
	content := []byte("what a layer is made of")
	digest := sha256Digest(content)
	pushBlob(t, server, "app", digest, content)
	server.stop(t)
	hex := strings.TrimPrefix(digest, "sha256:")
	blob := filepath.Join(root, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data")
	if err := os.WriteFile(blob, bytes.ToUpper(content), 0o600); err != nil {
		t.Fatal(err)
	}
	to := filesystemConfig(t.TempDir())
	fromFile, toFile := writeConfig(t, from), writeConfig(t, to)
	command{}.refused(t, "blob "+digest, "migrate", "--from", fromFile, "--to", toFile)
	if err := os.WriteFile(blob, content, 0o600); err != nil {
		t.Fatal(err)
	}
	command{}.ok(t, "migrate", "--from", fromFile, "--to", toFile)
	next := startServer(t, to)
	checkArtifact(t, next, "app:v1", image(t, 1))
}
