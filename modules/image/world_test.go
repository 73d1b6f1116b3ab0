package image_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/registrykit/terraform-provider-registry/modules/awstest"
)

// What the instance's role signs with, and what the two secrets hold. None of it may show on the console.
const (
	accessKey     = "ASIAIOSFODNN7EXAMPLE"
	secretKey     = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
	httpSecret    = "the-http-secret-of-the-booted-image"
	adminPassword = "the-password-of-the-first-admin"
)

const (
	region = awstest.Region
	bucket = "images"
	// hostAddress is what an instance knows the machine by that the test runs on.
	hostAddress = "169.254.0.2"
)

// world is what an instance sees of AWS: the emulated APIs, a bucket in an S3 server, and its metadata.
type world struct {
	emulator             *awstest.Emulator
	s3Port, metadataPort string
	secretARNs           map[string]string
	bucket               *s3.Client
	instanceID           string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{s3Port: freePort(t), secretARNs: map[string]string{}, instanceID: "i-0123456789abcdef0"}
	w.emulator = awstest.Start(t, awstest.Options{WaitForHooks: true})
	start(t, tool(t, "versitygw"), "--access", accessKey, "--secret", secretKey, "--region", region, "--port", "127.0.0.1:"+w.s3Port, "--quiet", "posix", t.TempDir())
	keys := credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")
	w.bucket = s3.New(s3.Options{BaseEndpoint: aws.String("http://127.0.0.1:" + w.s3Port), Region: region, UsePathStyle: true, Credentials: keys})
	secrets := secretsmanager.NewFromConfig(w.emulator.Config())
	eventually(t, "the S3 server", func(ctx context.Context) error {
		_, err := w.bucket.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)})
		return err
	})
	login, _ := json.Marshal(map[string]string{"username": "root", "password": adminPassword})
	for name, value := range map[string]string{"http": httpSecret, "admin": string(login)} {
		eventually(t, "Secrets Manager", func(ctx context.Context) error {
			made, err := secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
			if err == nil {
				w.secretARNs[name] = *made.ARN
			}
			return err
		})
	}
	return w
}

// config is what the server is configured with: the credentials are those of the instance's role.
func (w *world) config() map[string]any {
	return map[string]any{
		"version": "0.1",
		"log":     map[string]any{"formatter": "json"},
		"http":    map[string]any{"addr": ":5000"},
		"storage": map[string]any{
			"s3": map[string]any{
				"region": region, "bucket": bucket, "forcepathstyle": true,
				"regionendpoint": "http://" + hostAddress + ":" + w.s3Port, "redirectendpoint": "http://127.0.0.1:" + w.s3Port,
			},
			"delete": map[string]any{"enabled": true},
		},
		"aws": map[string]any{"region": region, "bootreport": true, "secrets": map[string]any{"http": w.secretARNs["http"], "admin": w.secretARNs["admin"]}},
	}
}

// userData is rendered by modules/user_data with the real terraform.
func (w *world) userData(t *testing.T, config map[string]any, files map[string]string) []byte {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS("../user_data")); err != nil {
		t.Fatal(err)
	}
	files[emulatedPath] = w.emulated()
	variables, err := json.Marshal(map[string]any{"config": config, "files": files})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "test.auto.tfvars.json"), variables, 0o600); err != nil {
		t.Fatal(err)
	}
	terraform := func(args ...string) []byte {
		cmd := exec.CommandContext(t.Context(), tool(t, "terraform"), args...)
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_DATA_DIR="+filepath.Join(folder, ".terraform"))
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("terraform %s: %v\n%s", args[0], err, stderr.String())
		}
		return out
	}
	terraform("init", "-input=false", "-no-color")
	terraform("apply", "-input=false", "-auto-approve", "-no-color")
	var encoded []byte // base64, as JSON has it
	if err := json.Unmarshal(terraform("output", "-json", "base64"), &encoded); err != nil {
		t.Fatal(err)
	}
	return encoded
}

// emulated tells the server where AWS is emulated: a file for systemd, at emulatedPath. There is no other way to say so.
func (w *world) emulated() string {
	_, port, _ := strings.Cut(strings.TrimPrefix(w.emulator.URL, "http://"), ":")
	return "[Service]\nEnvironment=AWS_ENDPOINT_URL=http://" + hostAddress + ":" + port + "\n"
}

const emulatedPath = "/etc/systemd/system/registry.service.d/emulated.conf"

// metadata starts the metadata service of the instance.
func (w *world) metadata(t *testing.T, userData []byte) *awstest.Metadata {
	t.Helper()
	m := awstest.NewMetadata(awstest.Instance{
		Group: true,
		ID:    w.instanceID, ImageID: "ami-0123456789abcdef0", Type: "t3.small", Zone: region + "a", Address: guestAddress, MAC: guestMAC, UserData: userData,
		Role: awstest.Role{Name: "registry", AccessKeyID: accessKey, SecretAccessKey: secretKey}, // without a token, which the S3 server does not know
	})
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	_, w.metadataPort, _ = net.SplitHostPort(server.Listener.Addr().String())
	return m
}

// start runs a program until the test ends.
func start(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(name, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(name), said.String())
		}
	})
	return cmd
}

// tool is a program that this repository pins.
func tool(t *testing.T, name string) string {
	t.Helper()
	if path := os.Getenv("TF_ACC_TERRAFORM_PATH"); name == "terraform" && path != "" {
		return path
	}
	out, err := exec.CommandContext(t.Context(), "../../.ci/tool", name).Output()
	if err != nil {
		t.Skipf("NOT TESTED: %s cannot be installed", name)
	}
	path, err := filepath.Abs(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// eventually asks again and again, for a minute.
func eventually(t *testing.T, what string, ask func(context.Context) error) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		err := ask(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// get returns status and body of an answer, or an error.
func get(ctx context.Context, url string) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return answer.StatusCode, string(body), err
}
