//go:build linux

package awstest

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// dockerTimeout bounds the start of the Docker daemon.
const dockerTimeout = 30 * time.Second

// Machines are instances of EC2: containers with systemd and cloud-init, from a stock Debian, each with an address in the VPC and with its own
// metadata service. They live in a world.
type Machines struct {
	w     *World
	image string
}

// NewMachines starts a Docker daemon in the world, which ends with it, and loads what machines start from.
func NewMachines(t testing.TB, w *World) *Machines {
	t.Helper()
	for _, program := range []string{"docker", "dockerd"} {
		if _, err := w.Run("sh", "-c", "command -v "+program); err != nil {
			t.Skipf("NOT TESTED: %s is not installed; .ci/clients installs it", program)
		}
	}
	root := debianRoot(t)
	log := w.Start("dockerd", "--data-root", filepath.Join(w.Dir, "docker"), "--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false")
	for deadline := time.Now().Add(dockerTimeout); ; time.Sleep(100 * time.Millisecond) {
		_, err := w.Run("docker", "version")
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Skipf("NOT TESTED: Docker does not work here: %v\n%s", err, tail(log))
		}
	}
	t.Cleanup(func() {
		_, _ = w.Run("sh", "-c", "docker ps --all --quiet | xargs --no-run-if-empty docker rm --force --volumes")
	})
	m := &Machines{w: w, image: "debian:stock"}
	if out, err := w.Run("docker", "import", root, m.image); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return m
}

// Machine is one of them.
type Machine struct {
	Instance Instance
	Metadata *Metadata
	Started  time.Time

	w      *World
	pid    int
	server *http.Server
	once   sync.Once

	mu      sync.Mutex
	console string // once it was terminated
	journal string
	ready   time.Time
	off     bool
}

// bootScript makes the container look like EC2, waits for the network as a machine's firmware does, and becomes systemd. What cloud-init knows an
// instance of EC2 by, and a container may have, is the hypervisor's id in /sys. There are no locales to choose from.
const bootScript = `set -e
mount --rbind /sys /mnt
mount -t tmpfs tmpfs /sys
for folder in /mnt/*; do mkdir "/sys/${folder#/mnt/}"; mount --rbind "$folder" "/sys/${folder#/mnt/}"; done
umount -l /mnt
mkdir /sys/hypervisor
echo ec2a1b2c-0000-4000-8000-000000000001 >/sys/hypervisor/uuid
echo 'locale: false' >/etc/cloud/cloud.cfg.d/92_locale.cfg
until ip address show dev lo | grep -q 169.254.169.254; do sleep 0.05; done
exec /lib/systemd/systemd`

// Start starts a machine.
func (m *Machines) Start(i Instance) (*Machine, error) {
	resolver := filepath.Join(m.w.Dir, "resolv.conf")
	if err := os.WriteFile(resolver, []byte("nameserver "+dnsAddress+"\n"), 0o644); err != nil {
		return nil, err
	}
	// Everything that systemd needs of Docker, and no more: --privileged works in fewer places.
	_, err := m.w.Run("docker", "run", "--detach", "--tty", "--name", i.ID, "--hostname", "ip-"+strings.ReplaceAll(i.Address, ".", "-"), "--network", "none",
		"--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE", "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined",
		"--cgroupns", "private", "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp", "--env", "container=docker",
		"--volume", m.w.CA.File+":/etc/ssl/certs/ca-certificates.crt:ro", "--volume", resolver+":/etc/resolv.conf:ro",
		m.image, "sh", "-c", bootScript)
	if err != nil {
		return nil, err
	}
	machine := &Machine{Instance: i, Metadata: NewMetadata(i), Started: time.Now(), w: m.w}
	if err := machine.connect(); err != nil {
		return nil, errors.Join(err, machine.Terminate())
	}
	return machine, nil
}

// connect gives the machine its network, and at last the metadata service, which it waits for.
func (m *Machine) connect() error {
	out, err := m.w.Run("docker", "inspect", "--format", "{{.State.Pid}}", m.Instance.ID)
	if err != nil {
		return err
	}
	if _, err := fmt.Sscan(out, &m.pid); err != nil {
		return err
	}
	link := "v" + m.Instance.ID[len(m.Instance.ID)-12:]
	const script = `set -e
ip link add "$1" type veth peer name eth0 netns "$2"
ip link set "$1" master cloud up
nsenter --target "$2" --net -- sh -ec 'ip link set eth0 address "$1"; ip address add "$2"/8 dev eth0; ip link set eth0 up; ip route add default via "$3"; ip link set lo up; ip address add 169.254.169.254/32 dev lo' sh "$3" "$4" "$5"`
	listen := func() error {
		return m.w.within(m.pid, func() error {
			l, err := net.Listen("tcp", "169.254.169.254:80")
			if err != nil {
				return err
			}
			m.server = &http.Server{Handler: m.Metadata, ReadHeaderTimeout: 10 * time.Second}
			go func() { _ = m.server.Serve(l) }() // until Terminate
			return nil
		})
	}
	if _, err := m.w.Run("sh", "-c", script, "sh", link, fmt.Sprint(m.pid), m.Instance.MAC, m.Instance.Address, gatewayAddress); err != nil {
		return err
	}
	return listen()
}

// ReadyAfter is how long it took from the start until the group took the machine in, since its server had said that it is ready; 0 if it has not.
func (m *Machine) ReadyAfter() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ready.IsZero() {
		return 0
	}
	return m.ready.Sub(m.Started)
}

func (m *Machine) inService() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ready.IsZero() {
		m.ready = time.Now()
	}
}

// Running reports whether the machine is switched on.
func (m *Machine) Running() bool {
	out, err := m.w.Run("docker", "inspect", "--format", "{{.State.Running}}", m.Instance.ID)
	return err == nil && out == "true"
}

// SwitchedOff reports whether a machine that is terminated had switched itself off before.
func (m *Machine) SwitchedOff() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.off
}

// Console is what the machine has written there, as GetConsoleOutput has it, also after its end.
func (m *Machine) Console() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.console != "" {
		return m.console
	}
	return m.readConsole()
}

func (m *Machine) readConsole() string {
	out, err := m.w.Run("docker", "logs", m.Instance.ID)
	if err != nil {
		return err.Error()
	}
	return out
}

// Journal is what the server's unit has written, also after the machine's end.
func (m *Machine) Journal() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.journal != "" {
		return m.journal
	}
	return m.readJournal()
}

func (m *Machine) readJournal() string {
	out, err := m.Run("journalctl", "--unit", "registry.service", "--no-pager", "--output", "cat")
	if err != nil {
		return err.Error()
	}
	return out
}

// keep takes down what can only be read of a machine that is there.
func (m *Machine) keep() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.off = !m.Running()
	m.console, m.journal = m.readConsole(), m.readJournal()
}

// Run runs a program on the machine, for what a test asks.
func (m *Machine) Run(args ...string) (string, error) {
	return m.w.Run(append([]string{"docker", "exec", m.Instance.ID}, args...)...)
}

// Terminate ends the machine as EC2 does, without asking it.
func (m *Machine) Terminate() error {
	var err error
	m.once.Do(func() {
		m.keep()
		if m.server != nil {
			err = m.server.Close()
		}
		_, removed := m.w.Run("docker", "rm", "--force", "--volumes", m.Instance.ID)
		err = errors.Join(err, removed)
	})
	return err
}
