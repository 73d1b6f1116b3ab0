package main_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// s3Server is a real S3 server over a directory, with one bucket.
type s3Server struct{ url string }

const s3Bucket = "images"

// startS3 starts versitygw on a free port, and kills it when the test ends.
func startS3(t testing.TB) s3Server {
	t.Helper()
	binary, dir := tool(t, "versitygw"), t.TempDir()
	address := freeAddress(t)
	cmd := exec.Command(binary, "--access", "test", "--secret", "test-secret", "--port", address, "--quiet", "posix", dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	server := s3Server{url: "http://" + address}
	api := server.api()
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(50 * time.Millisecond) {
		_, err := api.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(s3Bucket)})
		if err == nil {
			return server
		}
		if time.Now().After(deadline) {
			t.Fatalf("versitygw does not answer: %v", err)
		}
	}
}

// api is a client of the S3 server itself.
func (s s3Server) api() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.url), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test-secret", ""),
	})
}

// config is the configuration that ours and distribution's both read.
func (s s3Server) config() string {
	return fmt.Sprintf(`version: 0.1
storage:
  s3: {accesskey: test, secretkey: test-secret, region: us-east-1, regionendpoint: %q, forcepathstyle: true, bucket: %s, rootdirectory: /some/place}
  delete: {enabled: true}
  redirect: {disable: true}
`, s.url, s3Bucket)
}

// TestS3Redirect: the bytes of a blob come from the bucket, to whoever may pull
// and for as long as was said; what else there is to know comes from us.
func TestS3Redirect(t *testing.T) {
	t.Parallel()
	bucket := startS3(t)
	server := startServer(t, strings.Replace(bucket.config(), "disable: true", "expiry: 90s", 1))
	content := []byte("what a layer is made of")
	pushBlob(t, server, "team/app", sha256Digest(content), content)
	url := server.URL + "/v2/team/app/blobs/" + sha256Digest(content)

	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // a client would follow at once
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	location, err := resp.Location()
	if err != nil || resp.StatusCode != http.StatusTemporaryRedirect || !strings.HasPrefix(location.String(), bucket.url) || location.Query().Get("X-Amz-Expires") != "90" {
		t.Fatalf("GET: %s to %v, %v; want a presigned URL of the bucket", resp.Status, location, err)
	}
	if got := resp.Header.Get("Docker-Content-Digest"); got != sha256Digest(content) || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the redirect has %v", resp.Header)
	}
	if resp, body := do(t, http.MethodGet, location.String(), nil, "Range", "bytes=5-9"); resp.StatusCode != http.StatusPartialContent || string(body) != "a lay" {
		t.Errorf("GET of the URL: %s %q", resp.Status, body)
	}
	if resp, _ := do(t, http.MethodHead, url, nil); resp.StatusCode != http.StatusOK || resp.ContentLength != int64(len(content)) {
		t.Errorf("HEAD: %s of %d bytes", resp.Status, resp.ContentLength)
	}
	if resp, _ := do(t, http.MethodGet, server.URL+"/v2/other/blobs/"+sha256Digest(content), nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("GET of a blob of another repository: %s", resp.Status)
	}
}

// TestS3RedirectEndpoint: clients are sent to the name by which they know the
// bucket. The style of paths is what it is where there is an endpoint.
func TestS3RedirectEndpoint(t *testing.T) {
	t.Parallel()
	bucket := countS3(t)
	public := strings.Replace(bucket.url, "127.0.0.1", "localhost", 1)
	config := strings.Replace(bucket.config(), "disable: true", "disable: false", 1)
	config = strings.Replace(config, "forcepathstyle: true", fmt.Sprintf("redirectendpoint: %q", public), 1)
	server := startServer(t, config)
	content := []byte("what a layer is made of")
	pushBlob(t, server, "team/app", sha256Digest(content), content)
	path := server.URL + "/v2/team/app/blobs/" + sha256Digest(content)
	location := sendOnce(t, http.MethodGet, path).Header.Get("Location")
	if !strings.HasPrefix(location, public+"/"+s3Bucket+"/some/place/docker/") {
		t.Errorf("GET leads to %s", location)
	}
	if resp, body := do(t, http.MethodGet, path, nil); resp.StatusCode != http.StatusOK || string(body) != string(content) || resp.Request.URL.Hostname() != "localhost" {
		t.Errorf("GET: %s from %s\n%s", resp.Status, resp.Request.URL, body)
	}
}

