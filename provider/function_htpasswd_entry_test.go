package provider

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

// someHash is what htpasswd -nbBC 4 alice 'correct horse' makes.
const someHash = "$2y$04$3XzyvdAGl26Q0YRgHJLAJ.W/L2vEG5e8pQUAesstXA4Cr0kd34mgm"

func TestHtpasswdNames(t *testing.T) {
	check(t, "alice", checkHtpasswdName("alice"), "")
	check(t, "Ännchen von Tharau", checkHtpasswdName("Ännchen von Tharau"), "")
	check(t, "", checkHtpasswdName(""), "is empty")
	check(t, "a:b", checkHtpasswdName("a:b"), "a colon")
	check(t, "#a", checkHtpasswdName("#a"), "a comment")
	check(t, " a", checkHtpasswdName(" a"), "white space")
	check(t, "a\t", checkHtpasswdName("a\t"), "white space")
	check(t, "a\nb", checkHtpasswdName("a\nb"), "control character")
	check(t, "\xff", checkHtpasswdName("\xff"), "control character")
}

// Whatever the name is, an entry stays one line of two fields.
func FuzzHtpasswdName(f *testing.F) {
	for _, seed := range []string{"alice", "a:b", "#", " a", "a\nb", "\xff", "ü"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if checkHtpasswdName(name) != nil {
			return
		}
		entry := name + ":" + someHash
		if strings.ContainsAny(entry, "\n\r") || strings.Count(entry, ":") != 1 || strings.TrimSpace(entry) != entry {
			t.Errorf("%q makes the entry %q", name, entry)
		}
	})
}

func TestHtpasswdEntryFunction(t *testing.T) {
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: `
resource "terraform_data" "name" { input = "bob" }
output "alice" { value = provider::registry::htpasswd_entry("alice", "` + someHash + `") }
output "bob"   { value = provider::registry::htpasswd_entry(terraform_data.name.output, "` + someHash + `") }
`,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectUnknownOutputValue("bob")}},
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownOutputValue("alice", knownvalue.StringExact("alice:"+someHash)),
				statecheck.ExpectKnownOutputValue("bob", knownvalue.StringExact("bob:"+someHash)),
			},
		},
		resource.TestStep{
			Config:      `output "x" { value = provider::registry::htpasswd_entry("a:b", "` + someHash + `") }`,
			ExpectError: says("the user name holds a colon"),
		},
		resource.TestStep{
			Config:      `output "x" { value = provider::registry::htpasswd_entry("alice", "a plain password") }`,
			ExpectError: says("the password hash is not a bcrypt hash"),
		},
		resource.TestStep{
			Config:      `output "x" { value = provider::registry::htpasswd_entry("alice", null) }`,
			ExpectError: says("argument must not be null"),
		},
		resource.TestStep{Config: `output "x" { value = "for the destroy" }`},
	)
}
