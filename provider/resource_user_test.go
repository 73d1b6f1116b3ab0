package provider

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

const userAlice = "registry_user.alice"

// alice is a user with these arguments.
func alice(arguments ...string) string {
	return "resource \"registry_user\" \"alice\" {\n  username = \"alice\"\n  " + strings.Join(arguments, "\n  ") + "\n}\n"
}

const (
	create  = plancheck.ResourceActionCreate
	update  = plancheck.ResourceActionUpdate
	replace = plancheck.ResourceActionReplace
	noop    = plancheck.ResourceActionNoop
)

// Every attribute, set and changed; only another name makes another user.
func TestUserUpdate(t *testing.T) {
	s := startServer(t)
	step := func(action plancheck.ResourceActionType, want client.User, password string, arguments ...string) resource.TestStep {
		want.Username = "alice"
		checks := []statecheck.StateCheck{s.user(want)}
		if password != "" {
			checks = append(checks, s.logsIn("alice", password))
		}
		return resource.TestStep{Config: s.config("%s", alice(arguments...)), ConfigPlanChecks: expectAction(userAlice, action), ConfigStateChecks: checks}
	}
	none, on := []string{}, true
	minimal := step(create, client.User{Policies: none, Enabled: on}, "password-1", `password = "password-1"`)
	minimal.ConfigStateChecks = append(minimal.ConfigStateChecks,
		is(userAlice, "policies", texts()), is(userAlice, "enabled", knownvalue.Bool(true)), is(userAlice, "description", knownvalue.StringExact("")))
	other := resource.TestStep{
		Config:            s.config("%s", strings.ReplaceAll(alice(), `"alice"`+"\n", `"bob"`+"\n")),
		ConfigPlanChecks:  expectAction(userAlice, replace),
		ConfigStateChecks: []statecheck.StateCheck{s.user(client.User{Username: "bob", Policies: none, Enabled: on})},
	}
	unitTest(t, testProvider(),
		minimal,
		step(update, client.User{Policies: none, Enabled: on}, "password-2", `password = "password-2"`),
		step(update, client.User{Policies: []string{"read-only", "read-write"}, Enabled: on}, "password-2", `password = "password-2"`, `policies = ["read-write", "read-only"]`),
		step(noop, client.User{Policies: []string{"read-only", "read-write"}, Enabled: on}, "password-2", `password = "password-2"`, `policies = ["read-only", "read-write"]`),
		step(update, client.User{Policies: none, Enabled: on, Description: "d"}, "password-2", `password = "password-2"`, `description = "d"`),
		step(update, client.User{Policies: none, Enabled: false}, "", `password = "password-2"`, `enabled = false`),
		step(update, client.User{Policies: none, Enabled: on}, "password-2"), // Terraform leaves the password alone
		step(update, client.User{Policies: none, Enabled: on}, "correct horse", fmt.Sprintf("password_hash = %q", someHash)),
		step(update, client.User{Policies: none, Enabled: on}, "password-3", `password_wo = "password-3"`, `password_wo_version = 1`),
		step(noop, client.User{Policies: none, Enabled: on}, "password-3", `password_wo = "password-4"`, `password_wo_version = 1`),
		step(update, client.User{Policies: none, Enabled: on}, "password-4", `password_wo = "password-4"`, `password_wo_version = 2`),
		step(update, client.User{Policies: none, Enabled: on}, "password-1", `password = "password-1"`),
		other,
	)
	s.isEmpty(t)
}

// Whatever somebody else changes shows in the plan and is set right by apply.
func TestUserDrift(t *testing.T) {
	for kind, password := range map[string]string{
		"password": `password = "password-1"`,
		"wo":       "password_wo = \"password-1\"\n password_wo_version = 7",
		"hash":     fmt.Sprintf("password_hash = %q", someHash),
	} {
		t.Run(kind, func(t *testing.T) {
			s := startServer(t)
			works := "password-1"
			if kind == "hash" {
				works = "correct horse"
			}
			config := s.config("%s", alice(password, `policies = ["read-only"]`, `description = "d"`))
			want := client.User{Username: "alice", Policies: []string{"read-only"}, Enabled: true, Description: "d"}
			step := func(change func(*client.UserSpec)) resource.TestStep {
				return resource.TestStep{
					PreConfig: s.behind(t, "alice", change), Config: config, ConfigPlanChecks: expectAction(userAlice, update),
					ConfigStateChecks: []statecheck.StateCheck{s.user(want), s.logsIn("alice", works)},
				}
			}
			other := step(func(u *client.UserSpec) { u.Password = ptr("another-password") })
			steps := []resource.TestStep{{Config: config}, other}
			if kind == "password" {
				steps = append(steps,
					step(func(u *client.UserSpec) { u.Policies = []string{"read-write"} }),
					step(func(u *client.UserSpec) { u.Enabled = false }),
					step(func(u *client.UserSpec) { u.Description = "" }),
					// the password changes again between two refreshes
					resource.TestStep{PreConfig: s.behind(t, "alice", func(u *client.UserSpec) { u.Password = ptr("another-password") }), RefreshState: true, ExpectNonEmptyPlan: true},
					other,
				)
			}
			unitTest(t, testProvider(), steps...)
		})
	}
}