// TestS3 pushes to one server and pulls from another, on one bucket.
func TestS3(t *testing.T) {
	t.Parallel()
	bucket, shelf := startS3(t), newShelf(t)
	first := startServer(t, bucket.config())
	second := startServer(t, bucket.config())
	pushShelf(t, first, shelf)
	checkShelf(t, second, shelf)
	checkShelf(t, first, shelf)

	file := writeConfig(t, bucket.config())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, buildServer(t), "fsck", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), " 0 broken") {
		t.Errorf("fsck: %v\n%s", err, out)
	}
	out, err = exec.CommandContext(ctx, buildServer(t), "config", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "test-secret") || !strings.Contains(string(out), "bucket: "+s3Bucket) {
		t.Errorf("config: %v\n%s", err, out)
	}
}

// TestCheckStorage: what is wrong with the storage is one line, and the exit code.
func TestCheckStorage(t *testing.T) {
	t.Parallel()
	bucket := startS3(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, config, want string
		ok                 bool
	}{
		{"a bucket", bucket.config(), "ok: the bucket " + s3Bucket + " can be used\n", true},
		{"a missing bucket", strings.Replace(bucket.config(), "bucket: "+s3Bucket, "bucket: other", 1), "there is no such bucket", false},
		{"a wrong secret", strings.Replace(bucket.config(), "test-secret", "other", 1), "storage.s3.secretkey", false},
		{"a directory", filesystemConfig(t.TempDir()), "ok: the directory ", true},
		{"no directory", filesystemConfig(file), "storage.filesystem.rootdirectory: ", false},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		out, err := exec.CommandContext(ctx, buildServer(t), "config", "--check-storage", writeConfig(t, row.config)).CombinedOutput()
		cancel()
		if (err == nil) != row.ok || !strings.Contains(string(out), row.want) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s: %v\n%swant one line with %q", row.name, err, out, row.want)
		}
	}
}

// TestS3Secrets: of two servers on one bucket that cannot open what the other
// seals, the second says so, and which setting it is.
func TestS3Secrets(t *testing.T) {
	t.Parallel()
	bucket := startS3(t)
	for _, start := range []struct {
		secret string
		warns  bool
	}{{"one", false}, {"one", false}, {"two", true}, {"", true}} {
		var env []string
		if start.secret != "" {
			env = append(env, "REGISTRY_HTTP_SECRET="+start.secret)
		}
		p := startServer(t, bucket.config(), env...)
		if warns := strings.Contains(p.output.String(), "REGISTRY_HTTP_SECRET"); warns != start.warns {
			t.Errorf("with the secret %q: warns is %t\n%s", start.secret, warns, p.output.tail())
		}
	}
}

// TestS3Interchange: a bucket, like a directory, belongs to no program.
func TestS3Interchange(t *testing.T) {
	for _, theirs := range predecessors {
		t.Run(theirs.name, func(t *testing.T) {
			t.Parallel()
			binary := tool(t, theirs.tool)
			for _, turn := range []struct {
				name string
				ours bool // writes
			}{{"from ours to theirs", true}, {"from theirs to ours", false}} {
				t.Run(turn.name, func(t *testing.T) {
					bucket, shelf := startS3(t), newShelf(t)
					ours := func() *process { return startServer(t, bucket.config()) }
					other := func() *process { return startRegistry(t, binary, bucket.config()) }
					first, second := other, ours
					if turn.ours {
						first, second = ours, other
					}
					large := bytes.Repeat([]byte("parts of"), 12<<20/8)
					writer := first()
					pushShelf(t, writer, shelf)
					patchBlob(t, writer, "app", large)
					reader := second()
					for _, p := range []*process{reader, writer} {
						checkShelf(t, p, shelf)
						resp, body := do(t, http.MethodGet, p.URL+"/v2/app/blobs/"+sha256Digest(large), nil)
						if resp.StatusCode != http.StatusOK || !bytes.Equal(body, large) {
							t.Errorf("%s: %d bytes that came in parts: %s and %d", p.cmd.Path, len(large), resp.Status, len(body))
						}
					}
				})
			}
		})
	}
}
