package provider

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

// startDistribution starts CNCF distribution 3 with one user, alice, and returns
// its address.
func startDistribution(t *testing.T) string {
	t.Helper()
	found, err := exec.Command("../.ci/tool", "distribution").Output()
	if err != nil {
		t.Skipf("distribution is not installed and cannot be: %v", err)
	}
	dir := t.TempDir()
	passwords := filepath.Join(dir, "htpasswd")
	if err := os.WriteFile(passwords, []byte("alice:"+someHash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: warn}\nstorage: {filesystem: {rootdirectory: %q}}\nauth: {htpasswd: {realm: test, path: %q}}\nhttp: {addr: %q, secret: a-secret}\n", dir, passwords, address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	server := exec.Command(strings.TrimSpace(string(found)), "serve", config)
	server.Stdout, server.Stderr = &log, &log
	server.Env = append(os.Environ(), "OTEL_TRACES_EXPORTER=none")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("distribution: %s", log.String())
		}
	})
	for range 300 {
		resp, err := http.Get("http://" + address + "/v2/")
		if err == nil {
			_ = resp.Body.Close()
			return address
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("distribution does not start")
	return ""
}

// An index that another registry keeps, whole and in part.
func TestImageFromDistribution(t *testing.T) {
	address := startDistribution(t)
	s := startServer(t)
	index := randomIndex(t, "linux/amd64", "linux/arm64")
	ref, err := name.ParseReference(address + "/team/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index, remote.WithAuth(&authn.Basic{Username: "alice", Password: "correct horse"})); err != nil {
		t.Fatal(err)
	}
	const login = `source_auth = { username = "alice", password_wo = "correct horse" }`
	unitTest(t, testProvider(),
		resource.TestStep{Config: s.config("%s", app(address+"/team/app:1")), ExpectError: says("it takes a login: set source_auth")},
		resource.TestStep{Config: s.config("%s", app(address+"/team/app:1", login)), ConfigPlanChecks: expectAction(imageApp, create), ConfigStateChecks: []statecheck.StateCheck{s.whole("mirror/app:v1", digestOf(t, index))}},
		resource.TestStep{Config: s.config("%s", app(address+"/team/app:1", login, `platforms = ["linux/arm64"]`)), ConfigPlanChecks: expectAction(imageApp, update), ConfigStateChecks: []statecheck.StateCheck{s.hasManifests(2)}},
	)
}