// A password that Terraform does not manage may change.
func TestUserUnmanagedPassword(t *testing.T) {
	s := startServer(t)
	unitTest(t, testProvider(),
		resource.TestStep{Config: s.config("%s", alice())},
		resource.TestStep{
			PreConfig:         s.behind(t, "alice", func(u *client.UserSpec) { u.Password = ptr("another-password") }),
			Config:            s.config("%s", alice()),
			ConfigPlanChecks:  expectAction(userAlice, noop),
			ConfigStateChecks: []statecheck.StateCheck{s.logsIn("alice", "another-password")},
		},
	)
}

// A user that somebody else has deleted is made again, and one that is gone
// before Terraform deletes it is fine.
func TestUserDisappears(t *testing.T) {
	s := startServer(t)
	remove := func() {
		if err := s.admin.DeleteUser(t.Context(), "alice", ""); err != nil {
			t.Error(err)
		}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: s.config("%s", alice())},
		resource.TestStep{PreConfig: remove, Config: s.config("%s", alice()), ConfigPlanChecks: expectAction(userAlice, create)},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodDelete, first(remove))), Config: s.config("%s", alice()), Destroy: true},
	)
}

func TestUserImport(t *testing.T) {
	s := startServer(t)
	managed := s.config("%s", alice(`description = "d"`, `policies = ["read-only"]`))
	unitTest(t, testProvider(),
		resource.TestStep{Config: managed},
		resource.TestStep{ResourceName: userAlice, ImportState: true, ImportStateId: "alice", ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "username"},
		resource.TestStep{ResourceName: userAlice, ImportState: true, ImportStateId: "alice", ImportStateKind: resource.ImportBlockWithID, Config: managed},
		resource.TestStep{ResourceName: userAlice, ImportState: true, ImportStateId: "nobody", ExpectError: says("Cannot import non-existent remote object")},
		resource.TestStep{ResourceName: userAlice, ImportState: true, ImportStateId: "no:body", ExpectError: says(`Invalid user name "no:body"`)},
	)
}

// Terraform 1.12 and later import by identity.
func TestUserIdentity(t *testing.T) {
	s := startServer(t)
	managed := s.config("%s", alice())
	t.Parallel()
	resource.UnitTest(t, resource.TestCase{
		TerraformVersionChecks:   []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_12_0)},
		ProtoV6ProviderFactories: factories(testProvider()),
		Steps: []resource.TestStep{
			{Config: managed, ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectIdentity(userAlice, map[string]knownvalue.Check{"username": knownvalue.StringExact("alice")})}},
			{ResourceName: userAlice, ImportState: true, ImportStateKind: resource.ImportBlockWithResourceIdentity},
		},
	})
}

// A user who was there before is not taken over; imported, its password is set
// as the configuration says.
func TestUserExists(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", alice(`password = "password-1"`))
	unitTest(t, testProvider(),
		resource.TestStep{
			PreConfig: func() {
				if _, err := s.admin.CreateUser(t.Context(), client.UserSpec{Username: "alice", Enabled: true, Password: ptr("another-password")}); err != nil {
					t.Fatal(err)
				}
			},
			Config:      config,
			ExpectError: says(`terraform import registry_user.NAME alice`),
		},
		resource.TestStep{
			Config:            config + "import {\n to = registry_user.alice\n id = \"alice\"\n}\n",
			ConfigPlanChecks:  expectAction(userAlice, update),
			ConfigStateChecks: []statecheck.StateCheck{s.logsIn("alice", "password-1")},
		},
	)
}

