package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

func TestUserDataSource(t *testing.T) {
	s := startServer(t)
	if _, err := s.admin.CreateUser(t.Context(), client.UserSpec{Username: "robot", Policies: []string{"read-write", "read-only"}, Description: "of the lab"}); err != nil {
		t.Fatal(err)
	}
	const robot = "data.registry_user.robot"
	text := s.config(`data "registry_user" "robot" { username = "robot" }`)
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: text,
			ConfigStateChecks: []statecheck.StateCheck{
				is(robot, "policies", texts("read-only", "read-write")),
				is(robot, "enabled", knownvalue.Bool(false)),
				is(robot, "description", knownvalue.StringExact("of the lab")),
				is(robot, "has_password", knownvalue.Bool(false)),
				is(robot, "created_at", knownvalue.StringRegexp(rfc3339)),
				is(robot, "updated_at", knownvalue.StringRegexp(rfc3339)),
			},
		},
		resource.TestStep{
			PreConfig: s.behind(t, "robot", func(u *client.UserSpec) { u.Password, u.Enabled, u.Policies = ptr("robots-password"), true, nil }),
			Config:    text,
			ConfigStateChecks: []statecheck.StateCheck{
				is(robot, "has_password", knownvalue.Bool(true)), is(robot, "enabled", knownvalue.Bool(true)), is(robot, "policies", texts()),
			},
		},
		resource.TestStep{Config: s.config(`data "registry_user" "x" { username = "nobody" }`), ExpectError: says(`The registry has no user "nobody"`)},
		resource.TestStep{Config: s.config(`data "registry_user" "x" { username = "a b" }`), ExpectError: says("Invalid user name")},
		resource.TestStep{PreConfig: s.fail(status(500)), Config: text, ExpectError: says(`Could not read the user "robot"`)},
		// A name that only the apply knows.
		resource.TestStep{
			PreConfig: s.fail(),
			Config: s.config(`
resource "terraform_data" "name" { input = "robot" }
data "registry_user" "robot" { username = terraform_data.name.output }
`),
			ConfigStateChecks: []statecheck.StateCheck{is(robot, "username", knownvalue.StringExact("robot"))},
		},
	)
}
