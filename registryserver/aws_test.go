package main_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// TestAWSSecrets: servers read admin and HTTP secret through their role, and while the secret is exchanged every push goes on.
func TestAWSSecrets(t *testing.T) {
	t.Parallel()
	w := newAWSWorld(t)
	admin := w.secret("admin", `{"username": "root", "password": "the-admins-password"}`)
	secret := w.secret("http", "the-first-http-secret-of-the-servers")
	config := filesystemConfig(t.TempDir()) + fmt.Sprintf("aws: {secrets: {admin: %q, http: %q}}\n", admin, secret)
	first := startServer(t, config, w.env...)
	if resp, _ := do(t, http.MethodGet, first.URL+"/v2/", nil); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a password: %s", resp.Status)
	}
	first.login("root", "the-admins-password")
	if resp, body := do(t, http.MethodGet, first.URL+"/api/v1/server", nil); resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "certificates") {
		t.Errorf("the admin of the secret: %s\n%s", resp.Status, body)
	}

	next := "the-second-http-secret-of-the-servers"
	if _, err := w.secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &secret, SecretString: &next}); err != nil {
		t.Fatal(err)
	}
	second := startServer(t, config, w.env...)
	second.login("root", "the-admins-password")
	for from, to := range map[*process]*process{first: second, second: first} {
		resp, body := do(t, http.MethodPost, from.URL+"/v2/app/blobs/uploads/", nil)
		location, err := resp.Location()
		if err != nil {
			t.Fatalf("POST: %s\n%s", resp.Status, body)
		}
		content := []byte("begun at " + from.Host)
		query := location.Query()
		query.Set("digest", sha256Digest(content))
		location.RawQuery, location.Host = query.Encode(), to.Host
		if resp, body := do(t, http.MethodPut, location.String(), content); resp.StatusCode != http.StatusCreated {
			t.Errorf("begun at one server and ended at the other: %s\n%s", resp.Status, body)
		}
	}
	for _, p := range []*process{first, second} {
		for _, value := range []string{"the-admins-password", "the-first-http-secret", next} {
			if strings.Contains(p.output.String(), value) {
				t.Errorf("the log holds the secret %s", value)
			}
		}
	}
}

// TestAWSLaunchIsRepeated: a machine whose group does not hear at first that it is ready, as where the policy of a new role is not in force
// yet, says it again.
func TestAWSLaunchIsRepeated(t *testing.T) {
	t.Parallel()
	w := newAWSWorld(t)
	w.denied = 2
	p := startServer(t, filesystemConfig(t.TempDir())+"aws: {autoscaling: {group: images, launchhook: ready}}\n", w.env...)
	soon(t, "the launch hook is completed", func() bool { return slices.Equal(w.hooks(), []string{"ready"}) })
	if said := p.output.String(); strings.Count(said, "allow it autoscaling:CompleteLifecycleAction") != 2 {
		t.Errorf("the log does not say what is missing, each time:\n%s", said)
	}
}

// TestAWSLifecycle: the group hears when the server is ready, and when it has drained after AWS said that the machine goes.
func TestAWSLifecycle(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*awsWorld, *process){
		"group": func(w *awsWorld, _ *process) { w.set("autoscaling/target-lifecycle-state", "Terminated") },
		"group whose load balancer lets go later": func(w *awsWorld, _ *process) {
			w.mu.Lock()
			w.early = 1
			w.mu.Unlock()
			w.set("autoscaling/target-lifecycle-state", "Terminated")
		},
		"spot": func(w *awsWorld, _ *process) { w.set("spot/instance-action", `{"action": "terminate"}`) },
		"SIGINT": func(w *awsWorld, p *process) {
			if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
				w.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newAWSWorld(t)
			w.set("autoscaling/target-lifecycle-state", "InService")
			p := startServer(t, filesystemConfig(t.TempDir())+`aws: {autoscaling: {group: images, launchhook: ready, terminatehook: drained}}
http: {drainwait: 1s}
`, w.env...)
			soon(t, "the launch hook is completed", func() bool { return slices.Equal(w.hooks(), []string{"ready"}) })
			leave(w, p)
			soon(t, "the server is not ready any more", func() bool {
				resp, err := http.Get(p.URL + "/readyz")
				if err != nil {
					return true
				}
				defer resp.Body.Close()
				return resp.StatusCode == http.StatusServiceUnavailable
			})
			select {
			case <-p.exited:
			case <-time.After(stopTimeout):
				t.Fatal("the server goes on")
			}
			if hooks := w.hooks(); !slices.Equal(hooks, []string{"ready", "drained"}) {
				t.Errorf("completed hooks: %v", hooks)
			}
		})
	}
}

