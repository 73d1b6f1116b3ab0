package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestContinuousIntegrationTools runs .ci/run with stand-ins for everything it calls. A program that only some tests need may be missing: it is
// named, twice, and the tests go on. Without one that every change is checked with, nothing goes on.
func TestContinuousIntegrationTools(t *testing.T) {
	script, err := os.ReadFile("../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	for missing, optional := range map[string]bool{
		"none": true, "cosign": true, "pebble": true, "conformance": true, "distribution": true,
		"golangci-lint": false, "actionlint": false, "tfplugindocs": false, "terraform": false, "terraform-docs": false, "tflint": false,
	} {
		root := t.TempDir()
		write := func(name, content string) {
			path := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		write(".ci/run", string(script))
		write(".ci/tool", "#!/bin/sh\n[ \"$1\" != "+missing+" ]\n")
		for _, name := range []string{".ci/clients", "bin/go", "bin/gcc", "bin/sudo", "bin/git"} {
			write(name, "#!/bin/sh\n")
		}
		write("bin/make", "#!/bin/sh\necho make was run\n")
		cmd := exec.CommandContext(t.Context(), filepath.Join(root, ".ci/run"))
		cmd.Env = append(os.Environ(), "PATH="+filepath.Join(root, "bin")+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		wantNamed := 2
		if missing == "none" || !optional {
			wantNamed = 0
		}
		named := strings.Count(string(out), "SKIPPED "+missing+":")
		if ran := strings.Contains(string(out), "make was run"); ran != optional || (err == nil) != optional || named != wantNamed {
			t.Errorf("without %s: %v, tests run: %v, named %d times\n%s", missing, err, ran, named, out)
		}
	}
}
