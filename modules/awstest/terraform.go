package awstest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Terraform is the program, with where it gets the AWS provider from, and ours, built from this source.
type Terraform struct {
	Path   string
	Config string // of the command line, for TF_CLI_CONFIG_FILE
	root   string // of the repository
}

// NewTerraform prepares Terraform, or skips the test where the program or the AWS provider cannot be had. One serves all subtests.
func NewTerraform(t testing.TB) *Terraform {
	t.Helper()
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	path, err := findTerraform(t.Context(), root)
	if err != nil {
		t.Skip("SKIPPED: " + err.Error())
	}
	mirror := t.TempDir()
	ours := filepath.Join(mirror, "registry.terraform.io", "registrykit", "registry", "0.0.1", runtime.GOOS+"_"+runtime.GOARCH, "terraform-provider-registry_v0.0.1")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", ours, ".")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the provider: %v\n%s", err, out)
	}
	rest := "direct { exclude = [\"registry.terraform.io/registrykit/registry\"] }"
	if found := awsMirror(); found != "" {
		rest = fmt.Sprintf("filesystem_mirror {\n path = %q\n include = [\"registry.terraform.io/hashicorp/aws\"]\n }", found)
	} else if !reachable(t, path) {
		t.Skip("SKIPPED: the provider hashicorp/aws is in no mirror on this machine and cannot be downloaded")
	}
	config := filepath.Join(mirror, "terraform.rc")
	text := fmt.Sprintf("provider_installation {\n filesystem_mirror {\n path = %q\n include = [\"registry.terraform.io/registrykit/registry\"]\n }\n %s\n}\n", mirror, rest)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &Terraform{Path: path, Config: config, root: root}
}

// Workspace is a folder that Terraform works in: a copy of the modules and examples, in which one folder is the root module.
type Workspace struct {
	testing.TB
	Dir string
	Env []string // more of it, for everything that is run

	terraform *Terraform
	modules   string
}

// fewRetries makes the AWS provider give up soon: by itself it goes on for half an hour where the emulator lacks a call.
const fewRetries = "provider \"aws\" {\n  max_retries = 2\n}\n"

// Workspace copies modules and examples and prepares the root module, such as "examples/aws-single". A root without a provider
// "aws" of its own gets one, so that a module can be one.
func (tf *Terraform) Workspace(t testing.TB, root string, e *Emulator) *Workspace {
	t.Helper()
	work := t.TempDir()
	for _, folder := range []string{"modules", "examples"} {
		if err := os.CopyFS(filepath.Join(work, folder), os.DirFS(filepath.Join(tf.root, folder))); err != nil {
			t.Fatal(err)
		}
	}
	w := &Workspace{TB: t, Dir: filepath.Join(work, root), Env: e.Env(), terraform: tf, modules: filepath.Join(work, "modules")}
	settings := "awstest.tf"
	if w.hasProvider() {
		settings = "awstest_override.tf"
	}
	w.Write(settings, fewRetries)
	w.mustRun(shortTimeout, "init", "-input=false")
	return w
}

// hasProvider reports whether the root configures the AWS provider.
func (w *Workspace) hasProvider() bool {
	w.Helper()
	files, _ := filepath.Glob(filepath.Join(w.Dir, "*.tf"))
	return slices.ContainsFunc(files, func(file string) bool {
		text, err := os.ReadFile(file)
		if err != nil {
			w.Fatal(err)
		}
		return bytes.Contains(text, []byte("provider \"aws\" {"))
	})
}

// Write puts a file into the workspace.
func (w *Workspace) Write(name, text string) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.Dir, name), []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
}

// WriteModule puts a file into a module of the workspace's copy.
func (w *Workspace) WriteModule(module, name, text string) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.modules, module, name), []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
}

// Variables sets the root module's variables. Later ones replace all earlier ones.
func (w *Workspace) Variables(values map[string]any) {
	w.Helper()
	text, err := json.Marshal(values)
	if err != nil {
		w.Fatal(err)
	}
	w.Write("terraform.tfvars.json", string(text))
}

// How long an apply or a destroy takes at most: a whole cluster takes three minutes on a machine with two processors and nothing else to do.
const applyTimeout = 20 * time.Minute

// Everything else. A busy machine loads a provider for a minute.
const shortTimeout = 10 * time.Minute

