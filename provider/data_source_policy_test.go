package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

func TestPolicyDataSource(t *testing.T) {
	s := startServer(t)
	if _, err := s.admin.CreatePolicy(t.Context(), client.PolicySpec{Name: "team", Description: "of the lab", Anonymous: true, Rules: []client.Rule{
		{Repositories: []string{"team/*", "lab"}, Actions: []string{"push", "pull"}},
	}}); err != nil {
		t.Fatal(err)
	}
	rule := func(repositories, actions knownvalue.Check) knownvalue.Check {
		return knownvalue.ListExact([]knownvalue.Check{knownvalue.ObjectExact(map[string]knownvalue.Check{"repositories": repositories, "actions": actions})})
	}
	const team, builtIn = "data.registry_policy.team", "data.registry_policy.built_in"
	text := s.config(`
data "registry_policy" "team" { name = "team" }
data "registry_policy" "built_in" { name = "read-only" }
`)
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: text,
			ConfigStateChecks: []statecheck.StateCheck{
				is(team, "description", knownvalue.StringExact("of the lab")),
				is(team, "anonymous", knownvalue.Bool(true)),
				is(team, "built_in", knownvalue.Bool(false)),
				is(team, "rules", rule(texts("team/*", "lab"), texts("push", "pull"))),
				is(team, "created_at", knownvalue.StringRegexp(rfc3339)),
				is(team, "updated_at", knownvalue.StringRegexp(rfc3339)),
				is(builtIn, "built_in", knownvalue.Bool(true)),
				is(builtIn, "rules", rule(texts("**"), texts("pull"))),
				is(builtIn, "created_at", knownvalue.Null()),
			},
		},
		resource.TestStep{Config: s.config(`data "registry_policy" "x" { name = "nothing" }`), ExpectError: says(`The registry has no policy "nothing"`)},
		resource.TestStep{Config: s.config(`data "registry_policy" "x" { name = "A" }`), ExpectError: says("Invalid policy name")},
		resource.TestStep{PreConfig: s.fail(status(500)), Config: text, ExpectError: says(`Could not read the policy`)},
	)
}
