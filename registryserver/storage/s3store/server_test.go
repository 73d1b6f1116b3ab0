package s3store_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage/s3store"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

const (
	accessKey = "test"
	secretKey = "test-secret"
	bucket    = "registry"
)

// server is the S3 server of all tests: a real one, over a directory.
type server struct {
	endpoint string // "" if there is none
	skip     string // why
}

var (
	s3Server server       // started once, by TestMain
	prefixes atomic.Int64 // each store has a prefix of its own
)

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "s3store-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		stop, err := startS3(dir)
		if err != nil {
			s3Server.skip = err.Error()
		} else {
			defer stop()
		}
		return m.Run()
	}())
}

// startS3 starts versitygw on a free port of the loopback interface.
func startS3(dir string) (stop func(), err error) {
	var stderr bytes.Buffer
	find := exec.Command("../../../.ci/tool", "versitygw")
	find.Stderr = &stderr
	binary, err := find.Output()
	if err != nil {
		return nil, fmt.Errorf("versitygw is not here and cannot be installed: %w\n%s", err, stderr.String())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := l.Addr().String()
	_ = l.Close()
	cmd := exec.Command(strings.TrimSpace(string(binary)), "--access", accessKey, "--secret", secretKey, "--port", address, "--quiet", "--keep-alive", "posix", dir)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	api := s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + address), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, err := api.CreateBucket(context.Background(), &s3.CreateBucketInput{Bucket: aws.String(bucket)})
		if err == nil {
			s3Server.endpoint = "http://" + address
			return stop, nil
		}
		if time.Now().After(deadline) {
			stop()
			return nil, fmt.Errorf("versitygw does not answer: %w", err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// config is that of a new, empty place in the bucket.
func config(t testing.TB) s3store.Config {
	t.Helper()
	if s3Server.endpoint == "" {
		t.Skip(s3Server.skip)
	}
	return s3store.Config{
		Bucket: bucket, Region: "us-east-1", RegionEndpoint: s3Server.endpoint, ForcePathStyle: true,
		AccessKey: accessKey, SecretKey: secretKey,
		RootDirectory: fmt.Sprintf("/place/%d", prefixes.Add(1)),
	}
}

func open(t testing.TB, c s3store.Config) storagetest.Store {
	t.Helper()
	s, err := s3store.New(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return storagetest.Store{
		Blobs: s.Blobs(), Records: s.Records(), Stateless: true, DeletesTogether: true,
		Reopen: func(t testing.TB) storagetest.Store { return open(t, c) },
	}
}

func TestStore(t *testing.T) {
	storagetest.Test(t, func(t testing.TB) storagetest.Store { return open(t, config(t)) })
}

// TestOpenErrors: one line that says which setting is wrong and how to give it.
func TestOpenErrors(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + free.Addr().String()
	_ = free.Close()
	for _, c := range []struct {
		name   string
		change func(*s3store.Config)
		want   string
	}{
		{"no bucket", func(c *s3store.Config) { c.Bucket = "" }, "REGISTRY_STORAGE_S3_BUCKET"},
		{"no region", func(c *s3store.Config) { c.Region, c.RegionEndpoint = "", "" }, "REGISTRY_STORAGE_S3_REGION"},
		{"half a key", func(c *s3store.Config) { c.SecretKey = "" }, "storage.s3.secretkey"},
		{"small chunks", func(c *s3store.Config) { c.ChunkSize = 1 << 20 }, "storage.s3.chunksize"},
		{"missing bucket", func(c *s3store.Config) { c.Bucket = "missing" }, "there is no such bucket"},
		{"wrong key", func(c *s3store.Config) { c.AccessKey = "other" }, "storage.s3.accesskey"},
		{"wrong secret", func(c *s3store.Config) { c.SecretKey = "other" }, "storage.s3.secretkey"},
		{"wrong region", func(c *s3store.Config) { c.Region = "eu-north-1" }, "storage.s3.region"},
		{"no server", func(c *s3store.Config) { c.RegionEndpoint = nobody }, "storage.s3.regionendpoint"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conf := config(t)
			c.change(&conf)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			_, err := s3store.New(ctx, conf)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("New: %v\nwant one line with %q", err, c.want)
			}
		})
	}
}

// TestNoConditions: a server that writes whatever the condition is refused.
func TestNoConditions(t *testing.T) {
	conf := config(t)
	conf.RegionEndpoint = agreeing(t)
	_, err := s3store.New(t.Context(), conf)
	if err == nil || !strings.Contains(err.Error(), "does not honour conditional writes") {
		t.Errorf("New: %v", err)
	}
}

// agreeing is a server that answers every write with success, whatever its
// condition.
func agreeing(t *testing.T) string {
	t.Helper()
	return serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("ETag", `"00"`) }))
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}
