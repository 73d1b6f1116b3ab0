package main_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// awsWorld is what an instance sees of AWS: its metadata, secrets, which moto keeps, and the Auto Scaling group's one call, which moto lacks.
type awsWorld struct {
	*testing.T
	secrets  *secretsmanager.Client
	env      []string
	endpoint string // of moto

	mu        sync.Mutex
	metadata  map[string]string
	completed []url.Values
	early     int // how many more times the hook drained is not waited for yet
	denied    int // how often the launch hook may not be completed yet
}

const instanceID = "i-0123456789abcdef0"

func newAWSWorld(t *testing.T) *awsWorld {
	t.Helper()
	binary, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("NOT TESTED: moto_server is not on the PATH (pip install 'moto[server]')")
	}
	_, port, err := net.SplitHostPort(freeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	moto := exec.Command(binary, "-H", "127.0.0.1", "-p", port)
	if err := moto.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = moto.Process.Kill(); _ = moto.Wait() })
	w := &awsWorld{T: t, metadata: map[string]string{"instance-id": instanceID}, endpoint: "http://127.0.0.1:" + port}
	metadata, groups := httptest.NewServer(http.HandlerFunc(w.serveMetadata)), httptest.NewServer(http.HandlerFunc(w.serveGroups))
	t.Cleanup(metadata.Close)
	t.Cleanup(groups.Close)
	w.env = []string{
		"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION=eu-west-1", "AWS_ENDPOINT_URL=" + w.endpoint,
		"AWS_ENDPOINT_URL_AUTO_SCALING=" + groups.URL, "AWS_EC2_METADATA_SERVICE_ENDPOINT=" + metadata.URL,
	}
	w.secrets = secretsmanager.New(secretsmanager.Options{
		BaseEndpoint: &w.endpoint, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(100 * time.Millisecond) {
		_, err := w.secrets.ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{})
		if err == nil {
			return w
		}
		if time.Now().After(deadline) {
			t.Fatalf("moto_server does not answer: %v", err)
		}
	}
}

func (w *awsWorld) parameters() *ssm.Client {
	return ssm.New(ssm.Options{BaseEndpoint: &w.endpoint, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")})
}

// serveMetadata is the metadata service of an instance, version 2 only: without a token there is nothing.
func (w *awsWorld) serveMetadata(rw http.ResponseWriter, r *http.Request) {
	const token = "a-token-of-the-metadata-service"
	if r.Method == http.MethodPut && r.URL.Path == "/latest/api/token" {
		rw.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		_, _ = io.WriteString(rw, token)
		return
	}
	if r.Header.Get("X-Aws-Ec2-Metadata-Token") != token {
		http.Error(rw, "Unauthorized", http.StatusUnauthorized)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for path, value := range w.metadata {
		if r.URL.Path == "/latest/meta-data/"+path {
			_, _ = io.WriteString(rw, value)
			return
		}
	}
	http.NotFound(rw, r)
}

// serveGroups answers CompleteLifecycleAction as the Auto Scaling API reference describes it.
func (w *awsWorld) serveGroups(rw http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.Form.Get("Action") != "CompleteLifecycleAction" {
		http.Error(rw, fmt.Sprint(r.Form, err), http.StatusBadRequest)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.Form.Get("LifecycleHookName") == "drained" && w.early > 0 {
		w.early--
		rw.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(rw, `<ErrorResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><Error><Type>Sender</Type><Code>ValidationError</Code><Message>No active Lifecycle Action found with instance ID `+instanceID+`</Message></Error></ErrorResponse>`)
		return
	}
	if r.Form.Get("LifecycleHookName") == "ready" && w.denied > 0 {
		w.denied--
		rw.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(rw, `<ErrorResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized to perform: autoscaling:CompleteLifecycleAction</Message></Error></ErrorResponse>`)
		return
	}
	w.completed = append(w.completed, r.Form)
	_, _ = io.WriteString(rw, `<CompleteLifecycleActionResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><CompleteLifecycleActionResult/><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></CompleteLifecycleActionResponse>`)
}

// set makes metadata say something.
func (w *awsWorld) set(path, value string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.metadata[path] = value
}

// hooks are those completed so far, by name.
func (w *awsWorld) hooks() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var names []string
	for _, form := range w.completed {
		if form.Get("InstanceId") != instanceID || form.Get("AutoScalingGroupName") != "images" || form.Get("LifecycleActionResult") != "CONTINUE" {
			w.Errorf("completed %v", form)
		}
		names = append(names, form.Get("LifecycleHookName"))
	}
	return names
}

// secret makes a secret, and returns its ARN.
func (w *awsWorld) secret(name, value string) string {
	w.Helper()
	out, err := w.secrets.CreateSecret(w.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	if err != nil {
		w.Fatal(err)
	}
	return *out.ARN
}
