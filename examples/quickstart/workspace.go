package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// providerVersion is the version under which the provider that was just built
// stands in the local mirror.
const providerVersion = "0.1.0"

// workspace is the directory in which the quickstart works: programs, images,
// Terraform's files and the admin's password.
type workspace struct {
	dir       string
	terraform string
}

func (w *workspace) path(elem ...string) string {
	return filepath.Join(append([]string{w.dir}, elem...)...)
}

func (w *workspace) program(name string) string { return w.path("bin", name) }

// mirrored is where Terraform looks for the provider in a filesystem mirror.
func (w *workspace) mirrored() string {
	return w.path("mirror", "registry.terraform.io", "registrykit", "registry", providerVersion,
		runtime.GOOS+"_"+runtime.GOARCH, "terraform-provider-registry_v"+providerVersion)
}

// build builds the three programs. That of the image runs on Linux and needs
// no libraries.
func (w *workspace) build(ctx context.Context) error {
	for _, b := range []struct {
		out, pkg string
		env      []string
	}{
		{w.program("registryserver"), "./registryserver", nil},
		{w.mirrored(), ".", nil},
		{w.program("hello"), "./examples/quickstart/hello", []string{"CGO_ENABLED=0", "GOOS=linux"}},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", b.out, b.pkg)
		cmd.Env = append(os.Environ(), b.env...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("go build %s: %w; run this from the root of the repository", b.pkg, err)
		}
	}
	done("%s", w.program("registryserver"))
	return nil
}

// secret returns a random password that the workspace keeps under name, so
// that the next run finds the same registry.
func (w *workspace) secret(name string) (string, error) {
	path := w.path(name)
	if content, err := os.ReadFile(path); err == nil && len(content) > 0 {
		return string(content), nil
	}
	value := rand.Text()
	return value, os.WriteFile(path, []byte(value), 0o600)
}

// apply runs terraform with the provider that was just built, and returns the
// users that it made.
func (w *workspace) apply(ctx context.Context, r *registry) (users, error) {
	if err := w.configure(); err != nil {
		return users{}, err
	}
	env := []string{
		"TF_CLI_CONFIG_FILE=" + w.path("terraform.rc"), "TF_IN_AUTOMATION=1", "CHECKPOINT_DISABLE=1",
		"REGISTRY_ENDPOINT=" + r.endpoint(), "REGISTRY_USERNAME=" + adminName, "REGISTRY_PASSWORD=" + r.adminPassword,
	}
	for _, args := range [][]string{
		{"init", "-input=false", "-no-color"},
		{"apply", "-input=false", "-auto-approve", "-no-color"},
	} {
		if _, err := w.runTerraform(ctx, env, args...); err != nil {
			return users{}, err
		}
	}
	done("terraform %s", w.summary(ctx, env))
	out, err := w.runTerraform(ctx, env, "output", "-json")
	if err != nil {
		return users{}, err
	}
	return parseUsers(out)
}

// configure writes Terraform's configuration, and a CLI configuration that
// takes the provider from the mirror.
func (w *workspace) configure() error {
	rc := fmt.Sprintf("provider_installation {\n  filesystem_mirror {\n    path    = %q\n    include = [\"registry.terraform.io/registrykit/registry\"]\n  }\n  direct {\n    exclude = [\"registry.terraform.io/registrykit/registry\"]\n  }\n}\n", w.path("mirror"))
	if err := os.WriteFile(w.path("terraform.rc"), []byte(rc), 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(w.path("terraform"), 0o700); err != nil {
		return err
	}
	// The lock file holds the hash of the provider as it was built last time.
	if err := os.Remove(w.path("terraform", ".terraform.lock.hcl")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	files, err := filepath.Glob(filepath.Join("examples", "quickstart", "*.tf"))
	if err != nil || len(files) == 0 {
		return errors.New("examples/quickstart/*.tf not found; run this from the root of the repository")
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(w.path("terraform", filepath.Base(file)), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (w *workspace) runTerraform(ctx context.Context, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, w.terraform, append([]string{"-chdir=" + w.path("terraform")}, args...)...)
	cmd.Env = append(withoutRegistry(os.Environ()), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("terraform %s: %w\n%s%s", args[0], err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

// summary says how many objects Terraform keeps now.
func (w *workspace) summary(ctx context.Context, env []string) string {
	out, err := w.runTerraform(ctx, env, "state", "list")
	if err != nil {
		return "applied"
	}
	list := bytes.Fields(out)
	return fmt.Sprintf("applied; it keeps %d resources: %s", len(list), bytes.Join(list, []byte(", ")))
}

// users are the accounts that examples/quickstart/main.tf makes, by its
// outputs.
type users struct {
	ci, reader account
	ca         string
	cert       string
}

type account struct{ name, password string }

func parseUsers(outputs []byte) (users, error) {
	var doc map[string]struct{ Value string }
	if err := json.Unmarshal(outputs, &doc); err != nil {
		return users{}, fmt.Errorf("terraform output: %w", err)
	}
	u := users{
		ci:     account{doc["ci_username"].Value, doc["ci_password"].Value},
		reader: account{doc["reader_username"].Value, doc["reader_password"].Value},
		ca:     doc["ca_certificate_pem"].Value, cert: doc["server_certificate_pem"].Value,
	}
	if u.ci.password == "" || u.reader.password == "" || u.ca == "" || u.cert == "" {
		return users{}, errors.New("terraform output lacks users or certificates")
	}
	return u, nil
}
