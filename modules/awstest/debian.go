//go:build linux

package awstest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// debianRecipe is a Debian as its cloud images have it: systemd, cloud-init that looks for EC2, curl; and no registry.
var debianRecipe = []string{
	"--variant=minbase", `--aptopt=Acquire::Languages "none"`,
	"--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
	"--include=systemd-sysv,dbus,libpam-systemd,udev,iproute2,ca-certificates,cloud-init,curl,procps",
	`--customize-hook=printf 'datasource_list: [Ec2]\n' >"$1/etc/cloud/cloud.cfg.d/90_ec2.cfg"`,
	// What a container has no use for: the host has set up the network and the clock.
	`--customize-hook=printf 'network: {config: disabled}\n' >"$1/etc/cloud/cloud.cfg.d/91_network.cfg"`,
	"--customize-hook=chroot \"$1\" systemctl mask systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket getty.target console-getty.service",
	"bookworm",
}

// debianTimeout bounds the making of the root, which takes less than a minute with a mirror nearby.
const debianTimeout = 10 * time.Minute

// debianRoot returns an archive of a stock Debian root, which is made once per recipe and month. It skips the test where it cannot be made.
func debianRoot(t testing.TB) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(strings.Join(debianRecipe, "\n") + time.Now().Format("2006-01")))
	archive := filepath.Join(cache, "registrykit-tests", "debian-"+hex.EncodeToString(sum[:8])+".tar")
	if _, err := os.Stat(archive); err == nil {
		return archive
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("NOT TESTED: mmdebstrap, which makes the Debian that machines start from, is not installed")
	}
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		t.Fatal(err)
	}
	fresh := fmt.Sprintf("%s.%d", strings.TrimSuffix(archive, ".tar"), os.Getpid())
	defer os.Remove(fresh)
	ctx, cancel := context.WithTimeout(context.Background(), debianTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "mmdebstrap", append([]string{"--format=tar"}, append(debianRecipe, fresh)...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: no Debian root can be made: %v\n%s", err, out)
	}
	if err := os.Rename(fresh, archive); err != nil {
		t.Fatal(err)
	}
	return archive
}
