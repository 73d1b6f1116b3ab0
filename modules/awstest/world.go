//go:build linux

package awstest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Addresses in a world.
const (
	gatewayAddress = "10.255.255.254" // of the bridge, which all machines are on
	apisAddress    = "198.51.100.1"   // where AWS answers
	dnsAddress     = "198.51.100.53"
	// BalancerAddress is where a load balancer listens.
	BalancerAddress = "198.51.100.80"
)

// worldScript makes the world out of new namespaces, and lasts until its stdin ends. It is the first process of its own: with it all end.
const worldScript = `
set -eu
ip link set lo up
ip link add cloud address 02:00:00:00:00:01 type bridge # or else it has that of a machine, and another one when that machine ends
for address in "$2"/8 "$3"/32 "$4"/32 "$5"/32; do ip address add "$address" dev cloud; done
ip link set cloud up
mount -t tmpfs tmpfs "$1/etc"
cp -a /etc/. "$1/etc/" || :
mount --bind "$1/etc" /etc
rm -rf /etc/docker /etc/containerd /etc/containers/certs.d
mkdir -p /etc/docker /etc/containers
for folder in /run /dev/shm /var/lib/docker /var/lib/containerd /var/lib/containers; do
	if test -d "$folder"; then mount -t tmpfs tmpfs "$folder"; fi
done
rm -f /etc/resolv.conf
echo "nameserver $4" >/etc/resolv.conf
echo "127.0.0.1 localhost" >/etc/hosts
echo ready
cat >/dev/null
`

// World is a network with its own names, certificates and processes, such as an account of AWS looks to who uses it: all names below
// amazonaws.com lead to the emulated APIs, and machines have their addresses in a VPC. Nothing in it reaches the machine that it runs on.
type World struct {
	t      testing.TB
	Dir    string
	CA     *CA
	pid    int // of the world's first process
	prefix []string
	env    []string
	names  *names
}

// NewWorld makes a world that ends with the test, and skips the test where that cannot be.
func NewWorld(t testing.TB) *World {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: machines in namespaces of their own need root")
	}
	dir := t.TempDir()
	w := &World{t: t, Dir: dir, names: &names{suffixes: map[string]string{"amazonaws.com.": apisAddress}}}
	for _, folder := range []string{"etc", "home", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.CA = newCA(t, filepath.Join(dir, "ca.pem"))
	w.hold()
	w.prefix = []string{"nsenter", "--target", fmt.Sprint(w.pid), "--mount", "--net", "--pid", "--", "sh", "-c", `cd "$0" && exec "$@"`, filepath.Join(dir, "home")}
	w.env = []string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "HOME=" + filepath.Join(dir, "home"), "TMPDIR=" + filepath.Join(dir, "tmp"),
	}
	w.env = append(w.env, w.Env()...)
	w.serveNames()
	return w
}

// hold starts the process that the world lives with.
func (w *World) hold() {
	w.t.Helper()
	holder := exec.Command("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--",
		"sh", "-c", worldScript, "sh", w.Dir, gatewayAddress, apisAddress, dnsAddress, BalancerAddress)
	var stderr bytes.Buffer
	holder.Stderr = &stderr
	stdin, err := holder.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	stdout, err := holder.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		w.t.Skipf("NOT TESTED: cannot make namespaces: %v", err)
	}
	w.t.Cleanup(func() {
		stdin.Close()
		_ = holder.Wait()
	})
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "ready\n" {
		w.t.Skipf("NOT TESTED: cannot make namespaces with a network of their own: %v\n%s", err, stderr.String())
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", holder.Process.Pid, holder.Process.Pid))
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(children), &w.pid); err != nil {
		w.t.Fatalf("the first process of the world: %q: %v", children, err)
	}
}

// Name makes a name lead to an address.
func (w *World) Name(name, address string) { w.names.set(name, address) }

// Command is a program that runs in the world.
func (w *World) Command(ctx context.Context, env []string, args ...string) *exec.Cmd {
	args = append(w.prefix[:len(w.prefix):len(w.prefix)], args...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(w.env[:len(w.env):len(w.env)], env...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// Env is what programs in the world need to know of it.
func (w *World) Env() []string {
	return []string{"SSL_CERT_FILE=" + w.CA.File, "SSL_CERT_DIR=/nowhere"}
}

// Script writes a program that runs another one in the world, in the folder and with the environment that it is called with, and returns its name.
func (w *World) Script(name, program string) string {
	w.t.Helper()
	file := filepath.Join(w.Dir, name)
	text := fmt.Sprintf("#!/bin/sh\nexec nsenter --target %d --mount --net --pid --wdns=\"$PWD\" -- %s \"$@\"\n", w.pid, program)
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		w.t.Fatal(err)
	}
	return file
}

// Run runs a program in the world and returns what it printed. Its end has a deadline.
func (w *World) Run(args ...string) (string, error) { return w.RunWith("", nil, args...) }

// RunWith is Run with a stdin and an environment.
func (w *World) RunWith(stdin string, env []string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := w.Command(ctx, env, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), err
}

// commandTimeout bounds each command in the world; Terraform is the longest.
const commandTimeout = 10 * time.Minute

// Start starts a program that runs as long as the world; its output goes to a file, whose name is returned.
func (w *World) Start(args ...string) string {
	w.t.Helper()
	file, err := os.Create(filepath.Join(w.Dir, filepath.Base(args[0])+".log"))
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := w.Command(context.Background(), nil, args...)
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // with the world
		file.Close()
	}()
	return file.Name()
}

// Listen listens in the world.
func (w *World) Listen(address string) net.Listener {
	w.t.Helper()
	var l net.Listener
	err := w.within(w.pid, func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// Dial connects to a name or an IPv4 address in the world.
func (w *World) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if found := w.names.find(host + "."); found != "" {
		host = found
	}
	return w.dial(ctx, nil, net.JoinHostPort(host, port))
}

// dial connects from one address, or any, to another.
func (w *World) dial(ctx context.Context, from net.IP, address string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	if from != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: from}
	}
	var c net.Conn
	err := w.within(w.pid, func() (err error) {
		c, err = dialer.DialContext(ctx, "tcp4", address)
		return err
	})
	return c, err
}

// within runs a function in the network of a process. A socket stays in the network that it was made in.
func (w *World) within(pid int, do func() error) error {
	there, err := os.Open(fmt.Sprintf("/proc/%d/root/proc/%d/ns/net", w.pid, w.inside(pid)))
	if err != nil {
		return err
	}
	defer there.Close()
	done := make(chan error)
	go func() {
		// The thread is not unlocked where it cannot go back: it ends with this goroutine.
		runtime.LockOSThread()
		here, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			done <- err
			return
		}
		defer here.Close()
		if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		err = do()
		if unix.Setns(int(here.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// inside is the number of a process as the world's own /proc has it: that of the world's first process is 1 there.
func (w *World) inside(pid int) int {
	if pid == w.pid {
		return 1
	}
	return pid
}

// tail is the end of a log file.
func tail(file string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-4096):])
}
