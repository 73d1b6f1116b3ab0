package main_test

import (
	"crypto/x509"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// clientSetup runs `registryserver client-setup` in a folder with the files that newCertificates makes.
func clientSetup(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), buildServer(t), append([]string{"client-setup"}, args...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// section returns what client-setup prints under a heading.
func section(t *testing.T, printed, heading string) string {
	t.Helper()
	_, found, ok := strings.Cut(printed, "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("client-setup prints no section %q:\n%s", heading, printed)
	}
	found, _, _ = strings.Cut(found, "\n## ")
	return found
}

// TestClientSetup checks what is printed for clients that the end-to-end tests cannot run, and that every script is one.
func TestClientSetup(t *testing.T) {
	dir := t.TempDir()
	newCertificates(t, dir, "my ca's.pem")
	printed, err := clientSetup(t, dir, "registry.example.com:5000", "--ca", "my ca's.pem")
	if err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	if strings.Contains(printed, "{{") {
		t.Errorf("a place is left empty:\n%s", printed)
	}
	for heading, lines := range map[string][]string{
		"Docker Engine on Linux": {
			`sudo mkdir -p "/etc/docker/certs.d/registry.example.com:5000"`,
			`sudo cp 'my ca'\''s.pem' "/etc/docker/certs.d/registry.example.com:5000/ca.crt"`,
			"docker login registry.example.com:5000",
		},
		"Docker Desktop on macOS":   {`cp 'my ca'\''s.pem' ~/".docker/certs.d/registry.example.com:5000/ca.crt"`},
		"Docker Desktop on Windows": {`Import-Certificate -FilePath 'my ca''s.pem' -CertStoreLocation Cert:\LocalMachine\Root`},
		"podman, buildah and skopeo": {
			`sudo cp 'my ca'\''s.pem' "/etc/containers/certs.d/registry.example.com:5000/ca.crt"`,
			"podman login registry.example.com:5000",
		},
		"containerd": {
			`sudo tee "/etc/containerd/certs.d/registry.example.com:5000/hosts.toml" <<'END'`,
			`server = "https://registry.example.com:5000"`,
			`ca = "/etc/containerd/certs.d/registry.example.com:5000/ca.crt"`,
		},
		"Kubernetes": {"kubectl create secret docker-registry registry-login --docker-server=registry.example.com:5000 " +
			"--docker-username=USER --docker-password=PASSWORD"},
		debianStore:                {`sudo cp 'my ca'\''s.pem' "/usr/local/share/ca-certificates/registry.example.com.crt"`, "sudo update-ca-certificates"},
		"One program only: regctl": {`regctl registry set registry.example.com:5000 --skip-check --cacert "$(cat 'my ca'\''s.pem')"`},
		"Logging in":               {"helm registry login registry.example.com:5000"},
		"Kubernetes nodes that nobody logs in to": {`kubectl --namespace kube-system create configmap registry-ca --from-file=ca.crt='my ca'\''s.pem'`},
	} {
		script := section(t, printed, heading)
		for _, line := range lines {
			if !strings.Contains("\n"+script+"\n", "\n"+line+"\n") {
				t.Errorf("%s: lacks the line\n%s\nin\n%s", heading, line, script)
			}
		}
		if strings.Contains(heading, "Windows") {
			continue
		}
		shell := exec.CommandContext(t.Context(), "sh", "-n")
		shell.Stdin = strings.NewReader(script + "\n")
		if out, err := shell.CombinedOutput(); err != nil {
			t.Errorf("%s: no script: %v\n%s\n%s", heading, err, out, script)
		}
	}
	if about := "# my ca's.pem: CN=Example CA, valid until "; !strings.Contains(printed, about) {
		t.Errorf("the output lacks %q", about)
	}
}

// TestClientSetupDaemonSet runs what the DaemonSet runs: it must write what the section of containerd writes.
func TestClientSetupDaemonSet(t *testing.T) {
	dir := t.TempDir()
	printed, err := clientSetup(t, dir, "registry.example.com")
	if err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	_, manifest, _ := strings.Cut(section(t, printed, "Kubernetes nodes that nobody logs in to"), "<<'END'\n")
	manifest, _, _ = strings.Cut(manifest, "\nEND")
	var daemonSet struct {
		Spec struct {
			Template struct {
				Spec struct {
					Containers []struct {
						Command []string                       `yaml:"command"`
						Env     []struct{ Name, Value string } `yaml:"env"`
					} `yaml:"containers"`
				} `yaml:"spec"`
			} `yaml:"template"`
		} `yaml:"spec"`
	}
	if err := yaml.Unmarshal([]byte(manifest), &daemonSet); err != nil {
		t.Fatalf("%v\n%s", err, manifest)
	}
	container := daemonSet.Spec.Template.Spec.Containers[0]
	ca, certs := filepath.Join(dir, "ca"), filepath.Join(dir, "certs.d")
	if err := os.Mkdir(ca, 0o755); err != nil {
		t.Fatal(err)
	}
	writePEM(t, filepath.Join(ca, "ca.crt"), "CERTIFICATE", nil)
	script := strings.NewReplacer(`"/certs.d/`, `"`+certs+"/", " /ca/", " "+ca+"/", "sleep 600", "exit").Replace(container.Command[2])
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), container.Env[0].Name + "=" + container.Env[0].Value}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	written, err := os.ReadFile(filepath.Join(certs, "registry.example.com", "hosts.toml"))
	if err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(section(t, printed, "containerd"), "hosts.toml\" <<'END'\n")
	want, _, _ = strings.Cut(want, "\nEND")
	if got, want := strings.Fields(string(written)), strings.Fields(want); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the DaemonSet writes\n%s\nwant\n%s", written, want)
	}
	if _, err := os.Stat(filepath.Join(certs, "registry.example.com", "ca.crt")); err != nil {
		t.Error(err)
	}
}

