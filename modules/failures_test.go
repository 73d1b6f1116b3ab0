package modules

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.yaml.in/yaml/v3"

	"github.com/registrykit/terraform-provider-registry/modules/awstest"
)

// TestFailedStarts runs what an instance runs when it cannot start the server, made by terraform from the module, against an S3 server that
// verifies signatures: each leaves its reason, the third in a row stops launches, and a launch that succeeds begins the count anew.
func TestFailedStarts(t *testing.T) {
	t.Parallel()
	w := newBootWorld(t, func(s3 string) string {
		return fmt.Sprintf(`{"config": {}, "failures": {"bucket": "images", "region": "us-east-1", "prefix": "team/registrykit/v1/boot/", "endpoint": %q, "group": {"name": "images & more", "launch_hook": "ready"}}}`, s3)
	})
	w.fail("i-0001", "the secret is missing")
	w.fail("i-0002", "the secret is missing")
	if asked := w.asked("SuspendProcesses"); len(asked) != 0 {
		t.Errorf("launches were stopped after two failures: %v", asked)
	}
	w.leave("launches", "2026-01-02T03:04:05Z i-0003 started")
	time.Sleep(1100 * time.Millisecond) // S3 counts time in seconds
	w.leave("i-0004", "2026-01-02T03:04:05Z i-0004 did not start: what the server said")
	w.fail("i-0004", "what systemd said")
	w.fail("i-0005", "the secret is missing")
	if asked := w.asked("SuspendProcesses"); len(asked) != 0 {
		t.Errorf("launches were stopped although one succeeded: %v", asked)
	}
	w.fail("i-0006", "the secret is missing\nand the last lines of the journal")

	if got := w.report("i-0004"); got != "2026-01-02T03:04:05Z i-0004 did not start: what the server said" {
		t.Errorf("what the server said itself became %q", got)
	}
	if got := w.report("i-0006"); !strings.Contains(got, "Z i-0006 did not start: the secret is missing\nand the last lines of the journal") {
		t.Errorf("the report is %q", got)
	}
	if got := w.report("launches"); !strings.Contains(got, "Z i-0006 stopped launches: 3 instances in a row did not start.") {
		t.Errorf("the record of launches is %q", got)
	}
	suspended := w.asked("SuspendProcesses")
	if len(suspended) != 1 || suspended[0].Get("AutoScalingGroupName") != "images & more" || suspended[0].Get("ScalingProcesses.member.1") != "Launch" || len(suspended[0]) != 4 {
		t.Errorf("suspended: %v", suspended)
	}
	given := w.asked("CompleteLifecycleAction")
	if len(given) != 5 || given[0].Get("LifecycleActionResult") != "ABANDON" || given[0].Get("LifecycleHookName") != "ready" || given[0].Get("InstanceId") != "i-0001" {
		t.Errorf("hooks given up: %v", given)
	}

	w.stopS3()
	if out, err := w.run("i-0007", "the bucket is gone"); err == nil || len(w.asked("CompleteLifecycleAction")) != 5 {
		t.Errorf("without the bucket nothing is counted and the hook's time runs: %v\n%s", err, out)
	}
}

// The credentials of the instance's role.
const accessKey, secretKey, sessionToken = "AKIDTEST", "secret/of+the=role", "token/of+the=session=="

// bootWorld is what an instance sees of AWS when it fails: its metadata, a bucket and its group.
type bootWorld struct {
	*testing.T
	dir    string // of the scripts
	api    *s3.Client
	bucket string
	stopS3 func()

	mu    sync.Mutex
	id    string
	forms []url.Values
}

