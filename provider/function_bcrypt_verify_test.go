package provider

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"golang.org/x/crypto/bcrypt"
)

func TestBcryptVerify(t *testing.T) {
	longest := strings.Repeat("ü", 36)
	made, err := bcrypt.GenerateFromPassword([]byte(longest), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		hash, password string
		want           bool
	}{
		{someHash, "correct horse", true},
		{strings.Replace(someHash, "$2y$", "$2a$", 1), "correct horse", true},
		{strings.Replace(someHash, "$2y$", "$2b$", 1), "correct horse", true},
		{someHash, "Correct horse", false},
		{someHash, "correct horse ", false},
		{someHash, "", false},
		{string(made), longest, true},
		{string(made), longest[:70], false},
	} {
		if got, err := bcryptVerify(c.hash, c.password); err != nil || got != c.want {
			t.Errorf("%s, %q: %t, %v", c.hash, c.password, got, err)
		}
	}
	_, err = bcryptVerify(string(made), longest+"more")
	check(t, "76 bytes", err, "bcrypt reads at most 72")
	if strings.Contains(fmt.Sprint(err), "ü") {
		t.Errorf("the password is in the error: %v", err)
	}
}

func TestBcryptVerifyFunction(t *testing.T) {
	call := func(hash, password string) string {
		return fmt.Sprintf("provider::registry::bcrypt_verify(%s, %s)", hash, password)
	}
	hash := fmt.Sprintf("%q", someHash)
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: `
variable "password" {
  default   = "correct horse"
  sensitive = true
}
resource "terraform_data" "password" { input = "correct horse" }
output "right"   { value = ` + call(hash, `"correct horse"`) + ` }
output "wrong"   { value = ` + call(hash, `"wrong horse"`) + ` }
output "unknown" { value = ` + call(hash, `terraform_data.password.output`) + ` }
output "secret"  { value = issensitive(` + call(hash, `var.password`) + `) }
`,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectUnknownOutputValue("unknown")}},
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownOutputValue("right", knownvalue.Bool(true)),
				statecheck.ExpectKnownOutputValue("wrong", knownvalue.Bool(false)),
				statecheck.ExpectKnownOutputValue("unknown", knownvalue.Bool(true)),
				statecheck.ExpectKnownOutputValue("secret", knownvalue.Bool(true)),
			},
		},
		resource.TestStep{Config: `output "x" { value = ` + call(`"a plain password"`, `"a plain password"`) + ` }`, ExpectError: says("the password hash is not a bcrypt hash")},
		resource.TestStep{Config: `output "x" { value = ` + call(hash, `join("", [for i in range(73) : "x"])`) + ` }`, ExpectError: says("bcrypt reads at most 72")},
		resource.TestStep{Config: `output "x" { value = ` + call(hash, "null") + ` }`, ExpectError: says("argument must not be null")},
		resource.TestStep{Config: `output "x" { value = "for the destroy" }`},
	)
}
