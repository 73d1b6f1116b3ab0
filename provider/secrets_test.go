package provider

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/config"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

// The secrets of this test are long enough to be found anywhere.
const (
	secretPassword  = "secret-in-clear-1"
	secretWriteOnly = "secret-write-only-2"
)

// No secret is in a log of the greatest verbosity, of Terraform or of the
// provider, nor in what a failing run prints.
func TestSecretsNotInLogs(t *testing.T) {
	s := startServer(t)
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	t.Setenv("TF_ACC_LOG_PATH", log)
	t.Setenv("TF_LOG", "TRACE")
	t.Setenv("TF_LOG_SDK_FRAMEWORK", "TRACE")
	// As variables, since the test framework logs the configuration.
	values := config.Variables{
		"admin": config.StringVariable(adminPassword), "clear": config.StringVariable(secretPassword),
		"write_only": config.StringVariable(secretWriteOnly), "hash": config.StringVariable(someHash),
	}
	text := func(extra string) string {
		return fmt.Sprintf(`
variable "admin" { sensitive = true }
variable "clear" {}
variable "write_only" { ephemeral = true }
variable "hash" {}
provider "registry" {
  endpoint = %q
  username = "admin"
  password = var.admin
}
resource "registry_user" "clear" {
  username = "clear"
  password = var.clear
  %[2]s
}
resource "registry_user" "wo" {
  username            = "wo"
  password_wo         = var.write_only
  password_wo_version = 1
  %[2]s
}
resource "registry_user" "hash" {
  username      = "hash"
  password_hash = var.hash
  %[2]s
}
resource "registry_webhook" "clear" {
  name          = "clear"
  url           = "https://ci.example.com/"
  secret        = var.clear
  authorization = var.clear
}
resource "registry_webhook" "wo" {
  name                     = "wo"
  url                      = "https://ci.example.com/"
  secret_wo                = var.write_only
  secret_wo_version        = 1
  authorization_wo         = var.write_only
  authorization_wo_version = 1
}
`, s.url, extra) + serverConfig()
	}
	key := ""
	unitTestInOrder(t, testProvider(),
		resource.TestStep{Config: text(""), ConfigVariables: values, ConfigStateChecks: []statecheck.StateCheck{
			statecheck.ExpectSensitiveValue("registry_user.clear", tfjsonpath.New("password")),
			statecheck.ExpectSensitiveValue("registry_user.hash", tfjsonpath.New("password_hash")),
			statecheck.ExpectSensitiveValue("registry_webhook.clear", tfjsonpath.New("secret")),
			statecheck.ExpectSensitiveValue("registry_webhook.clear", tfjsonpath.New("authorization")),
			statecheckFunc(func(req statecheck.CheckStateRequest) error {
				key, _ = stateOf(req, certificateServer)["private_key_pem"].(string)
				return nil
			}),
		}},
		resource.TestStep{
			PreConfig:       s.fail(s.on(http.MethodPut, status(400))),
			ConfigVariables: values,
			Config:          text(`description = "changed"`),
			ExpectError:     says("400"),
		},
		resource.TestStep{PreConfig: s.fail(), ConfigVariables: values, Config: text(`policies = ["no-such-policy"]`), ExpectError: says("no-such-policy")},
		resource.TestStep{PreConfig: s.fail(), ConfigVariables: values, Config: text("")},
	)
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if len(content) < 10_000 || !bytes.Contains(content, []byte("registry provider configured")) {
		t.Fatalf("the log has only %d bytes: %.500s", len(content), content)
	}
	lines := strings.Split(key, "\n")
	if len(lines) < 3 {
		t.Fatal("there is no key")
	}
	for _, secret := range append(secrets(), lines[1]) {
		if i := bytes.Index(content, []byte(secret)); i >= 0 {
			t.Errorf("the log holds a secret: %s", content[max(0, i-300):min(len(content), i+100)])
		}
	}
}

func secrets() []string {
	return []string{secretPassword, secretWriteOnly, someHash[7:], adminPassword}
}

// A write-only password is in neither plan nor state.
func TestWriteOnlySecrets(t *testing.T) {
	s := startServer(t)
	files := openSSLFiles(t)
	key, err := os.ReadFile(files("ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	absent := statecheckFunc(func(req statecheck.CheckStateRequest) error {
		text := fmt.Sprint(stateOf(req, "registry_user.alice"), stateOf(req, webhookCI), stateOf(req, certificateServer)["issuer"])
		if strings.Contains(text, secretWriteOnly) || strings.Contains(text, strings.Split(string(key), "\n")[1]) {
			return fmt.Errorf("the state holds a secret: %s", text)
		}
		return nil
	})
	unitTest(t, testProvider(), resource.TestStep{
		Config: s.config("%s", alice(fmt.Sprintf("password_wo = %q", secretWriteOnly), "password_wo_version = 1")) +
			ciHook(fmt.Sprintf("secret_wo = %[1]q\n authorization_wo = %[1]q", secretWriteOnly), "secret_wo_version = 1", "authorization_wo_version = 1") +
			serverConfig(fmt.Sprintf("issuer = {\n certificate_pem = file(%q)\n private_key_pem_wo = file(%q)\n }", files("ca.pem"), files("ca.key"))),
		ConfigStateChecks: []statecheck.StateCheck{absent, s.logsIn("alice", secretWriteOnly)},
	})
}

// statecheckFunc is a function that checks the state.
type statecheckFunc func(statecheck.CheckStateRequest) error

func (f statecheckFunc) CheckState(_ context.Context, req statecheck.CheckStateRequest, resp *statecheck.CheckStateResponse) {
	resp.Error = f(req)
}
