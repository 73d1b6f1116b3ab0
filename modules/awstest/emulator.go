// Package awstest is for tests: an emulated AWS, with a record of what was called, and Terraform with the real AWS provider and ours, built
// from this source. No part of a product imports it.
package awstest

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
)

// Region is where everything in the emulator is, and Account whose it is.
const (
	Region  = "eu-central-1"
	Account = "123456789012"
)

//go:embed *.py
var programs embed.FS

// Options of an emulator. The zero value is what tests of Terraform alone need.
type Options struct {
	// WaitForHooks makes instances of Auto Scaling groups wait for their lifecycle hooks, so that something has to call
	// CompleteLifecycleAction for them. Otherwise they are in service, and gone, at once.
	WaitForHooks bool
	// CertificatesPend has ACM never find the records by which it issues certificates.
	CertificatesPend bool
}

// Emulator is a process that answers as AWS does. It ends with the test.
type Emulator struct {
	URL string

	record string
	kept   map[string][]string // what a test prepared itself
}

// Call is a request that the emulator got.
type Call struct {
	Service   string // as in policies: s3, ec2, secretsmanager
	Action    string // as in policies, such as PutObject
	Resource  string // bucket and key, for S3
	AccessKey string `json:"access_key"`
	Principal string // ARN of the role whose credentials signed it, or empty
	Status    int
}

// Start runs an emulator, or skips the test where there is no moto.
func Start(t testing.TB, options Options) *Emulator {
	t.Helper()
	python, err := findPython(t.Context())
	if err != nil {
		t.Skip("SKIPPED: " + err.Error())
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, programs); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	e := &Emulator{URL: "http://127.0.0.1:" + port, record: filepath.Join(dir, "calls.jsonl")}
	log, err := os.Create(filepath.Join(dir, "emulator.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(python, "-B", filepath.Join(dir, "emulator.py"), port, e.record)
	cmd.Env = append(withoutAWS(os.Environ()), "MOTO_IAM_LOAD_MANAGED_POLICIES=true", "AWS_DEFAULT_REGION="+Region, fmt.Sprintf("AWSTEST_WAIT_FOR_HOOKS=%t", options.WaitForHooks))
	if options.CertificatesPend {
		cmd.Env = append(cmd.Env, "MOTO_ACM_VALIDATION_WAIT=1000000")
	}
	cmd.Stdout, cmd.Stderr = log, log
	// It ends when this pipe does, so also when the test is killed.
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if said, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the emulator said:\n%s", said[max(0, len(said)-5000):])
		}
	})
	if err := e.wait(t.Context()); err != nil {
		said, _ := os.ReadFile(log.Name())
		t.Fatalf("the emulator does not start: %v\n%s", err, said)
	}
	return e
}

// wait until it answers.
func (e *Emulator) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.URL+"/awstest/inventory", nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Env is what a program needs so that its AWS is this one.
func (e *Emulator) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + e.URL, "AWS_REGION=" + Region, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true",
	}
}

// Config is Env for a client in this process. S3 also needs UsePathStyle.
func (e *Emulator) Config() aws.Config {
	return aws.Config{BaseEndpoint: &e.URL, Region: Region, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
}

// Calls are all requests so far that were answered.
func (e *Emulator) Calls(t testing.TB) []Call {
	t.Helper()
	text, err := os.ReadFile(e.record)
	if err != nil {
		t.Fatal(err)
	}
	var calls []Call
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		var c Call
		if json.Unmarshal(lines.Bytes(), &c) == nil { // the last line may still be in the making
			calls = append(calls, c)
		}
	}
	return calls
}

// Left is all that is there and is not there in every account: what a destroy has forgotten.
func (e *Emulator) Left(t testing.TB) []string {
	t.Helper()
	var left []string
	for kind, names := range e.inventory(t) {
		for _, name := range names {
			if !slices.Contains(e.kept[kind], name) {
				left = append(left, kind+" "+name)
			}
		}
	}
	slices.Sort(left)
	return left
}

// Keep takes what a test has prepared itself out of Left.
func (e *Emulator) Keep(t testing.TB) {
	t.Helper()
	e.kept = e.inventory(t)
}

func (e *Emulator) inventory(t testing.TB) map[string][]string {
	t.Helper()
	var all map[string][]string
	if err := e.get(t.Context(), "/awstest/inventory", &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// get asks the emulator what AWS cannot be asked.
func (e *Emulator) get(ctx context.Context, path string, answer any) error {
	req, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, e.URL+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("%s: %s: %w", path, resp.Status, err)
	}
	return nil
}

// findPython finds the Python that moto_server runs with.
func findPython(ctx context.Context) (string, error) {
	candidates := []string{"python3", "python"}
	if server, err := exec.LookPath("moto_server"); err == nil {
		folder := filepath.Dir(server)
		candidates = append([]string{filepath.Join(folder, "python3"), filepath.Join(folder, "python")}, candidates...)
		if text, err := os.ReadFile(server); err == nil && bytes.HasPrefix(text, []byte("#!/")) {
			first, _, _ := strings.Cut(string(text[2:]), "\n")
			candidates = append([]string{first}, candidates...)
		}
	}
	for _, python := range candidates {
		if exec.CommandContext(ctx, python, "-c", "import moto.moto_server.werkzeug_app").Run() == nil {
			return python, nil
		}
	}
	return "", fmt.Errorf("moto, the emulated AWS, is in no Python on the PATH (pip install 'moto[all,server]')")
}

// withoutAWS drops what would make a program of the test use another AWS, or other settings of the user's.
func withoutAWS(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		return strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "TF_") || strings.HasPrefix(v, "REGISTRY_") || strings.HasPrefix(v, "MOTO_")
	})
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
