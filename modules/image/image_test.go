// Package image_test builds the machine image, looks at what is on its disk, and boots it.
package image_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// tools are the programs that build an image; Debian has them all.
var tools = []string{"mmdebstrap", "mkfs.vfat", "mcopy", "sfdisk", "mke2fs", "debugfs", "curl", "flock"}

// need skips the test where a program is not to be had.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("NOT TESTED: %s is not installed; .ci/clients installs it", name)
		}
	}
}

// errUnbuilt is what the build of an architecture that cannot be had here ends with.
var errUnbuilt = errors.New("not to be built here")

// build builds an image into a file.
func build(t *testing.T, output string, env ...string) error {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "nice", "-n", "5", "./build", output)
	cmd.Env = append(os.Environ(), append([]string{"VERSION=1.2.3-test", "SOURCE_DATE_EPOCH=1767225600"}, env...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		if strings.Contains(said.String(), "SKIPPED") || strings.Contains(said.String(), "cannot be reached") {
			err = errUnbuilt
		}
		return fmt.Errorf("build: %w\n%s", err, said.String())
	}
	return nil
}

// theImage builds the image of this machine's architecture, once for all tests.
func theImage(t *testing.T) string {
	t.Helper()
	need(t, tools...)
	path, err := builtImage(t)
	if errors.Is(err, errUnbuilt) {
		t.Skip("NOT TESTED: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// once builds the image that all tests share, in a folder that TestMain removes.
var once struct {
	sync.Mutex
	folder, path string
	err          error
}

func builtImage(t *testing.T) (string, error) {
	once.Lock()
	defer once.Unlock()
	if once.path == "" && once.err == nil {
		if once.folder, once.err = os.MkdirTemp("", "registry-image-"); once.err == nil { //nolint:usetesting // it outlives the test that comes first
			once.path = filepath.Join(once.folder, "disk.raw")
			once.err = build(t, once.path)
		}
	}
	return once.path, once.err
}

func TestMain(m *testing.M) {
	if address := os.Getenv(pipeVariable); address != "" {
		pipe(address)
	}
	code := m.Run()
	_ = os.RemoveAll(once.folder)
	os.Exit(code)
}

// TestUnit holds the server's unit to what systemd itself thinks of its exposure: 2.0 of 10, and what is below is better.
func TestUnit(t *testing.T) {
	t.Parallel()
	need(t, "systemd-analyze")
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=true", "--threshold=19", "--no-pager", "../user_data/templates/registry.service").CombinedOutput()
	if strings.Contains(string(out), "unrecognized option") {
		t.Skip("NOT TESTED: systemd is older than 250")
	}
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}

// TestReproducible builds the image a second time; not in short form, from packages that are fetched again.
func TestReproducible(t *testing.T) {
	t.Parallel()
	first, second := theImage(t), filepath.Join(t.TempDir(), "disk.raw")
	var env []string
	if !testing.Short() {
		env = append(env, "IMAGE_CACHE="+t.TempDir())
	}
	if err := build(t, second, env...); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", ".cdx.json"} {
		if a, b := checksum(t, first+suffix), checksum(t, second+suffix); a != b {
			t.Errorf("two builds differ: %s, %s", a, b)
		}
	}
}

func checksum(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// TestBillOfMaterials finds the kernel, the boot loader, the server and a module of it.
func TestBillOfMaterials(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(theImage(t) + ".cdx.json")
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat  string
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(content, &bom); err != nil || bom.BOMFormat != "CycloneDX" {
		t.Fatalf("%q, %v", bom.BOMFormat, err)
	}
	for _, want := range []string{
		"pkg:deb/debian/systemd@", "pkg:deb/debian/cloud-init@", "pkg:deb/debian/linux-image-cloud-", "pkg:deb/debian/shim-signed@", "pkg:deb/debian/grub-efi-",
		"pkg:golang/std@go1.", "pkg:golang/github.com/aws/aws-sdk-go-v2@v", "#registryserver",
	} {
		found := false
		for _, c := range bom.Components {
			found = found || strings.Contains(c.PURL, want) && c.Version != ""
		}
		if !found {
			t.Errorf("nothing has %s in its purl", want)
		}
	}
}

// rootFS copies the root file system out of an image.
func rootFS(t *testing.T, image string) string {
	t.Helper()
	const start = (1 + 16) << 20 // modules/image/disk: after the partition table and the ESP
	in, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	path := filepath.Join(t.TempDir(), "root.img")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, io.NewSectionReader(in, start, 1<<40)); err != nil {
		t.Fatal(err)
	}
	return path
}

// debugfs runs one command on a file system.
func debugfs(t *testing.T, fs, command string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "debugfs", "-R", command, fs).Output()
	if err != nil {
		t.Fatalf("debugfs %s: %v", command, err)
	}
	return string(out)
}

// TestDisk looks for what must be on the disk, and for what must not: nothing that two instances would share, and nothing to log in with.
func TestDisk(t *testing.T) {
	t.Parallel()
	fs := rootFS(t, theImage(t))
	for path, want := range map[string]bool{
		"/usr/local/bin/registryserver": true, "/usr/lib/systemd/system/registry.service": true, "/usr/share/registryserver/sbom.cdx.json": true,
		"/usr/sbin/sshd": false, "/etc/ssh/ssh_host_ed25519_key": false, "/etc/ssh/ssh_host_rsa_key": false, "/root/.ssh/authorized_keys": false, "/var/lib/systemd/random-seed": false,
		"/var/lib/dbus/machine-id": false, "/etc/registry/config.yml": false, "/var/lib/cloud/instance": false, "/usr/share/registryserver/bootloader": false,
	} {
		if there := strings.Contains(debugfs(t, fs, "stat "+path), "Inode:"); there != want {
			t.Errorf("%s is there: %v", path, there)
		}
	}
	if id := debugfs(t, fs, "cat /etc/machine-id"); id != "" {
		t.Errorf("all instances have the machine id %q", id)
	}
	for line := range strings.Lines(debugfs(t, fs, "cat /etc/shadow")) {
		if fields := strings.Split(line, ":"); fields[1] != "*" && fields[1] != "!" && fields[1] != "!*" {
			t.Errorf("%s has a password", fields[0])
		}
	}
	about := debugfs(t, fs, "cat /etc/registryserver-image")
	for _, want := range []string{"VERSION=1.2.3-test\n", "DATE=2026-01-01T00:00:00Z\n", "DEBIAN=13."} {
		if !strings.Contains(about, want) {
			t.Errorf("/etc/registryserver-image lacks %q:\n%s", want, about)
		}
	}
	if fields := strings.Fields(debugfs(t, fs, "ls -l /usr/local/bin")); len(fields) == 0 || !strings.Contains(strings.Join(fields, " "), "100755 (1) 0 0") {
		t.Errorf("the server is not root's, or not executable: %s", strings.Join(fields, " "))
	}
}

// TestArm64 builds the image of the other architecture, which takes minutes: qemu runs what installs its packages.
func TestArm64(t *testing.T) {
	if testing.Short() {
		t.Skip("not in short form: it takes minutes")
	}
	t.Parallel()
	need(t, tools...)
	image := filepath.Join(t.TempDir(), "disk.raw")
	if err := build(t, image, "ARCH=arm64"); errors.Is(err, errUnbuilt) {
		t.Skip("NOT TESTED: ", err)
	} else if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "registryserver")
	debugfs(t, rootFS(t, image), "dump /usr/local/bin/registryserver "+program)
	if out, err := exec.CommandContext(t.Context(), "go", "version", "-m", program).CombinedOutput(); err != nil || !strings.Contains(string(out), "GOARCH=arm64") {
		t.Errorf("the server is not one of arm64: %v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "mdir", "-b", "-i", image+"@@1M", "::/EFI/BOOT").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "BOOTAA64.EFI") {
		t.Errorf("UEFI finds no boot loader: %v\n%s", err, out)
	}
}
