package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

func TestAccessCheckDataSource(t *testing.T) {
	s := startServer(t)
	if _, err := s.admin.CreatePolicy(t.Context(), client.PolicySpec{Name: "team", Rules: []client.Rule{
		{Repositories: []string{"other"}, Actions: []string{"pull"}}, {Repositories: []string{"team/*"}, Actions: []string{"pull", "push"}},
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.admin.CreateUser(t.Context(), client.UserSpec{Username: "ci", Policies: []string{"team"}, Enabled: true}); err != nil {
		t.Fatal(err)
	}
	const push, remove, stranger = "data.registry_access_check.push", "data.registry_access_check.delete", "data.registry_access_check.stranger"
	text := s.config(`
data "registry_access_check" "push" {
  username   = "ci"
  repository = "team/app"
  action     = "push"
}
data "registry_access_check" "delete" {
  username   = "ci"
  repository = "team/app"
  action     = "delete"
}
data "registry_access_check" "stranger" {
  repository = "team/app"
  action     = "pull"
}
`)
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: text,
			ConfigStateChecks: []statecheck.StateCheck{
				is(push, "allowed", knownvalue.Bool(true)),
				is(push, "reason", knownvalue.StringExact("policy")),
				is(push, "policy", knownvalue.StringExact("team")),
				is(push, "rule_index", knownvalue.Int64Exact(1)),
				is(push, "rule", knownvalue.ObjectExact(map[string]knownvalue.Check{"repositories": texts("team/*"), "actions": texts("pull", "push")})),
				is(push, "explanation", knownvalue.StringExact("user ci has the policy team, whose rule 1 allows it")),
				is(remove, "allowed", knownvalue.Bool(false)),
				is(remove, "reason", knownvalue.StringExact("no_policy")),
				is(remove, "policy", knownvalue.Null()),
				is(remove, "rule", knownvalue.Null()),
				is(remove, "rule_index", knownvalue.Null()),
				is(stranger, "allowed", knownvalue.Bool(false)),
				is(stranger, "username", knownvalue.Null()),
			},
		},
		resource.TestStep{
			PreConfig:         s.behind(t, "ci", func(u *client.UserSpec) { u.Enabled = false }),
			Config:            text,
			ConfigStateChecks: []statecheck.StateCheck{is(push, "allowed", knownvalue.Bool(false)), is(push, "reason", knownvalue.StringExact("disabled"))},
		},
		resource.TestStep{
			Config: s.config(`
data "registry_access_check" "x" {
  repository = "Upper"
  action     = "fly"
}`),
			ExpectError: says("Invalid action"),
		},
		resource.TestStep{PreConfig: s.fail(status(500)), Config: text, ExpectError: says("Could not check who may")},
	)
}