// TestClientSetupRefuses checks that what no client could use is refused, with a word on what to do.
func TestClientSetupRefuses(t *testing.T) {
	dir := t.TempDir()
	newCertificates(t, dir, "ca.pem")
	writePEM(t, filepath.Join(dir, "nothing.pem"), "EC PARAMETERS", nil)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "registryserver client-setup HOST"},
		{[]string{"a.example", "b.example"}, "registryserver client-setup HOST"},
		{[]string{"registry.example.com", "--cert", "ca.pem"}, "registryserver client-setup HOST"},
		{[]string{"https://registry.example.com"}, "leave out the scheme"},
		{[]string{"registry.example.com/team"}, "leave out what follows the slash"},
		{[]string{"registry"}, "write registry:443"},
		{[]string{"registry.example.com:http"}, "a port is a number from 1 to 65535"},
		{[]string{"registry.example.com:65536"}, "a port is a number from 1 to 65535"},
		{[]string{"registry.example.com:"}, "a port is a number from 1 to 65535"},
		{[]string{"2001:db8::1"}, "[2001:db8::1]:5000"},
		{[]string{"[2001:db8::zz]:5000"}, "no IPv6 address"},
		{[]string{"registry_1.example.com"}, "no host name"},
		{[]string{"; rm.example.com"}, "no host name"},
		{[]string{""}, "no host name"},
		{[]string{"registry.example.com", "--ca", "missing.pem"}, "no such file"},
		{[]string{"registry.example.com", "--ca", "registry.key"}, "private key"},
		{[]string{"registry.example.com", "--ca", "registry.pem"}, "CN=registry.test, signed by CN=Example CA: clients need the certificate of the CA"},
		{[]string{"registry.example.com", "--ca", "nothing.pem"}, "-----BEGIN CERTIFICATE-----"},
	} {
		if out, err := clientSetup(t, dir, c.args...); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%q: %v, and the output lacks %q:\n%s", c.args, err, c.want, out)
		}
	}
	selfSigned := func(name string, notAfter time.Time) {
		key, certificate := newKey(t), &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"registry.example.com"}, NotAfter: notAfter}
		writePEM(t, filepath.Join(dir, name), "CERTIFICATE", sign(t, certificate, certificate, key, key))
	}
	selfSigned("good.pem", time.Now().AddDate(1, 0, 0))
	if out, err := clientSetup(t, dir, "--ca", "good.pem", "registry.example.com"); err != nil {
		t.Errorf("a certificate that signed itself: %v\n%s", err, out)
	}
	selfSigned("old.pem", time.Now().AddDate(0, 0, -1))
	if out, err := clientSetup(t, dir, "--ca=old.pem", "registry.example.com"); err == nil || !strings.Contains(out, "expired on") {
		t.Errorf("an expired certificate: %v\n%s", err, out)
	}
	for _, host := range []string{"registry.example.com", "registry:5000", "localhost", "192.0.2.1", "192.0.2.1:5000", "[2001:db8::1]:5000", "[2001:db8::1]"} {
		if out, err := clientSetup(t, dir, host, "--ca", "ca.pem"); err != nil || !strings.Contains(out, "docker login "+host+"\n") {
			t.Errorf("%s: %v\n%s", host, err, out)
		}
	}
}
