package main_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// registryHost is where the registry of a world listens, with TLS; plainHost where one without it does.
	// Docker takes every name that leads to 127.0.0.0/8 for an insecure registry, so this one leads elsewhere.
	registryHost = "registry.test:5000"
	plainHost    = "registry.test:5001"

	adminUser, adminPassword = "admin", "correct horse battery staple"

	commandTimeout = 5 * time.Minute
)

// worldScript makes a world out of new namespaces for mounts and the network: an address that is in no other network, an /etc that may be
// changed, empty folders where the machine's own daemons keep theirs. It stays until the test ends or dies, and then ends what still runs.
const worldScript = `
set -eu
ip link set lo up
ip address add 192.0.2.1/32 dev lo
mount -t tmpfs tmpfs "$1/etc"
cp -a /etc/. "$1/etc/" || :
mount --bind "$1/etc" /etc
rm -rf /etc/docker /etc/containerd /etc/containers/certs.d
mkdir -p /etc/docker /etc/containers
for folder in /run /dev/shm /var/lib/cni /var/lib/containers /var/lib/docker /var/lib/containerd /usr/local/share/ca-certificates; do
	if test -d "$folder"; then mount -t tmpfs tmpfs "$folder"; fi
done
printf '127.0.0.1 localhost\n192.0.2.1 registry.test\n' >/etc/hosts
printf '[storage]\ndriver = "vfs"\nrunroot = "/run/containers"\ngraphroot = "%s/containers"\n' "$1" >/etc/containers/storage.conf
echo ready
cat >/dev/null
ours=$(readlink /proc/self/ns/net)
for process in /proc/[0-9]*; do
	if test "${process#/proc/}" != $$ && test "$(readlink "$process/ns/net")" = "$ours"; then kill -KILL "${process#/proc/}" || :; fi
done
`

// world is a machine of its own for one client: nothing that the client does in it is seen outside, and nothing of the machine's own
// set-up helps it. A registry runs in it over TLS, with an admin and a certificate of a CA that nobody knows.
type world struct {
	home    string   // where commands run, and what they take for the user's home
	ca      string   // the CA's certificate: a name in home
	bin     string   // where the programs are that the client needs
	prefix  []string // of each command
	env     []string // of each command
	secured []string // the environment of a registry with TLS and an admin
	fixtures
}

// newWorld makes a world, and skips the test where that is impossible.
func newWorld(t *testing.T, programs []string) *world {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs the namespaces of Linux")
	}
	dir := t.TempDir()
	w := &world{home: filepath.Join(dir, "home"), ca: "ca.pem", bin: filepath.Join(dir, "bin")}
	for _, folder := range []string{"bin", "etc", "home", "tmp", "registry"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range programs {
		w.need(t, name)
	}
	w.env = []string{
		"PATH=" + w.bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
		"HOME=" + w.home, "TMPDIR=" + filepath.Join(dir, "tmp"),
	}
	unshare, enter := []string{"--mount", "--net"}, []string{"--mount", "--net"}
	if os.Geteuid() != 0 {
		unshare, enter = append(unshare, "--map-root-user"), append(enter, "--user", "--preserve-credentials")
	}
	holder := exec.Command("unshare", append(unshare, "--", "sh", "-c", worldScript, "sh", dir)...)
	holder.Env = w.env
	hold(t, holder)
	w.prefix = append([]string{"nsenter", "--target", strconv.Itoa(holder.Process.Pid)}, enter...)
	w.prefix = append(w.prefix, "--", "sh", "-c", `cd "$0" && exec "$@"`, w.home)

	w.fixtures = newFixtures(t, filepath.Join(dir, "fixtures"))
	certificate, key := newCertificates(t, w.home, w.ca)
	w.secured = []string{
		"REGISTRY_HTTP_TLS_CERTIFICATE=" + certificate, "REGISTRY_HTTP_TLS_KEY=" + key,
		"REGISTRY_ADMIN_USERNAME=" + adminUser, "REGISTRY_ADMIN_PASSWORD=" + adminPassword,
	}
	w.serve(t, registryHost, filesystemConfig(filepath.Join(dir, "registry")), w.secured...)
	return w
}

