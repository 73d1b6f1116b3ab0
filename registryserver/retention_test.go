package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestRetention: a policy of the admin API, its preview, and a collection beside a
// server that runs, on a disk and in a bucket, while a tag that is to go is pushed
// again.
func TestRetention(t *testing.T) {
	t.Parallel()
	t.Run("disk", func(t *testing.T) {
		t.Parallel()
		root := t.TempDir()
		testRetention(t, filesystemConfig(root), func() int {
			batches, _ := filepath.Glob(filepath.Join(root, "registrykit/v1/gc/batches/*"))
			return len(batches)
		})
	})
	t.Run("S3", func(t *testing.T) {
		t.Parallel()
		bucket := startS3(t)
		testRetention(t, bucket.config(), func() int {
			list, err := bucket.api().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(s3Bucket), Prefix: aws.String("some/place/registrykit/v1/gc/batches/")})
			if err != nil {
				return 0
			}
			return len(list.Contents)
		})
	})
}

// victims are what a preview says.
func victims(t *testing.T, p *process) string {
	t.Helper()
	resp, body := do(t, http.MethodPost, p.URL+"/api/v1/retention-preview", []byte(`{}`), "Content-Type", "application/json")
	var page struct {
		Items []struct{ Repository, Tag, Policy string }
	}
	if err := json.Unmarshal(body, &page); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("preview: %s %v %s", resp.Status, err, body)
	}
	var all []string
	for _, v := range page.Items {
		all = append(all, v.Repository+":"+v.Tag+" by "+v.Policy)
	}
	return strings.Join(all, ", ")
}

func testRetention(t *testing.T, config string, batches func() int) {
	p := startServer(t, config, "REGISTRY_ADMIN_USERNAME=admin", "REGISTRY_ADMIN_PASSWORD=change-me-please", "REGISTRY_GC_GRACE=0s")
	p.login("admin", "change-me-please")
	var manifests [][]byte
	push := func(repo string, n int) {
		pushManifest(t, p, repo, fmt.Sprintf("b%d", n), tinyType, manifests[n])
	}
	for n := range 5 {
		layer, conf := tiny(n)
		manifests = append(manifests, tinyManifest(conf, layer))
		for _, repo := range []string{"team/app", "other"} {
			for _, content := range [][]byte{layer, conf} {
				pushBlob(t, p, repo, sha256Digest(content), content)
			}
			push(repo, n)
		}
		time.Sleep(1100 * time.Millisecond) // a store may know times to the second
	}
	resp, body := do(t, http.MethodPost, p.URL+"/api/v1/retention-policies",
		[]byte(`{"name":"ci","repositories":["team/**"],"rules":[{"action":"delete","except_newest":2},{"action":"keep","tag_patterns":["b1"]}]}`), "Content-Type", "application/json")
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("make a policy: %s %s", resp.Status, body)
	}
	if got, want := victims(t, p), "team/app:b0 by ci, team/app:b2 by ci"; got != want {
		t.Errorf("preview: %s; want %s", got, want)
	}
	if out, err := runWith(t, config, nil, "exclusive"); err != nil {
		t.Fatalf("exclusive: %v %s", err, out)
	}
	const why = "retention policy ci, rule 1: delete tags, not of the newest 2 images"
	if out, err := runWith(t, config, noGrace, "garbage-collect", "--dry-run"); err != nil || !strings.Contains(out, "would be deleted: tag team/app b0 (0 bytes): "+why) || strings.Contains(out, "tag other") {
		t.Errorf("a dry run: %v %s", err, out)
	}

	// b0 is pushed again once the collection has condemned it, or before.
	done := make(chan string)
	go func() {
		out, err := runWith(t, config, noGrace, "garbage-collect")
		if err != nil {
			out = "FAILED: " + err.Error() + "\n" + out
		}
		done <- out
	}()
	var out string
	for pushed := false; out == ""; {
		select {
		case out = <-done:
		case <-time.After(5 * time.Millisecond):
			if !pushed && batches() > 0 {
				pushed = true
				resp, body := do(t, http.MethodPut, p.URL+"/v2/team/app/manifests/b0", manifests[0], "Content-Type", tinyType)
				// On a disk it may come while b0 is being deleted: then it is told to wait.
				if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusServiceUnavailable {
					t.Errorf("push b0 again: %s %s", resp.Status, body)
				}
				if resp.StatusCode == http.StatusCreated {
					t.Log("b0 was pushed while it was condemned")
				}
			}
		}
	}
	if strings.HasPrefix(out, "FAILED") || !strings.Contains(out, "deleted: tag team/app b2 (0 bytes): "+why) {
		t.Errorf("garbage-collect:\n%s", out)
	}
	gone := strings.Contains(out, "deleted: tag team/app b0 ")
	if !gone && status(t, p, http.MethodGet, "team/app", "b0") != http.StatusOK {
		t.Errorf("b0 is gone, and the report does not say so:\n%s", out)
	}
	push("team/app", 0) // and once more: it is the newest now
	if got := victims(t, p); got != "team/app:b3 by ci" {
		t.Errorf("preview after the push: %s", got)
	}
	for tag, want := range map[string]int{"team/app b0": 200, "team/app b1": 200, "team/app b2": 404, "team/app b3": 200, "team/app b4": 200, "other b0": 200, "other b2": 200} {
		repo, tag, _ := strings.Cut(tag, " ")
		if got := status(t, p, http.MethodGet, repo, tag); got != want {
			t.Errorf("%s %s: status %d, want %d", repo, tag, got, want)
		}
	}
	if out, err := runWith(t, config, nil, "fsck"); err != nil || strings.Contains(out, "broken ") {
		t.Errorf("fsck: %v %s", err, out)
	}
}

// TestPullsAreNoted: what was pulled before a server stopped is known to the next,
// and a HEAD is no pull.
func TestPullsAreNoted(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	config := filesystemConfig(root)
	p := startServer(t, config)
	layer, conf := tiny(1)
	for _, content := range [][]byte{layer, conf} {
		pushBlob(t, p, "app", sha256Digest(content), content)
	}
	manifest := tinyManifest(conf, layer)
	pushManifest(t, p, "app", "v1", tinyType, manifest)
	pushManifest(t, p, "app", "v2", tinyType, manifest)
	for _, ref := range []string{"v1", sha256Digest(manifest)} {
		for range 3 {
			if got := status(t, p, http.MethodGet, "app", ref); got != http.StatusOK {
				t.Fatalf("pull %s: status %d", ref, got)
			}
		}
	}
	status(t, p, http.MethodHead, "app", "v2")
	p.stopCleanly(t)
	files, err := filepath.Glob(filepath.Join(root, "registrykit/v1/pulls/records/*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("records of pulls: %q, %v", files, err)
	}
	noted, err := os.ReadFile(files[0])
	if err != nil || strings.Count(string(noted), "\n") != 3 || !strings.Contains(string(noted), " app v1\n") || !strings.Contains(string(noted), " app "+sha256Digest(manifest)+"\n") {
		t.Errorf("noted: %q, %v", noted, err)
	}
	startServer(t, config, "REGISTRY_GC_PULLINTERVAL=0s").stopCleanly(t)
	if _, err := os.Stat(filepath.Join(root, "registrykit/v1/pulls/since")); !os.IsNotExist(err) {
		t.Errorf("a server that notes no pulls leaves the record that says since when: %v", err)
	}
}
