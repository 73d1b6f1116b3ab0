package main_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/audit"
)

// TestAudit: what a server has noted is in the storage when it has ended, on a disk
// and in a bucket, and a command prints it.
func TestAudit(t *testing.T) {
	t.Parallel()
	t.Run("disk", func(t *testing.T) { t.Parallel(); testAudit(t, filesystemConfig(t.TempDir())) })
	t.Run("S3", func(t *testing.T) { t.Parallel(); testAudit(t, startS3(t).config()) })
}

func testAudit(t *testing.T, config string) {
	p := startServer(t, config, "REGISTRY_AUDIT_ENABLED=true", "REGISTRY_ADMIN_USERNAME=admin", "REGISTRY_ADMIN_PASSWORD=change-me-please")
	p.login("admin", "change-me-please")
	layer, conf := tiny(1)
	for _, content := range [][]byte{layer, conf} {
		pushBlob(t, p, "team/app", sha256Digest(content), content)
	}
	manifest := tinyManifest(conf, layer)
	pushManifest(t, p, "team/app", "v1", tinyType, manifest)
	if got := status(t, p, http.MethodGet, "team/app", "v1"); got != http.StatusOK {
		t.Errorf("pull: %d", got)
	}
	p.login("admin", "a wrong password")
	if got := status(t, p, http.MethodDelete, "team/app", "v1"); got != http.StatusUnauthorized {
		t.Errorf("delete with a wrong password: %d", got)
	}
	p.stopCleanly(t)

	out, err := runWith(t, config, nil, "audit", "--since", "1h")
	if err != nil {
		t.Fatalf("audit: %v\n%s", err, out)
	}
	var got []string
	for line := range strings.Lines(out) {
		var e audit.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if e.Client != "127.0.0.1" || e.Repository != "team/app" || e.Reference != "v1" || e.Action != "delete" && e.Digest != sha256Digest(manifest) {
			t.Errorf("event %s", line)
		}
		got = append(got, e.User+" "+e.Action+" "+http.StatusText(e.Status))
	}
	if got, want := strings.Join(got, ", "), "admin push Created, admin pull OK,  delete Unauthorized"; got != want {
		t.Errorf("noted are %q, want %q", got, want)
	}
}

// TestAuditRequests: the audit log adds no request to a push: what it writes, it
// writes beside it, and once for many.
func TestAuditRequests(t *testing.T) {
	t.Parallel()
	bucket := countS3(t)
	push := func(p *process, n int) {
		layer, conf := tiny(n)
		for _, content := range [][]byte{layer, conf} {
			pushBlob(t, p, "team/app", sha256Digest(content), content)
		}
		pushManifest(t, p, "team/app", "v1", tinyType, tinyManifest(conf, layer))
	}
	const images = 10
	requests := func(from int, env ...string) int {
		p := startServer(t, bucket.config(), env...)
		defer p.stopCleanly(t)
		push(p, from) // it knows the repository then
		return len(bucket.count(func() {
			for n := range images {
				push(p, from+1+n)
			}
		}))
	}
	without, with := requests(0), requests(100, "REGISTRY_AUDIT_ENABLED=true")
	if with != without {
		t.Errorf("%d pushes take %d requests with the audit log, and %d without", images, with, without)
	}
	objects := 0
	bucket.mu.Lock()
	defer bucket.mu.Unlock()
	for _, request := range bucket.all {
		if strings.HasPrefix(request, "PUT ") && strings.Contains(request, "/registrykit/v1/audit/") {
			objects++
		}
	}
	if objects < 1 || objects > images {
		t.Errorf("%d events were written in %d objects", images+1, objects)
	}
}
