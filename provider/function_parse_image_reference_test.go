package provider

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

const someDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParseImageReference(t *testing.T) {
	for ref, want := range map[string][5]string{ // registry, repository, tag, digest, familiar name
		"nginx":                     {"docker.io", "library/nginx", "", "", "nginx"},
		"nginx:1.27":                {"docker.io", "library/nginx", "1.27", "", "nginx"},
		"docker.io/nginx":           {"docker.io", "library/nginx", "", "", "nginx"},
		"index.docker.io/nginx":     {"docker.io", "library/nginx", "", "", "nginx"},
		"team/app":                  {"docker.io", "team/app", "", "", "team/app"},
		"localhost/app":             {"localhost", "app", "", "", "localhost/app"},
		"localhost:5000/hello":      {"localhost:5000", "hello", "", "", "localhost:5000/hello"},
		"[::1]:5000/hello:v1":       {"[::1]:5000", "hello", "v1", "", "[::1]:5000/hello"},
		"r.example.com/a/b/c:v1":    {"r.example.com", "a/b/c", "v1", "", "r.example.com/a/b/c"},
		"nginx@" + someDigest:       {"docker.io", "library/nginx", "", someDigest, "nginx"},
		"r.io/a:v1@" + someDigest:   {"r.io", "a", "v1", someDigest, "r.io/a"},
		"Registry.Example.COM/team": {"Registry.Example.COM", "team", "", "", "Registry.Example.COM/team"},
	} {
		got, err := parseImageReference(ref)
		if err != nil {
			t.Errorf("%s: %v", ref, err)
			continue
		}
		for i, v := range []types.String{got.Registry, got.Repository, got.Tag, got.Digest, got.FamiliarName} {
			if v.ValueString() != want[i] || v.IsNull() != (want[i] == "") {
				t.Errorf("%s: part %d is %s, want %q", ref, i, v, want[i])
			}
		}
	}
	for _, ref := range []string{
		"", ":v1", "@" + someDigest, "Nginx", "a//b", "/a", "a/", "a:", "a@sha256:123", "a b", "https://r.io/a", "r.io/A",
		strings.TrimPrefix(someDigest, "sha256:"), "a@" + someDigest + "0", strings.Repeat("a", 256), "a:" + strings.Repeat("t", 129), "ü", "a\x00",
	} {
		if got, err := parseImageReference(ref); err == nil {
			t.Errorf("%q: no error, but %v", ref, got)
		}
	}
}

// The parts make the reference again.
func FuzzParseImageReference(f *testing.F) {
	for _, seed := range []string{"nginx", "localhost:5000/a:v1", "r.io/a/b@" + someDigest, "[::1]:5000/a", "a:", "@", "a//b", "docker.io/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		got, err := parseImageReference(ref)
		if err != nil {
			return
		}
		whole := got.Registry.ValueString() + "/" + got.Repository.ValueString()
		if !got.Tag.IsNull() {
			whole += ":" + got.Tag.ValueString()
		}
		if !got.Digest.IsNull() {
			whole += "@" + got.Digest.ValueString()
		}
		if again, err := parseImageReference(whole); err != nil || again != got {
			t.Errorf("%q became %q, and that %v, %v", ref, whole, again, err)
		}
	})
}

func TestParseImageReferenceFunction(t *testing.T) {
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: `
resource "terraform_data" "ref" { input = "localhost:5000/team/app:v1" }
output "all"     { value = provider::registry::parse_image_reference("nginx") }
output "unknown" { value = provider::registry::parse_image_reference(terraform_data.ref.output).tag }
output "name"    { value = provider::registry::parse_image_reference("localhost:5000/team/app@` + someDigest + `").familiar_name }
`,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectUnknownOutputValue("unknown")}},
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownOutputValue("all", knownvalue.ObjectExact(map[string]knownvalue.Check{
					"registry":      knownvalue.StringExact("docker.io"),
					"repository":    knownvalue.StringExact("library/nginx"),
					"tag":           knownvalue.Null(),
					"digest":        knownvalue.Null(),
					"familiar_name": knownvalue.StringExact("nginx"),
				})),
				statecheck.ExpectKnownOutputValue("unknown", knownvalue.StringExact("v1")),
				statecheck.ExpectKnownOutputValue("name", knownvalue.StringExact("localhost:5000/team/app")),
			},
		},
		resource.TestStep{
			Config:      `output "x" { value = provider::registry::parse_image_reference("https://r.io/app") }`,
			ExpectError: says(`"https://r.io/app" is not an image reference`),
		},
		resource.TestStep{
			Config:      `output "x" { value = provider::registry::parse_image_reference(null) }`,
			ExpectError: says("argument must not be null"),
		},
		resource.TestStep{Config: `output "x" { value = "for the destroy" }`},
	)
}
