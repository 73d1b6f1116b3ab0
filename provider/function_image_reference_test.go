package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

// partsOf makes the argument; "" is null.
func partsOf(registry, repository, tag, digest string) referenceParts {
	text := func(s string) types.String {
		if s == "" {
			return types.StringNull()
		}
		return types.StringValue(s)
	}
	return referenceParts{text(registry), text(repository), text(tag), text(digest)}
}

func TestImageReference(t *testing.T) {
	for want, parts := range map[string]referenceParts{
		"docker.io/library/nginx":               partsOf("docker.io", "library/nginx", "", ""),
		"docker.io/library/nginx:1.27":          partsOf("index.docker.io", "nginx", "1.27", ""),
		"localhost/app":                         partsOf("localhost", "app", "", ""),
		"localhost:5000/hello:v1":               partsOf("localhost:5000", "hello", "v1", ""),
		"[::1]:5000/hello":                      partsOf("[::1]:5000", "hello", "", ""),
		"r.io/a/b@" + someDigest:                partsOf("r.io", "a/b", "", someDigest),
		"r.io/a:v1@" + someDigest:               partsOf("r.io", "a", "v1", someDigest),
		"Registry.Example.COM/team/app:V1.0-rc": partsOf("Registry.Example.COM", "team/app", "V1.0-rc", ""),
	} {
		if got, err := parts.join(); err != nil || got != want {
			t.Errorf("%v: %s, %v; want %s", parts, got, err, want)
		}
	}
	empty := types.StringValue("")
	for complaint, parts := range map[string]referenceParts{
		"the registry is missing":              partsOf("", "a", "", ""),
		"the repository is missing":            partsOf("r.io", "", "", ""),
		`"team" is not a registry`:             partsOf("team", "app", "", ""),
		`"r.io/team" is not a registry`:        partsOf("r.io/team", "app", "", ""),
		`"a:v1" is not the name`:               partsOf("r.io", "a:v1", "", ""),
		`"v1@` + someDigest + `" is not a tag`: partsOf("r.io", "a", "v1@"+someDigest, ""),
		"do not make an image reference":       partsOf("r.io", "A", "", ""),
		`"r.io/a:": invalid`:                   {types.StringValue("r.io"), types.StringValue("a"), empty, types.StringNull()},
		`"r.io/a@": invalid`:                   {types.StringValue("r.io"), types.StringValue("a"), types.StringNull(), empty},
		`"https://r.io/a"`:                     partsOf("https://r.io", "a", "", ""),
	} {
		_, err := parts.join()
		check(t, complaint, err, complaint)
	}
}

// What the function makes, parse_image_reference takes apart into the same.
func FuzzImageReference(f *testing.F) {
	f.Add("docker.io", "library/nginx", "1.27", "")
	f.Add("localhost:5000", "a/b", "", someDigest)
	f.Add("r.io/a", "b:c", "d@e", "")
	f.Add("index.docker.io", "nginx", "", "")
	f.Fuzz(func(t *testing.T, registry, repository, tag, digest string) {
		parts := partsOf(registry, repository, tag, digest)
		text, err := parts.join()
		if err != nil {
			return
		}
		got, err := parseImageReference(text)
		if err != nil || !got.Tag.Equal(parts.Tag) || !got.Digest.Equal(parts.Digest) {
			t.Fatalf("%v made %q, and that %v, %v", parts, text, got, err)
		}
		again, err := referenceParts{got.Registry, got.Repository, got.Tag, got.Digest}.join()
		if err != nil || again != text {
			t.Errorf("%q became %q, %v", text, again, err)
		}
	})
}

func TestImageReferenceFunction(t *testing.T) {
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: `
resource "terraform_data" "tag" { input = "v1" }
output "known"   { value = provider::registry::image_reference({ registry = "localhost:5000", repository = "team/app", tag = null, digest = "` + someDigest + `" }) }
output "unknown" { value = provider::registry::image_reference({ registry = "localhost:5000", repository = "team/app", tag = terraform_data.tag.output, digest = null }) }
output "mirror"  { value = provider::registry::image_reference(merge(provider::registry::parse_image_reference("nginx:1.27"), { registry = "r.example.com" })) }
`,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectUnknownOutputValue("unknown")}},
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownOutputValue("known", knownvalue.StringExact("localhost:5000/team/app@"+someDigest)),
				statecheck.ExpectKnownOutputValue("unknown", knownvalue.StringExact("localhost:5000/team/app:v1")),
				statecheck.ExpectKnownOutputValue("mirror", knownvalue.StringExact("r.example.com/library/nginx:1.27")),
			},
		},
		resource.TestStep{
			Config:      `output "x" { value = provider::registry::image_reference({ registry = "team", repository = "app", tag = null, digest = null }) }`,
			ExpectError: says(`"team" is not a registry`),
		},
		resource.TestStep{
			Config:      `output "x" { value = provider::registry::image_reference({ registry = "r.io", repository = "app", tga = "v1", digest = null }) }`,
			ExpectError: says(`"tag" is required`),
		},
		resource.TestStep{
			Config:      `output "x" { value = provider::registry::image_reference(null) }`,
			ExpectError: says("argument must not be null"),
		},
		resource.TestStep{Config: `output "x" { value = "for the destroy" }`},
	)
}