// newBootWorld has the scripts of the module user_data with the variables that it is given for an S3 server's address.
func newBootWorld(t *testing.T, variables func(s3 string) string) *bootWorld {
	t.Helper()
	w := &bootWorld{T: t, bucket: "images"}
	signing := httptest.NewServer(w.s3(w.startS3()))
	w.stopS3 = sync.OnceFunc(signing.Close)
	t.Cleanup(w.stopS3)
	metadata, groups := httptest.NewServer(http.HandlerFunc(w.serveMetadata)), httptest.NewServer(http.HandlerFunc(w.serveGroups))
	t.Cleanup(metadata.Close)
	t.Cleanup(groups.Close)
	w.dir = t.TempDir()
	for path, content := range writtenFiles(t, variables(signing.URL)) {
		if !strings.HasPrefix(path, "/usr/local/libexec/") {
			continue
		}
		content = strings.NewReplacer(
			"/usr/local/libexec", w.dir, "/usr/local/bin", w.dir, "http://169.254.169.254", metadata.URL, "https://autoscaling.us-east-1.amazonaws.com", groups.URL,
		).Replace(content)
		if err := os.WriteFile(filepath.Join(w.dir, filepath.Base(path)), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// writtenFiles are what cloud-init writes on an instance with the user data that the module makes of these variables.
func writtenFiles(t *testing.T, variables string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("user_data")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "test.auto.tfvars.json"), []byte(variables), 0o600); err != nil {
		t.Fatal(err)
	}
	terraform := awstest.NewTerraform(t)
	var text []byte
	for _, args := range [][]string{{"init", "-input=false"}, {"apply", "-auto-approve", "-input=false", "-no-color"}, {"output", "-raw", "text"}} {
		cmd := exec.CommandContext(t.Context(), terraform.Path, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("terraform %s: %v\n%s", args[0], err, out)
		}
		text = out
	}
	var cloudConfig struct {
		WriteFiles []struct{ Path, Content string } `yaml:"write_files"`
	}
	if err := yaml.Unmarshal(text, &cloudConfig); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range cloudConfig.WriteFiles {
		files[f.Path] = f.Content
	}
	return files
}

// startS3 starts versitygw, which verifies signatures, and makes the bucket.
func (w *bootWorld) startS3() (endpoint string) {
	w.Helper()
	binary, err := exec.Command("../.ci/tool", "versitygw").Output()
	if err != nil {
		w.Skipf("NOT TESTED: versitygw is not here and cannot be installed: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	address, dir := l.Addr().String(), w.TempDir()
	_ = l.Close()
	cmd := exec.Command(strings.TrimSpace(string(binary)), "--access", accessKey, "--secret", secretKey, "--port", address, "posix", dir)
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	endpoint = "http://" + address
	w.api = s3.New(s3.Options{BaseEndpoint: &endpoint, Region: "us-east-1", UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		_, err := w.api.CreateBucket(w.Context(), &s3.CreateBucketInput{Bucket: &w.bucket})
		if err == nil {
			return endpoint
		}
		if time.Now().After(deadline) {
			w.Fatalf("versitygw does not answer: %v", err)
		}
	}
}

// signature holds a request to the one that AWS's own library makes of it with the credentials of the role, and returns its body.
func (w *bootWorld) signature(r *http.Request, service string) []byte {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.Error(err)
	}
	given := r.Header.Get("Authorization")
	_, names, _ := strings.Cut(given, "SignedHeaders=")
	names, _, _ = strings.Cut(names, ",")
	same := &http.Request{Method: r.Method, URL: &url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}, Host: r.Host, Header: http.Header{}}
	for name := range strings.SplitSeq(names, ";") {
		if values := r.Header.Values(name); len(values) > 0 {
			same.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	hash := r.Header.Get("X-Amz-Content-Sha256")
	if hash == "" {
		hash = fmt.Sprintf("%x", sha256.Sum256(body))
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at).Abs() > time.Minute {
		w.Errorf("the request is of %s, %v", at, err)
	}
	role := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey, SessionToken: sessionToken}
	if err := v4.NewSigner().SignHTTP(w.Context(), role, same, hash, service, "us-east-1", at, func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" }); err != nil {
		w.Error(err)
	}
	_, want, _ := strings.Cut(same.Header.Get("Authorization"), "Signature=")
	if r.Header.Get("X-Amz-Security-Token") != sessionToken || want == "" || !strings.HasSuffix(given, "Signature="+want) {
		w.Errorf("%s %s is signed\n%s\nnot\n%s", r.Method, r.URL, given, same.Header.Get("Authorization"))
	}
	return body
}

// s3 takes requests with a session token, which the S3 server behind it does not know, and passes them on without.
func (w *bootWorld) s3(behind string) http.Handler {
	to, _ := url.Parse(behind)
	return &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		body := w.signature(p.In, "s3")
		p.SetURL(to)
		p.Out.Body, p.Out.Header = io.NopCloser(bytes.NewReader(body)), http.Header{"X-Amz-Content-Sha256": {"UNSIGNED-PAYLOAD"}}
		key := aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey}
		p.Out.Host = to.Host
		if err := v4.NewSigner().SignHTTP(w.Context(), key, p.Out, "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now(), func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }); err != nil {
			w.Error(err)
		}
	}}
}

// serveMetadata is the metadata service of an instance, version 2 only.
func (w *bootWorld) serveMetadata(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch path := strings.TrimPrefix(r.URL.Path, "/latest/"); {
	case r.Method == http.MethodPut && path == "api/token":
		_, _ = io.WriteString(rw, "token")
	case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token":
		http.Error(rw, "Unauthorized", http.StatusUnauthorized)
	case path == "meta-data/instance-id":
		_, _ = io.WriteString(rw, w.id)
	case path == "meta-data/iam/security-credentials/":
		_, _ = io.WriteString(rw, "role")
	case path == "meta-data/iam/security-credentials/role":
		_, _ = io.WriteString(rw, "{\n  \"Code\" : \"Success\",\n  \"AccessKeyId\" : \""+accessKey+"\",\n  \"SecretAccessKey\" : \""+secretKey+"\",\n  \"Token\" : \""+sessionToken+"\"\n}")
	default:
		http.NotFound(rw, r)
	}
}

// serveGroups takes what is asked of the Auto Scaling group.
func (w *bootWorld) serveGroups(rw http.ResponseWriter, r *http.Request) {
	form, err := url.ParseQuery(string(w.signature(r, "autoscaling")))
	if err != nil {
		w.Error(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forms = append(w.forms, form)
}

func (w *bootWorld) asked(action string) (forms []url.Values) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, form := range w.forms {
		if form.Get("Action") == action {
			forms = append(forms, form)
		}
	}
	return forms
}

func (w *bootWorld) run(id, reason string) (string, error) {
	w.mu.Lock()
	w.id = id
	w.mu.Unlock()
	out, err := exec.CommandContext(w.Context(), filepath.Join(w.dir, "registry-failed"), reason).CombinedOutput()
	return string(out), err
}

// fail lets an instance fail.
func (w *bootWorld) fail(id, reason string) {
	w.Helper()
	if out, err := w.run(id, reason); err != nil {
		w.Fatalf("%s: %v\n%s", id, err, out)
	}
}

// leave puts what a server leaves.
func (w *bootWorld) leave(name, text string) {
	w.Helper()
	w.put("team/registrykit/v1/boot/"+name, text)
}

func (w *bootWorld) report(name string) string {
	w.Helper()
	out, err := w.api.GetObject(w.Context(), &s3.GetObjectInput{Bucket: &w.bucket, Key: aws.String("team/registrykit/v1/boot/" + name)})
	if err != nil {
		w.Errorf("%s: %v", name, err)
		return ""
	}
	defer out.Body.Close()
	content, err := io.ReadAll(out.Body)
	if err != nil {
		w.Error(err)
	}
	return string(content)
}
