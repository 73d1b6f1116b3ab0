// Package oneapply tests the example in this folder with the real programs.
package oneapply

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
)

const adminPassword = "the-admins-password"

// workspace is a copy of the example, with the programs that were just built.
type workspace struct {
	*testing.T
	dir  string
	vars []string
	env  []string
}

// newWorkspace copies the example, builds provider and server, and sees to it
// that no server of the test outlives it.
func newWorkspace(t *testing.T, bucket s3Server) *workspace {
	t.Helper()
	w := &workspace{T: t, dir: t.TempDir()}
	for _, pattern := range []string{"*.tf", "*.sh"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(filepath.Join(w.dir, file), content, 0o700)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	bin := filepath.Join(w.dir, "bin")
	for _, pkg := range []string{".", "./registryserver"} {
		build := exec.CommandContext(t.Context(), "go", "build", "-o", bin+string(filepath.Separator), pkg)
		build.Dir = filepath.Join("..", "..")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build %s: %v\n%s", pkg, err, out)
		}
	}
	rc := fmt.Sprintf("provider_installation {\n  dev_overrides {\n    \"registrykit/registry\" = %q\n  }\n  direct {}\n}\n", bin)
	if err := os.WriteFile(filepath.Join(w.dir, "terraform.rc"), []byte(rc), 0o600); err != nil {
		t.Fatal(err)
	}
	w.vars = []string{
		"bucket=images-of-the-test", "s3_endpoint=" + bucket.url, "admin_password=" + adminPassword, "port=" + freePort(t),
		"directory=" + filepath.Join(w.dir, "data"), "server=" + filepath.Join(bin, "registryserver"), "first_image=oci:" + firstImage(t),
	}
	w.env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "REGISTRY_") || strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "TF_")
	})
	w.env = append(w.env, "TF_CLI_CONFIG_FILE="+filepath.Join(w.dir, "terraform.rc"), "CHECKPOINT_DISABLE=1", "AWS_ACCESS_KEY_ID=test",
		"AWS_SECRET_ACCESS_KEY=test-secret", "AWS_EC2_METADATA_DISABLED=true")
	t.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(w.dir, "data", "pid")); err == nil {
			_ = syscall.Kill(w.process(), syscall.SIGKILL)
		}
		if log, err := os.ReadFile(filepath.Join(w.dir, "data", "registry.log")); err == nil && t.Failed() {
			t.Logf("the server's log:\n%s", log[max(0, len(log)-5000):])
		}
	})
	return w
}

// terraform runs terraform, which has to succeed.
func (w *workspace) terraform(args ...string) string {
	w.Helper()
	out, err := w.try(args...)
	if err != nil {
		w.Fatalf("terraform %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// try runs terraform and returns all it says, without the dev override's
// warning, and without colour or line breaks of its own.
func (w *workspace) try(args ...string) (string, error) {
	command := append([]string{"-chdir=" + w.dir}, args...)
	if args[0] == "plan" || args[0] == "apply" || args[0] == "destroy" {
		command = append(command, "-no-color", "-input=false")
		for _, v := range w.vars {
			command = append(command, "-var", v)
		}
	}
	cmd := exec.CommandContext(w.Context(), terraformProgram(w.T), command...)
	cmd.Env = w.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (w *workspace) output(name string) string {
	w.Helper()
	return strings.TrimSpace(w.terraform("output", "-raw", name))
}

// client trusts the CA of the outputs and no other.
func (w *workspace) client() *http.Client {
	w.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(w.output("ca_certificate_pem"))) {
		w.Fatal("the output ca_certificate_pem is no certificate")
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
}

func terraformProgram(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("TF_ACC_TERRAFORM_PATH"); path != "" {
		return path
	}
	return tool(t, "terraform")
}

// tool finds or installs a program, or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	find := exec.CommandContext(t.Context(), filepath.Join("..", "..", ".ci", "tool"), name)
	var stderr bytes.Buffer
	find.Stderr = &stderr
	out, err := find.Output()
	if err != nil {
		t.Skipf("SKIPPED: %s is not here and cannot be installed: %v\n%s", name, err, stderr.String())
	}
	path, err := filepath.Abs(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// firstImage is an image of two layers in an OCI layout.
func firstImage(t *testing.T) string {
	t.Helper()
	image, err := random.Image(10_000, 2)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	place, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = place.AppendImage(image)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// s3Server is moto, an imitation of AWS that knows all settings of a bucket.
type s3Server struct{ url string }

func startS3(t *testing.T) s3Server {
	t.Helper()
	binary, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("NOT TESTED: moto_server is not on the PATH (pip install 'moto[server]')")
	}
	port := freePort(t)
	cmd := exec.Command(binary, "-H", "127.0.0.1", "-p", port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	s := s3Server{url: "http://127.0.0.1:" + port}
	s.ready(t)
	return s
}

// api is a client of the S3 server itself.
func (s s3Server) api() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(s.url), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test-secret", ""),
	})
}

func freePort(t *testing.T) string {
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