// need makes a program available, or skips the test: one that .ci/tool installs, or one that the machine must have.
func (w *world) need(t *testing.T, name string) {
	t.Helper()
	var path string
	switch name {
	case "crane", "regctl", "oras", "helm", "cosign":
		path = tool(t, name)
	default:
		var err error
		if path, err = exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed; .ci/clients installs it", name)
		}
	}
	if err := os.Symlink(path, filepath.Join(w.bin, name)); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
}

// hold starts the process whose namespaces are the world.
func hold(t *testing.T, holder *exec.Cmd) {
	t.Helper()
	var stderr lockedBuffer
	holder.Stderr = &stderr
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Skipf("cannot make namespaces: %v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		if err := holder.Wait(); err != nil {
			t.Logf("the world did not end cleanly: %v\n%s", err, stderr.tail())
		}
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		t.Skipf("cannot make namespaces with an address and an /etc of their own: %v\n%s", err, stderr.tail())
	}
}

// serve starts our server in the world, and stops it when the test ends.
func (w *world) serve(t *testing.T, host, config string, env ...string) *process {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(host, ":")
	p := w.start(t, append(env, "REGISTRY_HTTP_ADDR=:"+port, "OTEL_TRACES_EXPORTER=none"), buildServer(t), "serve", file)
	p.Host = host
	t.Cleanup(func() { p.stopCleanly(t) })
	p.waitFor(t, "registry is listening")
	return p
}

// start starts a program that runs on. It ends with the test.
func (w *world) start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	args = append(w.prefix[:len(w.prefix):len(w.prefix)], args...)
	p := &process{cmd: exec.Command(args[0], args[1:]...), exited: make(chan struct{})}
	p.cmd.Env = append(w.env[:len(w.env):len(w.env)], env...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() { p.stop(t) })
	return p
}

// waitFor waits until the process has printed a text.
func (p *process) waitFor(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(startTimeout); !strings.Contains(p.output.String(), text); {
		select {
		case <-p.exited:
			t.Fatalf("%s ended: %v\n%s", p.cmd.Args, p.err, p.output.tail())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not print %q within %s\n%s", p.cmd.Args, text, startTimeout, p.output.tail())
		}
	}
}

// outcome is what a command came to.
type outcome struct {
	command string
	stdout  string
	output  string // stdout and stderr
	err     error
}

// run runs a program in the world.
func (w *world) run(t *testing.T, args ...string) outcome { return w.runWith(t, "", args...) }

// runWith runs a program that reads from its stdin.
func (w *world) runWith(t *testing.T, stdin string, args ...string) outcome {
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	o := outcome{command: strings.Join(args, " ")}
	args = append(w.prefix[:len(w.prefix):len(w.prefix)], args...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = w.env
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = 10 * time.Second
	var stdout bytes.Buffer
	var output lockedBuffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&stdout, &output), &output
	o.err = cmd.Run()
	o.stdout, o.output = strings.TrimSpace(stdout.String()), output.String()
	return o
}

// ok fails the test unless the command did its work. It returns what went to stdout.
func (o outcome) ok(t *testing.T) string {
	t.Helper()
	if o.err != nil {
		t.Fatalf("%s: %v\n%s", o.command, o.err, o.output)
	}
	return o.stdout
}

// prints fails the test unless the command did its work and printed all the texts.
func (o outcome) prints(t *testing.T, texts ...string) {
	t.Helper()
	o.ok(t)
	o.contains(t, texts)
}

// refused fails the test unless the command failed and said why in these words.
func (o outcome) refused(t *testing.T, texts ...string) {
	t.Helper()
	if o.err == nil {
		t.Fatalf("%s succeeded; it should have failed with %q\n%s", o.command, texts, o.output)
	}
	o.contains(t, texts)
}

func (o outcome) contains(t *testing.T, texts []string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(o.output, text) {
			t.Fatalf("%s: the output lacks %q\n%s", o.command, text, o.output)
		}
	}
}
