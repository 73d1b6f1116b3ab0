package provider

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/config"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

// terraformBlock is the block that says where the provider comes from; in a
// test it comes from the test.
var terraformBlock = regexp.MustCompile(`(?ms)^terraform \{.*?^\}\n`)

var variableRE = regexp.MustCompile(`(?m)^variable "(\w+)"`)

// example reads the example files that a pattern matches, as one configuration.
func example(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "examples", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no example %s, %v", pattern, err)
	}
	text := ""
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text += string(content)
	}
	return terraformBlock.ReplaceAllString(text, "")
}

// passwordsFor gives a password to every variable of a configuration.
func passwordsFor(text string) config.Variables {
	variables := config.Variables{}
	for _, match := range variableRE.FindAllStringSubmatch(text, -1) {
		variables[match[1]] = config.StringVariable("a-password-for-" + match[1])
	}
	return variables
}

// Every example of the documentation can be applied as it is, and a second
// plan is empty.
func TestExamples(t *testing.T) {
	for _, pattern := range []string{
		"resources/registry_user/resource*.tf",
		"resources/registry_policy/resource*.tf",
		"resources/registry_proxy_cache/resource*.tf",
		"resources/registry_replication/resource*.tf",
		"resources/registry_certificate/resource*.tf",
		"resources/registry_server_certificate/resource*.tf",
		"resources/registry_repository/resource*.tf",
		"resources/registry_retention_policy/resource*.tf",
		"data-sources/registry_retention_preview/data-source*.tf",
		"resources/registry_webhook/resource*.tf",
		"data-sources/registry_repository/data-source*.tf",
		"data-sources/registry_repositories/data-source*.tf",
		"data-sources/registry_server/data-source*.tf",
		"ephemeral-resources/registry_password/ephemeral-resource*.tf",
		"data-sources/registry_access_check/data-source*.tf",
		"data-sources/registry_policy/data-source*.tf",
		"data-sources/registry_user/data-source*.tf",
		"data-sources/registry_users/data-source*.tf",
		"ephemeral-resources/registry_token/ephemeral-resource*.tf",
		"functions/parse_image_reference/function*.tf",
		"functions/image_reference/function*.tf",
		"functions/semver_tags/function*.tf",
		"functions/bcrypt_verify/function*.tf",
		"functions/docker_config_json/function*.tf",
		"functions/ecr_lifecycle_rules/function*.tf",
		"functions/htpasswd_entry/function*.tf",
	} {
		t.Run(filepath.Base(filepath.Dir(pattern)), func(t *testing.T) {
			s := startServer(t)
			text := example(t, pattern)
			unitTest(t, testProvider(), resource.TestStep{
				Config: s.config("") + text, ConfigVariables: passwordsFor(text),
				ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			})
			s.isEmpty(t)
		})
	}
}

// The import blocks of the documentation import what its examples make.
func TestExamplesImport(t *testing.T) {
	for name, id := range map[string]string{
		"registry_user.ci":                 "ci",
		"registry_policy.team":             "team",
		"registry_proxy_cache.docker_hub":  "docker.io",
		"registry_replication.standby":     "standby",
		"registry_server_certificate.main": "main",
		"registry_repository.app":          "team/app",
		"registry_retention_policy.ci":     "ci",
		"registry_webhook.ci":              "ci",
	} {
		t.Run(name, func(t *testing.T) {
			kind, _, _ := strings.Cut(name, ".")
			s := startServer(t)
			text := s.config("") + example(t, "resources/"+kind+"/resource.tf")
			block := example(t, "resources/"+kind+"/import-by-string-id.tf")
			shell := example(t, "resources/"+kind+"/import.sh")
			if want := "terraform import " + name + " " + id + "\n"; !strings.HasSuffix(shell, want) {
				t.Errorf("import.sh is %q, want %q", shell, want)
			}
			forget := fmt.Sprintf("removed {\n from = %s\n lifecycle {\n destroy = false\n }\n}\n", name)
			unitTest(t, testProvider(),
				resource.TestStep{Config: text, ConfigVariables: passwordsFor(text)},
				resource.TestStep{Config: s.config("%s", forget)},
				resource.TestStep{
					Config: text + block, ConfigVariables: passwordsFor(text),
					ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
				},
			)
		})
	}
}

// The example of the provider block, with the address and the CA of a server
// that is here.
func TestExampleProvider(t *testing.T) {
	s := newServer(t)
	listener := httptest.NewTLSServer(s)
	t.Cleanup(listener.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte(encodePEM("CERTIFICATE", listener.Certificate().Raw)), 0o600); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("https://registry.example.com", listener.URL, "${path.module}/ca.pem", ca).Replace(example(t, "provider/provider.tf"))
	unitTest(t, testProvider(), resource.TestStep{
		Config:            text + `data "registry_server" "this" {}`,
		ConfigVariables:   config.Variables{"admin_password": config.StringVariable(adminPassword)},
		ConfigStateChecks: []statecheck.StateCheck{is("data.registry_server.this", "endpoint", knownvalue.StringExact(listener.URL))},
	})
}

// The Terraform side of the quickstart.
func TestExampleQuickstart(t *testing.T) {
	s := startServer(t)
	p := testProvider()
	environ := map[string]string{"REGISTRY_ENDPOINT": s.url, "REGISTRY_USERNAME": "admin", "REGISTRY_PASSWORD": adminPassword}
	p.getenv = func(name string) string { return environ[name] }
	random := statecheckFunc(func(req statecheck.CheckStateRequest) error {
		for _, name := range []string{"operator", "ci", "reader"} {
			output, ok := req.State.Values.Outputs[name+"_password"]
			password, isText := output.Value.(string)
			if !ok || !isText || !output.Sensitive || s.login(name, password) != 200 {
				return fmt.Errorf("the password of %s does not work", name)
			}
		}
		return nil
	})
	given := config.Variables{"passwords": config.MapVariable(map[string]config.Variable{"ci": config.StringVariable("password-of-ci")})}
	text := example(t, "quickstart/*.tf")
	unitTest(t, p,
		resource.TestStep{
			Config:            text,
			ConfigStateChecks: []statecheck.StateCheck{random, checkCertificates{certificateCA, certificateServer}},
			ConfigPlanChecks:  expectAction("registry_user.ci", create),
		},
		resource.TestStep{
			Config: text, ConfigVariables: given, ConfigPlanChecks: expectAction("registry_user.ci", update),
			ConfigStateChecks: []statecheck.StateCheck{random, s.logsIn("ci", "password-of-ci")},
		},
	)
	s.isEmpty(t)
}
