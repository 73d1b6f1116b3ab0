// Package modules tests the Terraform modules in this folder with the real terraform: each on its own with imitated answers of AWS, so that
// no account is needed.
package modules

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// TestModules runs `terraform validate` and `terraform test` in every module, and validates the examples that use them.
func TestModules(t *testing.T) {
	t.Parallel()
	// Terraform writes into the folders that it works in.
	work := t.TempDir()
	for _, folder := range []string{"modules", "examples"} {
		if err := os.CopyFS(filepath.Join(work, folder), os.DirFS(filepath.Join("..", folder))); err != nil {
			t.Fatal(err)
		}
	}
	config := providers(t)
	modules, _ := filepath.Glob(filepath.Join(work, "modules", "*", "versions.tf"))
	examples, _ := filepath.Glob(filepath.Join(work, "examples", "aws-*", "versions.tf"))
	if len(modules) == 0 || len(examples) == 0 {
		t.Fatalf("there are %d modules and %d examples", len(modules), len(examples))
	}
	for _, file := range append(modules, examples...) {
		folder := filepath.Dir(file)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			commands := [][]string{{"init", "-backend=false", "-input=false", "-no-color"}, {"validate", "-no-color"}, {"test", "-no-color"}}
			tests, _ := filepath.Glob(filepath.Join(folder, "tests", "*.tftest.hcl"))
			switch {
			case filepath.Base(filepath.Dir(folder)) == "examples":
				commands = commands[:2]
			case len(tests) == 0:
				t.Error("the module has no tests")
			}
			for _, args := range commands {
				cmd := exec.CommandContext(t.Context(), terraform(t), args...)
				cmd.Dir = folder
				cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+config, "TF_DATA_DIR="+filepath.Join(folder, ".terraform"), "CHECKPOINT_DISABLE=1")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("terraform %s: %v\n%s", args[0], err, out)
				}
			}
		})
	}
}

// providers writes a configuration of terraform's that takes our provider from this source and the AWS provider from where the machine has
// it: a mirror that it is configured to use, one in a usual place, or the public registry.
func providers(t *testing.T) string {
	t.Helper()
	mirror := t.TempDir()
	ours := filepath.Join(mirror, "registry.terraform.io", "registrykit", "registry", "0.0.1", runtime.GOOS+"_"+runtime.GOARCH, "terraform-provider-registry_v0.0.1")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", ours, "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the provider: %v\n%s", err, out)
	}
	rest := "direct { exclude = [\"registry.terraform.io/registrykit/registry\"] }"
	if found := awsMirror(); found != "" {
		rest = fmt.Sprintf("filesystem_mirror {\n path = %q\n include = [\"registry.terraform.io/hashicorp/aws\"]\n }", found)
	} else if !reachable(t) {
		t.Skip("SKIPPED: the provider hashicorp/aws is in no mirror on this machine and cannot be downloaded")
	}
	config := filepath.Join(mirror, "terraform.rc")
	text := fmt.Sprintf("provider_installation {\n filesystem_mirror {\n path = %q\n include = [\"registry.terraform.io/registrykit/registry\"]\n }\n %s\n}\n", mirror, rest)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config
}

// awsMirror finds a filesystem mirror with the AWS provider. TERRAFORM_MIRROR names one.
func awsMirror() string {
	home, _ := os.UserHomeDir()
	for _, pattern := range []string{
		os.Getenv("TERRAFORM_MIRROR"), filepath.Join(home, ".terraform.d", "plugins"), "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins", "/opt/*",
	} {
		found, _ := filepath.Glob(filepath.Join(pattern, "registry.terraform.io", "hashicorp", "aws"))
		if pattern != "" && len(found) > 0 {
			return strings.TrimSuffix(found[0], filepath.Join("registry.terraform.io", "hashicorp", "aws"))
		}
	}
	return ""
}

// reachable reports whether terraform can download providers.
func reachable(t *testing.T) bool {
	t.Helper()
	dir := t.TempDir()
	text := "terraform {\n required_providers {\n aws = { source = \"hashicorp/aws\" }\n }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), terraform(t), "providers", "lock", "-platform="+runtime.GOOS+"_"+runtime.GOARCH)
	cmd.Dir = dir
	return cmd.Run() == nil
}

var findTerraform = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("TF_ACC_TERRAFORM_PATH"); path != "" {
		return path, nil
	}
	find := exec.Command(filepath.Join("..", ".ci", "tool"), "terraform")
	var stderr bytes.Buffer
	find.Stderr = &stderr
	out, err := find.Output()
	if err != nil {
		return "", fmt.Errorf("terraform is not here and cannot be installed: %w\n%s", err, stderr.String())
	}
	return filepath.Abs(strings.TrimSpace(string(out)))
})

func terraform(t *testing.T) string {
	t.Helper()
	path, err := findTerraform()
	if err != nil {
		t.Skip("SKIPPED: " + err.Error())
	}
	return path
}
