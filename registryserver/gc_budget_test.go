package main_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestS3CollectRequests: what garbage collections ask of a bucket, to the request.
func TestS3CollectRequests(t *testing.T) {
	t.Parallel()
	bucket := countS3(t)
	p := startServer(t, bucket.config())
	const images, lost = 20, 30
	for n := range images {
		layer, conf := tiny(n)
		repo := fmt.Sprintf("team%d/app", n%3)
		for _, content := range [][]byte{layer, conf} {
			pushBlob(t, p, repo, sha256Digest(content), content)
		}
		pushManifest(t, p, repo, fmt.Sprintf("v%d", n), tinyType, tinyManifest(conf, layer))
	}
	for n := range lost {
		content := fmt.Appendf(nil, "lost %d", n)
		pushBlob(t, p, "team1/app", sha256Digest(content), content)
	}
	if out, err := runWith(t, bucket.config(), nil, "exclusive"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	p.stopCleanly(t) // nobody else asks for anything
	for _, run := range []struct {
		name                              string
		lists, manifests, tags, deletions int
		args                              []string
	}{
		{"the first run", 16 + 36, images, 0, 0, nil},
		{"the second run, which deletes", 16 + 2*36, 0, 0, 1, nil},
		{"the third run", 16 + 36, 0, 0, 0, nil},
		{"a run for untagged manifests", 16 + 36, 0, images, 0, []string{"-m"}},
	} {
		got := bucket.countAll(func() {
			if out, err := runWith(t, bucket.config(), noGrace, append([]string{"garbage-collect", "-q"}, run.args...)...); err != nil {
				t.Errorf("%s: %v %s", run.name, err, out)
			}
		})
		count := func(of func(string) bool) (n int) {
			for _, request := range got {
				if of(request) {
					n++
				}
			}
			return n
		}
		has := func(parts ...string) func(string) bool {
			return func(request string) bool {
				for _, part := range parts {
					if !strings.Contains(request, part) {
						return false
					}
				}
				return true
			}
		}
		lists := count(has("GET", "list-type=2", "prefix=some%2Fplace%2Fdocker%2F"))
		manifests := count(has("GET /" + s3Bucket + "/some/place/docker/registry/v2/blobs/"))
		tags := count(has("GET /", "/current/link"))
		deletions := count(has("POST", "delete="))
		t.Logf("%s: %d requests", run.name, len(got))
		if lists != run.lists || manifests != run.manifests || tags != run.tags || deletions != run.deletions {
			t.Errorf("%s: %d lists, %d manifests, %d tags, %d deletions; want %d, %d, %d, %d:\n%s", run.name,
				lists, manifests, tags, deletions, run.lists, run.manifests, run.tags, run.deletions, strings.Join(got, "\n"))
		}
	}
}
