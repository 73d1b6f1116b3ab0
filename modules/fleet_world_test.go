//go:build linux

package modules

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
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
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/registrykit/terraform-provider-registry/modules/awstest"
)

const (
	fleetDomain   = "registry.example.com"
	fleetReleases = "releases"
	fleetBucket   = "fleet-" + awstest.Account + "-" + awstest.Region
)

// fleet is a registry on an emulated AWS, with real machines.
type fleet struct {
	*testing.T
	world    *awstest.World
	cloud    awstest.Cloud
	apis     *awstest.APIs
	machines *awstest.Fleet
	balancer *awstest.Balancer
	role     awstest.Role
	allowed  []awstest.Statement // of the role, after each apply: what it may fetch changes with the release
	s3       *s3.Client
	work     *awstest.Workspace
	password string
	amiID    string
	outage   time.Duration
	shared   *http.Transport // of the load's clients
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{T: t, password: rand.Text(), outage: 5 * time.Minute}
	if said := os.Getenv("FLEET_OUTAGE"); said != "" {
		var err error
		if f.outage, err = time.ParseDuration(said); err != nil {
			t.Fatal(err)
		}
	}
	f.world = awstest.NewWorld(t)
	f.shared = f.transport()
	t.Cleanup(f.shared.CloseIdleConnections)
	machines := awstest.NewMachines(t, f.world)
	tf := awstest.NewTerraform(t)
	emulator := awstest.Start(t, awstest.Options{WaitForHooks: true})
	f.cloud = awstest.Cloud{Endpoint: emulator.URL, Region: awstest.Region}
	// versitygw verifies signatures, and refuses every session token (InvalidToken), so the role has none.
	f.role = awstest.Role{AccessKeyID: "ASIAFLEETFLEETFLEET1", SecretAccessKey: rand.Text()}
	f.apis = awstest.NewAPIs(t, f.world, f.cloud, f.startS3())
	f.machines = machines.Follow(t, f.cloud, f.role)
	f.balancer = awstest.NewBalancer(t, f.world, f.cloud, f.machines, fleetDomain)
	f.apis.HoldTermination(f.balancer.Has)
	f.amiID = emulator.AMI(t, "debian-12", "x86_64")
	// Terraform lives in the world, too: our provider finds the registry by its name.
	tf.Path = f.world.Script("terraform", tf.Path)
	f.work = tf.Workspace(t, "modules/testing/roots/fleet", emulator)
	f.work.Env = append(f.work.Env, f.world.Env()...)
	f.work.Env = append(f.work.Env, "AWS_ENDPOINT_URL="+awstest.Endpoint)
	t.Cleanup(f.tell)
	return f
}

// startS3 starts an S3 server that takes the machines' credentials and signatures for the region's own name, and returns its address.
func (f *fleet) startS3() string {
	f.Helper()
	find := exec.CommandContext(f.Context(), filepath.Join("..", ".ci", "tool"), "versitygw")
	out, err := find.Output()
	if err != nil {
		f.Skipf("NOT TESTED: versitygw is not here and cannot be installed: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	folder := filepath.Join(f.TempDir(), "s3")
	if err := os.Mkdir(folder, 0o755); err != nil {
		f.Fatal(err)
	}
	binary := strings.TrimSpace(string(out))
	if !filepath.IsAbs(binary) {
		binary = filepath.Join("..", binary)
	}
	cmd := exec.Command(binary, "--access", f.role.AccessKeyID, "--secret", f.role.SecretAccessKey, "--region", awstest.Region,
		"--port", address, "--virtual-domain", "s3."+awstest.Region+".amazonaws.com", "--quiet", "posix", folder)
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	f.s3 = s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + address), Region: awstest.Region, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(f.role.AccessKeyID, f.role.SecretAccessKey, ""),
	})
	for _, bucket := range []string{fleetReleases, fleetBucket} {
		awstest.Eventually(f, 30*time.Second, "versitygw answers", func(ctx context.Context) error {
			_, err := f.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &bucket})
			return err
		})
	}
	return "http://" + address
}

// release builds a version of the server and puts it into the bucket of releases.
func (f *fleet) release(version string) map[string]any {
	f.Helper()
	binary := filepath.Join(f.TempDir(), "registryserver")
	build := exec.CommandContext(f.Context(), "go", "build", "-ldflags", "-s -w -X main.version="+version, "-o", binary, "../registryserver")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		f.Fatalf("build the server: %v\n%s", err, out)
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		f.Fatal(err)
	}
	key := "registryserver-" + version + "-amd64"
	if _, err := f.s3.PutObject(f.Context(), &s3.PutObjectInput{Bucket: aws.String(fleetReleases), Key: &key, Body: bytes.NewReader(content)}); err != nil {
		f.Fatal(err)
	}
	sum := sha256.Sum256(content)
	return map[string]any{"key": key, "sha256": hex.EncodeToString(sum[:])}
}

