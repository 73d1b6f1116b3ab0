// Package modules tests the Terraform modules in this folder with the real terraform: each on its own with imitated answers of AWS, so that
// no account is needed.
package modules

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/modules/awstest"
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
	terraform := awstest.NewTerraform(t)
	modules, _ := filepath.Glob(filepath.Join(work, "modules", "*", "versions.tf"))
	examples, _ := filepath.Glob(filepath.Join(work, "examples", "*", "versions.tf"))
	bootstraps, _ := filepath.Glob(filepath.Join(work, "examples", "*", "bootstrap", "versions.tf"))
	examples = append(examples, bootstraps...)
	if len(modules) == 0 || len(examples) == 0 {
		t.Fatalf("there are %d modules and %d examples", len(modules), len(examples))
	}
	for _, file := range append(modules, examples...) {
		folder := filepath.Dir(file)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			commands := [][]string{{"init", "-backend=false", "-input=false", "-no-color"}, {"validate", "-no-color"}, {"test", "-no-color"}}
			tests, _ := filepath.Glob(filepath.Join(folder, "tests", "*.tftest.hcl"))
			switch {
			case filepath.Base(filepath.Dir(folder)) != "modules":
				commands = commands[:2]
			case len(tests) == 0:
				t.Error("the module has no tests")
			}
			for _, args := range commands {
				cmd := exec.CommandContext(t.Context(), terraform.Path, args...)
				cmd.Dir = folder
				cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+terraform.Config, "TF_DATA_DIR="+filepath.Join(folder, ".terraform"), "CHECKPOINT_DISABLE=1")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("terraform %s: %v\n%s", args[0], err, out)
				}
			}
		})
	}
}

// TestModulesApplied runs the tests of modules that apply them, with the real AWS provider in an emulated AWS, where nothing may be left.
func TestModulesApplied(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("long: it applies modules in an emulated AWS")
	}
	terraform := awstest.NewTerraform(t)
	tests, _ := filepath.Glob(filepath.Join("*", "tests", "applied", "*.tftest.hcl"))
	if len(tests) == 0 {
		t.Fatal("no module has such tests")
	}
	for _, file := range tests {
		module := filepath.Dir(filepath.Dir(filepath.Dir(file)))
		t.Run(module, func(t *testing.T) {
			t.Parallel()
			e := awstest.Start(t, awstest.Options{})
			w := terraform.Workspace(t, filepath.Join("modules", module), e)
			const folder = "-test-directory=tests/applied"
			if out, err := w.Run(10*time.Minute, "init", "-input=false", folder); err != nil {
				t.Fatalf("terraform init: %v\n%s", err, out)
			}
			out, err := w.Run(20*time.Minute, "test", folder)
			if err != nil {
				t.Fatalf("terraform test: %v\n%s", err, out)
			}
			t.Log(out)
			for _, left := range e.Left(t) {
				t.Errorf("left in AWS: %s", left)
			}
		})
	}
}
