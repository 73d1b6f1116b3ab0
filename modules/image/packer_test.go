package image_test

import (
	"os/exec"
	"testing"
)

// TestPacker holds the template of those who build with Packer to Packer itself.
func TestPacker(t *testing.T) {
	t.Parallel()
	packer, err := exec.LookPath("packer")
	if err != nil {
		t.Skip("NOT TESTED: packer is not on the PATH")
	}
	if out, err := exec.CommandContext(t.Context(), packer, "init", "packer").CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: packer is too old, or cannot have its plugin: %v\n%s", err, out)
	}
	for _, args := range [][]string{
		{"fmt", "-check", "-diff", "packer"},
		{"validate", "-var", "region=eu-west-1", "-var", "server_url=https://example.com/registryserver.tar.gz", "-var", "server_sha256=00", "packer"},
	} {
		if out, err := exec.CommandContext(t.Context(), packer, args...).CombinedOutput(); err != nil {
			t.Errorf("packer %s: %v\n%s", args[0], err, out)
		}
	}
}
