package provider

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

func loginOf(username, password string) login {
	return login{types.StringValue(username), types.StringValue(password)}
}

func TestDockerConfigJSON(t *testing.T) {
	ok := loginOf("alice", "secret-password")
	for registry, key := range map[string]string{
		"registry.example.com":        "registry.example.com",
		"localhost:5000":              "localhost:5000",
		"[::1]:5000":                  "[::1]:5000",
		"registry.example.com/team":   "registry.example.com/team",
		"docker.io":                   "https://index.docker.io/v1/",
		"index.docker.io":             "https://index.docker.io/v1/",
		"https://index.docker.io/v1/": "https://index.docker.io/v1/",
	} {
		got, err := dockerConfigJSON(map[string]login{registry: ok})
		want := `{"auths":{"` + key + `":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("alice:secret-password")) + `"}}}`
		if err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", registry, got, err, want)
		}
	}
	for complaint, logins := range map[string]map[string]login{
		"without https://":                       {"https://registry.example.com": ok},
		"is not a registry":                      {"a b": ok},
		"the user name is empty":                 {"r": loginOf("", "p")},
		"the user name holds a colon":            {"r": loginOf("a:b", "p")},
		"the password is empty":                  {"r": {types.StringValue("a"), types.StringNull()}},
		"the password holds NUL":                 {"r": loginOf("a", "secret-password\x00")},
		"another one for the same registry, htt": {"docker.io": ok, "index.docker.io": ok},
	} {
		_, err := dockerConfigJSON(logins)
		check(t, complaint, err, complaint)
		if err != nil && strings.Contains(err.Error(), "secret-password") {
			t.Errorf("the password is in the error: %v", err)
		}
	}
}

// What comes out is JSON that gives user name and password back, and does not
// depend on the order of the map.
func FuzzDockerConfigJSON(f *testing.F) {
	f.Add("r.example.com", "alice", "p")
	f.Add("docker.io", "a:b", "\"\\<&>")
	f.Add("[::1]:5000", "ü", "\x00")
	f.Fuzz(func(t *testing.T, registry, username, password string) {
		text, err := dockerConfigJSON(map[string]login{registry: loginOf(username, password)})
		if err != nil {
			return
		}
		var parsed struct {
			Auths map[string]struct{ Auth string }
		}
		if err := json.Unmarshal([]byte(text), &parsed); err != nil || len(parsed.Auths) != 1 {
			t.Fatalf("%s: %v", text, err)
		}
		for _, entry := range parsed.Auths {
			got, err := base64.StdEncoding.DecodeString(entry.Auth)
			if err != nil || string(got) != username+":"+password {
				t.Errorf("%q:%q came back as %q, %v", username, password, got, err)
			}
		}
	})
}

func TestDockerConfigJSONFunction(t *testing.T) {
	const call = `provider::registry::docker_config_json({ "localhost:5000" = { username = "alice", password = %s } })`
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: `
variable "password" {
  default   = "secret-password"
  sensitive = true
}
resource "terraform_data" "password" { input = "secret-password" }
output "known"   { value = ` + strings.Replace(call, "%s", `"secret-password"`, 1) + ` }
output "unknown" { value = ` + strings.Replace(call, "%s", `terraform_data.password.output`, 1) + ` }
output "secret"  { value = issensitive(` + strings.Replace(call, "%s", `var.password`, 1) + `) }
output "none"    { value = provider::registry::docker_config_json({}) }
`,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectUnknownOutputValue("unknown")}},
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownOutputValue("known", knownvalue.StringExact(`{"auths":{"localhost:5000":{"auth":"YWxpY2U6c2VjcmV0LXBhc3N3b3Jk"}}}`)),
				statecheck.ExpectKnownOutputValue("unknown", knownvalue.StringExact(`{"auths":{"localhost:5000":{"auth":"YWxpY2U6c2VjcmV0LXBhc3N3b3Jk"}}}`)),
				statecheck.ExpectKnownOutputValue("secret", knownvalue.Bool(true)),
				statecheck.ExpectKnownOutputValue("none", knownvalue.StringExact(`{"auths":{}}`)),
			},
		},
		resource.TestStep{
			Config:      `output "x" { value = ` + strings.Replace(call, "%s", "null", 1) + ` }`,
			ExpectError: says("the password is empty"),
		},
		resource.TestStep{
			Config:      `output "x" { value = provider::registry::docker_config_json({ "https://r.io" = { username = "a", password = "b" } }) }`,
			ExpectError: says("without https://"),
		},
		resource.TestStep{Config: `output "x" { value = "for the destroy" }`},
	)
}
