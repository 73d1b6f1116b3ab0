package provider

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	awsRegion    = "eu-central-1"
	awsSecretKey = "secret-key-of-the-aws-tests"
)

// moto is an imitation of AWS, started when the first test needs it and shared
// by all: they use different names.
type moto struct {
	once sync.Once
	url  *url.URL
	err  error
	cmd  *exec.Cmd
}

// theMoto is stopped by TestMain.
var theMoto moto

func (m *moto) start() {
	binary, err := exec.LookPath("moto_server")
	if err != nil {
		m.err = fmt.Errorf("moto_server is not on the PATH (pip install 'moto[server]')")
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.err = err
		return
	}
	address := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(address)
	m.cmd = exec.Command(binary, "-H", "127.0.0.1", "-p", port)
	if m.err = m.cmd.Start(); m.err != nil {
		return
	}
	m.url = &url.URL{Scheme: "http", Host: address}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		resp, err := http.Get(m.url.String() + "/moto-api/data.json")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		if time.Now().After(deadline) {
			m.err = fmt.Errorf("moto_server does not answer: %w", err)
			return
		}
	}
}

func (m *moto) stop() {
	if m.cmd != nil && m.cmd.Process != nil {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
	}
}

// awsServer is moto behind a proxy that makes faults and remembers requests.
type awsServer struct {
	url     string
	handler http.Handler

	mu       sync.Mutex
	faults   []awsFault
	requests []string // as operation names them
}

// awsFault is for the next request of an operation.
type awsFault struct {
	operation string
	do        fault
}

func startAWS(t *testing.T) *awsServer {
	t.Helper()
	theMoto.once.Do(theMoto.start)
	if theMoto.url == nil || theMoto.err != nil {
		t.Skipf("NOT TESTED: %v", theMoto.err)
	}
	s := &awsServer{handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(theMoto.url)
		r.Out.Host = r.In.Host
	}}}
	listener := httptest.NewServer(s)
	t.Cleanup(listener.Close)
	s.url = listener.URL
	return s
}

// awsOperation names a request: "PUT versioning" for S3, "ImportCertificate"
// for ACM, "RegisterImage" for EC2, "StartSnapshot" for EBS, the method alone for objects and buckets.
func awsOperation(r *http.Request) string {
	if _, name, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		return name
	}
	switch _, service := scopeOf(r); service {
	case "ec2":
		return formOf(r).Get("Action")
	case "ebs":
		return ebsOperation(r)
	}
	name := r.Method
	if strings.Count(strings.Trim(r.URL.Path, "/"), "/") > 0 {
		name += " object"
	}
	for _, part := range []string{"publicAccessBlock", "ownershipControls", "policy", "encryption", "versioning", "lifecycle", "tagging", "versions", "uploads", "delete", "uploadId", "list-type"} {
		if r.URL.Query().Has(part) {
			name += " " + part
		}
	}
	return name
}

func (s *awsServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	operation := awsOperation(r)
	var f fault
	s.mu.Lock()
	s.requests = append(s.requests, operation)
	if i := slices.IndexFunc(s.faults, func(f awsFault) bool { return f.operation == operation }); i >= 0 {
		f = s.faults[i].do
		s.faults = slices.Delete(s.faults, i, i+1)
	}
	s.mu.Unlock()
	if f == nil {
		s.handler.ServeHTTP(w, r)
		return
	}
	f(w, r, s.handler)
}

// fail makes the next requests of an operation fail. It fits TestStep.PreConfig.
func (s *awsServer) fail(operation string, faults ...fault) func() {
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = nil
		for _, f := range faults {
			s.faults = append(s.faults, awsFault{operation, f})
		}
	}
}

// left is how many faults did not happen.
func (s *awsServer) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.faults)
}

func (s *awsServer) count(operation string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.requests {
		if r == operation {
			n++
		}
	}
	return n
}

// refuse answers as S3 refuses.
func refuse(code int, name, message string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, name, message)
	}
}

// refuseJSON answers as ACM refuses.
func refuseJSON(code int, name, message string) fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(code)
		_, _ = fmt.Fprintf(w, `{"__type": %q, "message": %q}`, name, message)
	}
}

// config puts a provider block for the server before a configuration.
func (s *awsServer) config(format string, args ...any) string {
	return s.provider("") + fmt.Sprintf(format, args...)
}

func (s *awsServer) provider(extra string) string {
	return fmt.Sprintf(`
provider "registry" {
  aws = {
    region     = %q
    access_key = "test"
    secret_key = %q
    endpoints  = { s3 = %[3]q, acm = %[3]q, sts = %[3]q, ebs = %[3]q, ec2 = %[3]q }
    %s
  }
}
`, awsRegion, awsSecretKey, s.url, extra)
}

// s3 is a client of moto itself: what happens behind Terraform's back.
func (s *awsServer) s3() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(theMoto.url.String()), Region: awsRegion, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

func (s *awsServer) acm() *acm.Client {
	return acm.New(acm.Options{
		BaseEndpoint: aws.String(theMoto.url.String()), Region: awsRegion,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
}

func (s *awsServer) bucket(name string) bucket { return bucket{s.s3(), name} }

// noBucket expects that Terraform has left nothing.
func (s *awsServer) noBucket(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := s.bucket(name).locate(context.WithoutCancel(t.Context())); !isMissing(err) {
			t.Errorf("the bucket %s is left, %v", name, err)
		}
	}
}