// Apply has to succeed. It returns how many resources there are then.
func (w *Workspace) Apply() int {
	w.Helper()
	w.mustRun(applyTimeout, "apply", "-input=false", "-auto-approve")
	return len(strings.Fields(w.mustRun(shortTimeout, "state", "list")))
}

// Destroy has to succeed.
func (w *Workspace) Destroy() {
	w.Helper()
	w.mustRun(applyTimeout, "destroy", "-input=false", "-auto-approve")
	if rest := w.mustRun(shortTimeout, "state", "list"); rest != "" {
		w.Errorf("left in the state:\n%s", rest)
	}
}

// Change is what a plan would do to an object.
type Change struct {
	Address string
	Change  struct {
		Actions       []string
		Before, After json.RawMessage
	}
}

func (c Change) String() string { return strings.Join(c.Change.Actions, "/") + " " + c.Address }

// Plan returns what would change, and what Terraform says of it. Data sources that are read during an apply are not changes.
func (w *Workspace) Plan() ([]Change, string) {
	w.Helper()
	said, err := w.Run(applyTimeout, "plan", "-input=false", "-detailed-exitcode", "-out=planned")
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 2) {
		w.Fatalf("terraform plan: %v\n%s", err, said)
	}
	var plan struct {
		Changes []Change `json:"resource_changes"`
	}
	if err := json.Unmarshal([]byte(w.mustRun(shortTimeout, "show", "-json", "planned")), &plan); err != nil {
		w.Fatalf("terraform show: %v", err)
	}
	return slices.DeleteFunc(plan.Changes, func(c Change) bool {
		return slices.Equal(c.Change.Actions, []string{"no-op"}) || slices.Equal(c.Change.Actions, []string{"read"})
	}), said
}

// Output is an output that is a string.
func (w *Workspace) Output(name string) string {
	w.Helper()
	return strings.TrimSpace(w.mustRun(shortTimeout, "output", "-raw", name))
}

// Run runs terraform and returns what it says on both outputs, without colour.
func (w *Workspace) Run(timeout time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.Context()), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, w.terraform.Path, args...)
	cmd.Dir = w.Dir
	cmd.Env = append(withoutAWS(os.Environ()), "TF_CLI_CONFIG_FILE="+w.terraform.Config, "TF_IN_AUTOMATION=true", "CHECKPOINT_DISABLE=1", "TF_CLI_ARGS=-no-color")
	cmd.Env = append(cmd.Env, w.Env...)
	// Its providers are processes too; an interrupt ends them all in good order, and whoever is late is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 30 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		return out.String(), fmt.Errorf("it was stopped after %v: %w", timeout, err)
	}
	return out.String(), err
}

func (w *Workspace) mustRun(timeout time.Duration, args ...string) string {
	w.Helper()
	out, err := w.Run(timeout, args...)
	if err != nil {
		w.Fatalf("terraform %s: %v\n%s", args[0], err, out)
	}
	return out
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
func reachable(t testing.TB, terraform string) bool {
	t.Helper()
	dir := t.TempDir()
	text := "terraform {\n required_providers {\n aws = { source = \"hashicorp/aws\" }\n }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), terraform, "providers", "lock", "-platform="+runtime.GOOS+"_"+runtime.GOARCH)
	cmd.Dir = dir
	return cmd.Run() == nil
}

// repository is its top folder, in or below which tests run.
func repository() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, found := os.Stat(filepath.Join(dir, "go.mod")); found == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			err = errors.New("there is no go.mod in any folder above")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

func findTerraform(ctx context.Context, root string) (string, error) {
	if path := os.Getenv("TF_ACC_TERRAFORM_PATH"); path != "" {
		return path, nil
	}
	find := exec.CommandContext(ctx, filepath.Join(root, ".ci", "tool"), "terraform")
	find.Dir = root
	var stderr bytes.Buffer
	find.Stderr = &stderr
	out, err := find.Output()
	if err != nil {
		return "", fmt.Errorf("terraform is not here and cannot be installed: %w\n%s", err, stderr.String())
	}
	path := strings.TrimSpace(string(out))
	if !filepath.IsAbs(path) {
		path = filepath.Join(root, path)
	}
	return path, nil
}