// TestAWSFailedStart: a machine that is gone leaves the reason in the storage, and the reason says what to do.
func TestAWSFailedStart(t *testing.T) {
	t.Parallel()
	w := newAWSWorld(t)
	root := t.TempDir()
	file := writeConfig(t, filesystemConfig(root)+"aws: {bootreport: true, secrets: {admin: arn:aws:secretsmanager:eu-west-1:123456789012:secret:gone}}\n")
	p := launch(t, buildServer(t), file, freeAddress(t), w.env...)
	select {
	case <-p.exited:
	case <-time.After(startTimeout):
		t.Fatal("the server goes on without its admin")
	}
	const want = "aws.secrets.admin: there is no secret arn:aws:secretsmanager:eu-west-1:123456789012:secret:gone in this region"
	report, err := os.ReadFile(filepath.Join(root, "registrykit", "v1", "boot", instanceID))
	if err != nil || !strings.Contains(string(report), want) || !strings.Contains(string(report), instanceID+" did not start") {
		t.Errorf("the report is %q, %v", report, err)
	}
	if out := p.output.String(); p.err == nil || !strings.Contains(out, want) {
		t.Errorf("the server ended with %v and said\n%s", p.err, out)
	}

	w.secret("admin", `{"username": "root", "password": "the-admins-password"}`)
	startServer(t, filesystemConfig(root)+"aws: {bootreport: true, autoscaling: {group: images, launchhook: ready}, secrets: {admin: admin}}\n", w.env...)
	soon(t, "the report is taken back", func() bool {
		_, err := os.Stat(filepath.Join(root, "registrykit", "v1", "boot", instanceID))
		return errors.Is(err, os.ErrNotExist)
	})
	soon(t, "it is on record that launches succeed", func() bool {
		record, err := os.ReadFile(filepath.Join(root, "registrykit", "v1", "boot", "launches"))
		return err == nil && strings.Contains(string(record), instanceID+" started")
	})
}

// TestAWSFailedStorage: where the storage is what failed, the reason is in a parameter.
func TestAWSFailedStorage(t *testing.T) {
	t.Parallel()
	w := newAWSWorld(t)
	config := fmt.Sprintf(`version: "0.1"
storage: {s3: {bucket: gone, region: eu-west-1, regionendpoint: %q}}
aws: {bootreport: true, bootparameter: /registry/images/boot}
`, w.endpoint)
	p := launch(t, buildServer(t), writeConfig(t, config), freeAddress(t), w.env...)
	select {
	case <-p.exited:
	case <-time.After(startTimeout):
		t.Fatal("the server goes on without its bucket")
	}
	out, err := w.parameters().GetParameter(t.Context(), &ssm.GetParameterInput{Name: aws.String("/registry/images/boot")})
	if err != nil {
		t.Fatalf("%v\n%s", err, p.output.String())
	}
	if report := *out.Parameter.Value; !strings.Contains(report, instanceID+" did not start: storage.s3: ") || !strings.Contains(report, "gone") {
		t.Errorf("the report is %q", report)
	}
	if strings.Contains(p.output.String(), "could not be left") {
		t.Errorf("the server said\n%s", p.output.String())
	}
}

// TestAWSSpotDrain: a spot notice bounds the drain to what is left of its two minutes, also one that comes when the machine is already leaving.
func TestAWSSpotDrain(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{"notice": "InService", "notice while leaving": "Terminated"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newAWSWorld(t)
			p := startServer(t, filesystemConfig(t.TempDir())+`aws: {autoscaling: {group: images, launchhook: ready, terminatehook: drained}}
http: {drainwait: 5m, draintimeout: 1h}
`, w.env...)
			soon(t, "the launch hook is completed", func() bool { return slices.Equal(w.hooks(), []string{"ready"}) })
			w.set("autoscaling/target-lifecycle-state", before)
			if before == "Terminated" {
				soon(t, "the machine leaves", func() bool { return strings.Contains(p.output.String(), "the Auto Scaling group ends this instance") })
			}
			w.set("spot/instance-action", fmt.Sprintf(`{"action": "terminate", "time": %q}`, time.Now().Add(30*time.Second).UTC().Format(time.RFC3339)))
			select {
			case <-p.exited:
			case <-time.After(time.Minute):
				t.Fatalf("the server drains for longer than the machine is there:\n%s", p.output.String())
			}
			if hooks := w.hooks(); p.err != nil || !slices.Equal(hooks, []string{"ready", "drained"}) {
				t.Errorf("it ended with %v, completed hooks: %v", p.err, hooks)
			}
		})
	}
}

// TestAWSHTTPSTarget: a server behind a load balancer that speaks HTTPS to it shows a certificate of its own making, under the secret of Secrets Manager.
func TestAWSHTTPSTarget(t *testing.T) {
	t.Parallel()
	w := newAWSWorld(t)
	w.secret("http", "the-http-secret-of-the-servers")
	p := launch(t, buildServer(t), writeConfig(t, filesystemConfig(t.TempDir())+"http: {tls: {managed: true}}\naws: {secrets: {http: http}}\n"), freeAddress(t), w.env...)
	balancer := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // load balancers verify no certificate of targets
	soon(t, "the health check succeeds", func() bool {
		resp, err := balancer.Get("https://" + p.Host + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK && resp.TLS.Version == tls.VersionTLS13
	})
}
