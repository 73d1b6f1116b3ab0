package image_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The network of an instance holds the addresses that EC2 has on every one.
const (
	guestAddress = "169.254.0.15"
	guestMAC     = "52:54:00:12:34:56"
)

// firmware is UEFI for a PC: the program, and the variables that it begins with. Distributions call them differently.
var firmware = [][2]string{
	{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
	{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
}

// machine is an instance of EC2 as QEMU can be one: UEFI, NVMe, and the names in SMBIOS by which cloud-init knows EC2.
type machine struct {
	console string // a file
	port    string // of this host, for the port 5000 of the instance
	ended   chan error
	started time.Time
}

// boot starts an instance from an image, on a disk that is larger and its own.
func boot(t *testing.T, image string, w *world) *machine {
	t.Helper()
	need(t, "qemu-system-x86_64", "qemu-img")
	if runtime.GOARCH != "amd64" {
		t.Skip("NOT TESTED: the image of " + runtime.GOARCH + " is built, and booted on amd64 only")
	}
	code, vars := firmwareFiles(t)
	folder := t.TempDir()
	m := &machine{console: filepath.Join(folder, "console.log"), port: freePort(t), ended: make(chan error, 1)}
	disk := filepath.Join(folder, "disk.qcow2")
	if out, err := exec.CommandContext(t.Context(), "qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image, disk, "4G").CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v\n%s", err, out)
	}
	own := filepath.Join(folder, "vars.fd")
	content, err := os.ReadFile(vars)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(own, content, 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	forwarder := filepath.Join(folder, "forward")
	script := fmt.Sprintf("#!/bin/sh\n%s=127.0.0.1:%s exec %s\n", pipeVariable, w.metadataPort, self)
	if err := os.WriteFile(forwarder, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	id := "ec2a1b2c-0000-4000-8000-000000000001"
	args := append(acceleration(), "-machine", "q35", "-m", "1024", "-smp", "2", "-display", "none", "-monitor", "none", "-no-reboot", "-serial", "file:"+m.console,
		"-drive", "if=pflash,format=raw,readonly=on,file="+code, "-drive", "if=pflash,format=raw,file="+own,
		"-drive", "if=none,id=root,file="+disk, "-device", "nvme,drive=root,serial=vol0123456789abcdef0",
		"-netdev", "user,id=net,net=169.254.0.0/16,host="+hostAddress+",dhcpstart="+guestAddress+",hostfwd=tcp:127.0.0.1:"+m.port+"-:5000,guestfwd=tcp:169.254.169.254:80-cmd:"+forwarder,
		"-device", "virtio-net-pci,netdev=net,mac="+guestMAC,
		"-smbios", "type=0,vendor=Amazon EC2", "-smbios", "type=1,manufacturer=Amazon EC2,product=t3.small,uuid="+id+",serial="+id, "-smbios", "type=2,asset="+w.instanceID)
	m.started = time.Now()
	cmd := exec.Command("nice", append([]string{"-n", "5", "qemu-system-x86_64"}, args...)...)
	log, err := os.Create(filepath.Join(folder, "qemu.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { m.ended <- cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		_ = log.Close()
		if t.Failed() {
			said, _ := os.ReadFile(log.Name())
			t.Logf("qemu: %s\nthe console: %s", said, m.read())
		}
	})
	return m
}

func firmwareFiles(t *testing.T) (code, vars string) {
	t.Helper()
	for _, pair := range firmware {
		if _, err := os.Stat(pair[0]); err == nil {
			return pair[0], pair[1]
		}
	}
	t.Skip("NOT TESTED: ovmf, UEFI for QEMU, is not installed; .ci/clients installs it")
	return "", ""
}

// acceleration is KVM where the processor can do it and we may; in a virtual machine that cannot, the device may be there all the same.
func acceleration() []string {
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	device, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err == nil {
		_ = device.Close()
		if strings.Contains(string(cpu), " vmx ") || strings.Contains(string(cpu), " svm ") {
			return []string{"-accel", "kvm", "-cpu", "host"}
		}
	}
	return []string{"-accel", "tcg,thread=multi", "-cpu", "qemu64,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand"}
}

// read returns what is on the console so far.
func (m *machine) read() string {
	content, _ := os.ReadFile(m.console)
	return string(content)
}

// bootTimeout is for a machine that others use, too. Alone it takes less than a minute.
const bootTimeout = 15 * time.Minute

// wait asks until there is an answer, and fails if the machine ends first.
func (m *machine) wait(t *testing.T, what string, ask func() error) time.Duration {
	t.Helper()
	for deadline := time.Now().Add(bootTimeout); ; time.Sleep(500 * time.Millisecond) {
		err := ask()
		if err == nil {
			return time.Since(m.started)
		}
		select {
		case ended := <-m.ended:
			t.Fatalf("the machine has ended (%v) before %s: %v", ended, what, err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// said waits for a text on the console.
func (m *machine) said(t *testing.T, text string) time.Duration {
	t.Helper()
	return m.wait(t, fmt.Sprintf("%q is on the console", text), func() error {
		if strings.Contains(m.read(), text) {
			return nil
		}
		return errors.New("it is not")
	})
}

// pipeVariable makes this test's program what it names: one connection of an instance to the metadata service. QEMU starts one for each.
const pipeVariable = "IMAGE_TEST_PIPE"

func pipe(address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		_, _ = io.Copy(conn, os.Stdin)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(os.Stdout, conn)
	os.Exit(0)
}
