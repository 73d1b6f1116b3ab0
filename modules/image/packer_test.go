package image_test

import (
	"os"
	"os/exec"
	"testing"
)

// TestPacker holds the template of those who build with Packer to Packer itself, with its plugin for AWS.
func TestPacker(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("long: Packer and its plugin are built from their sources first")
	}
	config := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), tool(t, "packer"), args...)
		cmd.Env = append(os.Environ(), "CHECKPOINT_DISABLE=1", "PACKER_CONFIG_DIR="+config, "PACKER_PLUGIN_PATH="+config)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("packer %s: %v\n%s", args[0], err, out)
		}
	}
	run("plugins", "install", "--path", tool(t, "packer-plugin-amazon"), "github.com/hashicorp/amazon")
	run("fmt", "-check", "-diff", "packer")
	run("validate", "-var", "region=eu-west-1", "-var", "server_url=https://example.com/registryserver.tar.gz", "-var", "server_sha256=00", "packer")
}
