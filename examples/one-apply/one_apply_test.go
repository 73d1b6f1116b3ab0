package oneapply

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestOneApply walks the example as a user would: from nothing to an image in
// one apply, no changes, a change that starts the server anew, and the end, also
// when the server has died before.
func TestOneApply(t *testing.T) {
	t.Parallel()
	bucket := startS3(t)
	w := newWorkspace(t, bucket)

	w.terraform("apply", "-auto-approve")
	endpoint := w.output("endpoint")
	tags := w.get(endpoint + "/v2/team/hello/tags/list")
	if want := `{"name":"team/hello","tags":["production","v1"]}`; strings.TrimSpace(tags) != want {
		t.Errorf("the registry has %s, want %s", tags, want)
	}
	_, digest, _ := strings.Cut(w.output("image"), "@")
	if config := w.get(endpoint + "/v2/team/hello/manifests/" + digest); !strings.Contains(config, "layers") {
		t.Errorf("the first image is %s", config)
	}
	w.noChanges()
	w.holdsNoSecret()

	// The endpoint is unknown again until the server has been started anew.
	w.vars = append(w.vars, "log_level=debug")
	plan := w.terraform("plan")
	for _, want := range []string{"terraform_data.server must be replaced", "1 to add, 0 to change, 1 to destroy", "Not refreshed: provider configuration not known yet"} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan does not say %q:\n%s", want, plan)
		}
	}
	before := w.process()
	w.terraform("apply", "-auto-approve")
	if w.process() == before {
		t.Error("the server was not started anew")
	}
	w.noChanges()
	if again := w.get(endpoint + "/v2/team/hello/tags/list"); again != tags {
		t.Errorf("after the restart the registry has %s, want %s", again, tags)
	}

	// Who destroys when the server is dead is told so, and the way out works.
	if err := syscall.Kill(w.process(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	said, err := w.try("destroy", "-auto-approve")
	if err == nil || !strings.Contains(said, endpoint) || !strings.Contains(said, "terraform state rm") {
		t.Errorf("the destroy without a server ends with %v:\n%s", err, said)
	}
	w.terraform("apply", "-auto-approve", "-replace=terraform_data.server")
	process := w.process()
	w.terraform("destroy", "-auto-approve")
	if state := w.terraform("state", "list"); state != "" {
		t.Errorf("left in the state:\n%s", state)
	}
	if syscall.Kill(process, 0) == nil {
		t.Error("the server still runs")
	}
	if buckets, err := bucket.api().ListBuckets(t.Context(), &s3.ListBucketsInput{}); err != nil || len(buckets.Buckets) > 0 {
		t.Errorf("left in S3: %v, %v", buckets.Buckets, err)
	}
}

// TestForget is the other way out: a server that is gone for good is forgotten.
func TestForget(t *testing.T) {
	if testing.Short() {
		t.Skip("applies and destroys once more: make full")
	}
	t.Parallel()
	w := newWorkspace(t, startS3(t))
	w.terraform("apply", "-auto-approve")
	if err := syscall.Kill(w.process(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.terraform("state", "rm", "registry_tag.production", "registry_image.hello", "registry_user.ci", "registry_policy.team_push", "registry_repository.hello")
	w.terraform("destroy", "-auto-approve")
	if state := w.terraform("state", "list"); state != "" {
		t.Errorf("left in the state:\n%s", state)
	}
}

// noChanges ensures that there is nothing to do.
func (w *workspace) noChanges() {
	w.Helper()
	if plan, err := w.try("plan", "-detailed-exitcode"); err != nil {
		w.Errorf("a second plan is not empty: %v\n%s", err, plan)
	}
}

// holdsNoSecret ensures that the state has the admin's password nowhere, and
// private keys only where the example asked for them.
func (w *workspace) holdsNoSecret() {
	w.Helper()
	content, err := os.ReadFile(filepath.Join(w.dir, "terraform.tfstate"))
	if err != nil {
		w.Fatal(err)
	}
	var state struct{ Resources []json.RawMessage }
	if err := json.Unmarshal(content, &state); err != nil {
		w.Fatal(err)
	}
	for _, resource := range state.Resources {
		text := string(resource)
		if strings.Contains(text, adminPassword) {
			w.Errorf("the admin's password is in the state: %s", text)
		}
		if strings.Contains(text, "PRIVATE KEY") && !strings.Contains(text, `"type": "registry_certificate"`) {
			w.Errorf("a private key is in the state: %.200s", text)
		}
	}
}

// process is the number of the server's process.
func (w *workspace) process() int {
	w.Helper()
	content, err := os.ReadFile(filepath.Join(w.dir, "data", "pid"))
	if err != nil {
		w.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		w.Fatal(err)
	}
	return pid
}

// get reads from the registry as its admin, trusting the CA of the outputs and
// no other.
func (w *workspace) get(url string) string {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodGet, url, nil)
	if err != nil {
		w.Fatal(err)
	}
	req.SetBasicAuth("admin", adminPassword)
	resp, err := w.client().Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.Fatalf("GET %s: %s, %v\n%s", url, resp.Status, err, body)
	}
	return string(body)
}

func (s s3Server) ready(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, err := s.api().ListBuckets(t.Context(), &s3.ListBucketsInput{MaxBuckets: aws.Int32(1)})
		if err == nil {
			return
		}
		if time.Now().After(deadline) || errors.Is(err, t.Context().Err()) {
			t.Fatalf("moto_server does not answer: %v", err)
		}
	}
}
