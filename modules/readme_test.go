package modules

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/modules/awstest"
)

// published is what the source of a module begins with for those who use it.
const published = "github.com/registrykit/terraform-provider-registry//modules/"

// requirements are what those who use the examples have said before.
const requirements = `terraform {
  required_providers {
    aws      = { source = "hashicorp/aws" }
    registry = { source = "registrykit/registry" }
  }
}
`

// TestReadmes validates the example in the README of each module: with this source in the place of what is published, it is a configuration.
func TestReadmes(t *testing.T) {
	t.Parallel()
	terraform := awstest.NewTerraform(t)
	work := t.TempDir()
	if err := os.CopyFS(filepath.Join(work, "modules"), os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(work, "modules", "*", "versions.tf"))
	if len(files) == 0 {
		t.Fatal("there are no modules")
	}
	for _, file := range files {
		module := filepath.Base(filepath.Dir(file))
		t.Run(module, func(t *testing.T) {
			folder := filepath.Join(work, "usage", module)
			if err := os.MkdirAll(folder, 0o700); err != nil {
				t.Fatal(err)
			}
			main := strings.ReplaceAll(readmeExample(t, module), published, "../../modules/")
			for name, text := range map[string]string{"main.tf": main, "versions.tf": requirements} {
				if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, args := range [][]string{{"fmt", "-check", "-diff"}, {"init", "-backend=false", "-input=false", "-no-color"}, {"validate", "-no-color"}} {
				cmd := exec.CommandContext(t.Context(), terraform.Path, args...)
				cmd.Dir = folder
				cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+terraform.Config, "CHECKPOINT_DISABLE=1")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("terraform %s: %v\n%s", args[0], err, out)
				}
			}
		})
	}
}

// readmeExample is the first example in the README of a module.
func readmeExample(t *testing.T, module string) string {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(module, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```hcl\n")
	example, _, found := strings.Cut(rest, "```\n")
	if !found || !strings.Contains(example, published+module+`"`) {
		t.Fatalf("README.md of %s has no example that uses %s%s", module, published, module)
	}
	return example
}