func TestUserValidation(t *testing.T) {
	s := &testServer{url: "http://127.0.0.1:1"}
	var steps []resource.TestStep
	for _, c := range []struct{ arguments, complaint string }{
		{`password = "short"`, "is 5 bytes long; at least 8 are needed"},
		{`password = "` + strings.Repeat("x", 73) + `"`, "bcrypt reads at most 72"},
		{"password_wo = \"short\"\n password_wo_version = 1", "at least 8 are needed"},
		{`password_wo = "password-1"`, "password_wo_version"},
		{`password_wo_version = 1`, "password_wo"},
		{"password = \"password-1\"\n password_wo = \"password-1\"\n password_wo_version = 1", "cannot be specified when"},
		{"password = \"password-1\"\n password_hash = \"" + someHash + "\"", "cannot be specified when"},
		{"password_hash = \"" + someHash + "\"\n password_wo = \"password-1\"\n password_wo_version = 1", "cannot be specified when"},
		{`password_hash = "password-1"`, "is not a bcrypt hash"},
		{`password_hash = "` + strings.Replace(someHash, "$04$", "$16$", 1) + `"`, "The bcrypt cost of the password hash is 16"},
		{`policies = ["Admin"]`, `Invalid policy name "Admin"`},
		{`policies = [null]`, "contains a null value"},
		{`description = "` + strings.Repeat("x", 1025) + `"`, "at most 1024"},
	} {
		steps = append(steps, resource.TestStep{Config: s.config("%s", alice(c.arguments)), PlanOnly: true, ExpectError: says(c.complaint)})
	}
	for _, name := range []string{"", "a:b", "-a", "a b", strings.Repeat("a", 129)} {
		steps = append(steps, resource.TestStep{
			Config: s.config("%s", strings.ReplaceAll(alice(), `"alice"`+"\n", fmt.Sprintf("%q\n", name))), PlanOnly: true, ExpectError: says("Invalid user name"),
		})
	}
	unitTest(t, testProvider(), steps...)
}

// Values that are known only after apply.
func TestUserUnknownInputs(t *testing.T) {
	s := startServer(t)
	config := func(password string) string {
		return s.config(`
resource "terraform_data" "all" {
  input = { username = "alice", password = %q, policies = ["read-only"], enabled = true, description = "d", version = 1 }
}
resource "registry_user" "alice" {
  username    = terraform_data.all.output.username
  password    = terraform_data.all.output.password
  policies    = terraform_data.all.output.policies
  enabled     = terraform_data.all.output.enabled
  description = terraform_data.all.output.description
}
resource "registry_user" "wo" {
  username            = "wo"
  password_wo         = terraform_data.all.output.password
  password_wo_version = terraform_data.all.output.version
  policies            = [terraform_data.all.output.policies[0]]
}
resource "registry_user" "hash" {
  username      = "hash"
  password_hash = terraform_data.hash.output
}
resource "terraform_data" "hash" { input = %q }
`, password, someHash)
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config("short"), ExpectError: says("at least 8 are needed")},
		resource.TestStep{
			Config:           config("password-1"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			ConfigStateChecks: []statecheck.StateCheck{
				s.user(client.User{Username: "alice", Policies: []string{"read-only"}, Enabled: true, Description: "d"}),
				s.logsIn("alice", "password-1"), s.logsIn("wo", "password-1"), s.logsIn("hash", "correct horse"),
			},
		},
	)
}

// The last admin stays, and nobody saws off the branch the provider sits on.
func TestUserAdmins(t *testing.T) {
	s := startServer(t)
	root := func(arguments string) string {
		return s.config("import {\n to = registry_user.root\n id = \"admin\"\n}\nresource \"registry_user\" \"root\" {\n username = \"admin\"\n %s\n}\n", arguments)
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: root(`policies = ["admin"]`)},
		resource.TestStep{Config: root(`policies = ["read-only"]`), ExpectError: says("CONFLICT (409)")},
		resource.TestStep{Config: root("policies = [\"admin\"]\n enabled = false"), ExpectError: says("The provider would lock itself out")},
		resource.TestStep{Config: s.config("# nothing"), ExpectError: says("The provider would lock itself out")},
		resource.TestStep{Config: s.config("removed {\n from = registry_user.root\n lifecycle {\n destroy = false\n }\n}\n")},
	)
}
