package provider

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/config"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

// Neither the password of a source, nor the write-only key of a certificate, nor
// a made password is in a log of the greatest verbosity, in the state, or in what
// a failing run prints.
func TestImageSecretsNotInLogs(t *testing.T) {
	s, from := startServer(t), startServer(t)
	files := openSSLFiles(t)
	const password = "secret-of-the-source-3"
	if _, err := from.admin.CreateUser(t.Context(), client.UserSpec{Username: "mirror", Enabled: true, Policies: []string{"read-only"}, Password: ptr(password)}); err != nil {
		t.Fatal(err)
	}
	from.push(t, randomImage(t, "linux/amd64"), "team/app:1")
	key, err := os.ReadFile(files("named.key"))
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	t.Setenv("TF_ACC_LOG_PATH", log)
	t.Setenv("TF_LOG", "TRACE")
	t.Setenv("TF_LOG_SDK_FRAMEWORK", "TRACE")
	values := config.Variables{"admin": config.StringVariable(adminPassword), "pull": config.StringVariable(password), "key": config.StringVariable(string(key))}
	text := func(tag string) string {
		return fmt.Sprintf(`
variable "admin" { sensitive = true }
variable "pull" { ephemeral = true }
variable "key" { ephemeral = true }
provider "registry" {
  endpoint    = %q
  username    = "admin"
  password    = var.admin
  max_retries = 0
}
%s
resource "registry_server_certificate" "main" {
  name               = "main"
  certificate_pem    = registry_certificate.own.chain_pem
  private_key_pem_wo = registry_certificate.own.private_key_pem
}
resource "registry_certificate" "own" {
  dns_names             = ["registry.example.com"]
  validity_period_hours = 10
}
`, s.url, app(from.host()+"/team/app:"+tag, `source_auth = { username = "mirror", password_wo = var.pull }`)) +
			fmt.Sprintf("resource \"registry_server_certificate\" \"bad\" {\n count = %t ? 1 : 0\n name = \"bad\"\n certificate_pem = registry_certificate.own.chain_pem\n private_key_pem_wo = var.key\n}\n", tag == "bad-key")
	}
	own := ""
	none := statecheckFunc(func(req statecheck.CheckStateRequest) error {
		own, _ = stateOf(req, "registry_certificate.own")["private_key_pem"].(string)
		state := fmt.Sprint(stateOf(req, imageApp), stateOf(req, certificateMain))
		if strings.Contains(state, password) || strings.Contains(state, strings.Split(own, "\n")[1]) {
			return fmt.Errorf("the state holds a secret: %s", state)
		}
		return nil
	})
	unitTestInOrder(t, testProvider(),
		resource.TestStep{Config: text("1"), ConfigVariables: values, ConfigStateChecks: []statecheck.StateCheck{none}},
		resource.TestStep{Config: text("none"), ConfigVariables: values, ExpectError: says("There is no such image")},
		resource.TestStep{Config: text("bad-key"), ConfigVariables: values, ExpectError: says("does not belong to the first certificate")},
		resource.TestStep{Config: text("1"), ConfigVariables: values},
	)
	content, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(content, []byte("copied an image")) {
		t.Fatalf("the log has only %d bytes", len(content))
	}
	for _, secret := range []string{password, adminPassword, strings.Split(own, "\n")[1], strings.Split(string(key), "\n")[1]} {
		if i := bytes.Index(content, []byte(secret)); i >= 0 {
			t.Errorf("the log holds a secret: %s", content[max(0, i-300):min(len(content), i+100)])
		}
	}
}