// apply makes a release what the machines run.
func (f *fleet) apply(release map[string]any) {
	f.Helper()
	began := time.Now()
	f.variables(release)
	resources := f.work.Apply()
	f.Logf("applied %v: %d resources after %s", release["key"], resources, time.Since(began).Round(time.Second))
	arn := f.work.Output("role_arn")
	statements, err := f.cloud.RoleStatements(f.Context(), arn[strings.LastIndex(arn, "/")+1:])
	if err == nil && len(statements) == 0 {
		err = errors.New("it has none")
	}
	if err != nil {
		f.Fatalf("the role's policy: %v", err)
	}
	f.allowed = append(f.allowed, statements...)
}

func (f *fleet) variables(release map[string]any) {
	f.work.Variables(map[string]any{"ami_id": f.amiID, "release": release, "password": f.password})
}

// destroy ends everything, while the provider still needs the registry for its part of that.
func (f *fleet) destroy() {
	f.Helper()
	began := time.Now()
	f.work.Destroy()
	f.Logf("destroyed after %s", time.Since(began).Round(time.Second))
	awstest.Eventually(f, time.Minute, "the machines have ended", func(context.Context) error {
		if here := f.ids(); len(here) > 0 {
			return fmt.Errorf("%v", here)
		}
		return nil
	})
}

// ids of the machines that are there.
func (f *fleet) ids() []string {
	var ids []string
	for _, m := range f.machines.Here() {
		ids = append(ids, m.Instance.ID)
	}
	slices.Sort(ids)
	return ids
}

// expectMachines fails the test unless so many machines of a version are there, and healthy behind the load balancer.
func (f *fleet) expectMachines(t *testing.T, version string, n int) {
	t.Helper()
	awstest.Eventually(t, time.Minute, "the machines are healthy", func(context.Context) error {
		states := f.balancer.States()
		if len(states) != n || len(f.ids()) != n {
			return fmt.Errorf("targets %v, machines %v", states, f.ids())
		}
		for _, state := range states {
			if state != "healthy" {
				return fmt.Errorf("%v", states)
			}
		}
		return nil
	})
	for _, m := range f.machines.Here() {
		if out, err := m.Run("/usr/local/bin/registryserver", "version"); err != nil || out != "registryserver "+version {
			t.Errorf("%s runs %q, %v", m.Instance.ID, out, err)
		}
		t.Logf("%s: ready %s after its start", m.Instance.ID, m.ReadyAfter().Round(100*time.Millisecond))
	}
}

// expectDrained fails the test unless a machine that is gone ended in good order.
func (f *fleet) expectDrained(t *testing.T, m *awstest.Machine) {
	t.Helper()
	journal := m.Journal()
	for _, said := range []string{"the Auto Scaling group ends this instance", `"hook":"fleet-drained"`} {
		if !strings.Contains(journal, said) {
			t.Errorf("%s did not say %q:\n%s", m.Instance.ID, said, journal[max(0, len(journal)-4000):])
		}
	}
}

// client is a client of the registry, which finds it as all in the world do.
func (f *fleet) client() *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: f.transport()}
}

func (f *fleet) transport() *http.Transport {
	return &http.Transport{
		DialContext: f.world.Dial, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: f.world.CA.Pool, MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 16,
	}
}

// ask sends a request as the user ci, and returns the answer with its body.
func (f *fleet) ask(method, url string, body []byte, header ...string) (*http.Response, []byte, error) {
	if strings.HasPrefix(url, "/") {
		url = "https://" + fleetDomain + url
	}
	req, err := http.NewRequestWithContext(f.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.SetBasicAuth("ci", f.password)
	for n := 0; n < len(header); n += 2 {
		req.Header.Set(header[n], header[n+1])
	}
	client := f.client()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	return resp, content, err
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// tags asks for a list of tags, which S3 has to be asked for each time, and returns the status.
func (f *fleet) tags() (int, error) {
	resp, _, err := f.ask(http.MethodGet, "/v2/team/docker/tags/list", nil)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}

// tell logs what helps to understand a failure.
func (f *fleet) tell() {
	if !f.Failed() {
		return
	}
	f.Logf("the load balancer:\n%s", strings.Join(f.balancer.Events(), "\n"))
	for _, m := range f.machines.Machines() {
		console, journal := m.Console(), m.Journal()
		f.Logf("%s:\n%s\n%s", m.Instance.ID, console[max(0, len(console)-3000):], journal[max(0, len(journal)-3000):])
	}
}
