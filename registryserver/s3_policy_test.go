package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestS3Policy holds the policy in docs/operations.md to what the server asks of
// a bucket: nothing is missing, and nothing is there that it does not use.
func TestS3Policy(t *testing.T) {
	t.Parallel()
	bucket := countS3(t)
	small := strings.Replace(bucket.config(), "rootdirectory:", "multipartcopythresholdsize: 6291456, multipartcopychunksize: 5242880, rootdirectory:", 1)
	documented := documentedActions(t)
	compare := func(who string) {
		bucket.mu.Lock()
		defer bucket.mu.Unlock()
		if used := sortedKeys(bucket.actions); !slices.Equal(used, documented) {
			t.Errorf("%s uses\n  %s\nand docs/operations.md allows\n  %s", who, strings.Join(used, "\n  "), strings.Join(documented, "\n  "))
		}
		clear(bucket.actions)
	}
	useEverything(t, bucket, small)
	compare("the server")
	runServer(t, "config", "--check-storage", writeConfig(t, small))
	compare("--check-storage")
}

// runServer runs a command of the server that must succeed.
func runServer(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, buildServer(t), args...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", args, err, out)
	}
}

// useEverything does to a registry what can be done to it.
func useEverything(t *testing.T, bucket *s3Proxy, config string) {
	t.Helper()
	p, shelf := startServer(t, config), newShelf(t)
	pushShelf(t, p, shelf) // with a blob and manifests by sha512
	checkShelf(t, p, shelf)
	noise := func(seed byte, size int) []byte { return bytes.Repeat([]byte{seed, 1, 2, 3, 4, 5, 6, 7}, size/8) }
	big := noise(1, 16<<20)
	patchBlob(t, p, "app", big) // in parts, copied in ranges
	patchBlob(t, p, "app", noise(2, 5<<20+8))
	stream := noise(3, 16<<20)
	pushBlob(t, p, "app", sha256Digest(stream), stream) // in parts to its place
	pushBlob(t, p, "app", sha512Digest(stream), stream)
	for _, path := range []string{"/v2/_catalog", "/v2/app/tags/list", "/v2/app/manifests/v1", "/v2/app/blobs/" + sha256Digest(big)} {
		if resp, body := do(t, http.MethodGet, p.URL+path, nil, "Accept", "*/*"); resp.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %s\n%.200s", path, resp.Status, body)
		}
	}
	for _, path := range []string{"/v2/app/manifests/v10", "/v2/app/manifests/" + digestOf(t, image(t, 2)), "/v2/app/blobs/" + sha256Digest(stream)} {
		if resp, body := do(t, http.MethodDelete, p.URL+path, nil); resp.StatusCode != http.StatusAccepted {
			t.Errorf("DELETE %s: %s\n%.200s", path, resp.Status, body)
		}
	}
	unfinished := func() string {
		resp, body := do(t, http.MethodPost, p.URL+"/v2/app/blobs/uploads/", nil)
		location, err := resp.Location()
		if err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		resp, body = do(t, http.MethodPatch, location.String(), noise(4, 16<<20), "Content-Type", "application/octet-stream")
		if location, err = resp.Location(); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		return location.String()
	}
	if resp, body := do(t, http.MethodDelete, unfinished(), nil); resp.StatusCode != http.StatusNoContent {
		t.Errorf("cancel an upload: %s\n%s", resp.Status, body)
	}
	unfinished()

	runServer(t, "fsck", writeConfig(t, config))
	runServer(t, "fsck", "--repair", writeConfig(t, config))
	time.Sleep(2 * time.Second) // until the upload is old enough
	sweeper := startServer(t, config+"  maintenance: {uploadpurging: {age: 1s, interval: 1s}}\n")
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(sweeper.output.String(), "swept"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nothing was swept:\n%s", sweeper.output.String())
		}
	}
	sweeper.stopCleanly(t)
}

// documentedActions are what the policy in docs/operations.md allows.
func documentedActions(t *testing.T) []string {
	t.Helper()
	docs, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```json\n(\\{\\s*\"Version\".*?)```").FindSubmatch(docs)
	if block == nil {
		t.Fatal("docs/operations.md has no policy")
	}
	var policy struct {
		Statement []struct {
			Effect, Resource string
			Action           []string
		}
	}
	if err := json.Unmarshal(block[1], &policy); err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for _, s := range policy.Statement {
		on := " on the bucket"
		if strings.HasSuffix(s.Resource, "/*") {
			on = " on its objects"
		}
		for _, action := range s.Action {
			allowed[action+on] = s.Effect == "Allow"
		}
	}
	return sortedKeys(allowed)
}
