package provider

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

const policyTeam = "registry_policy.team"

// rule writes a rule; its arguments are separated by spaces.
func rule(repositories, actions string) string {
	quote := func(list string) string { return `["` + strings.Join(strings.Fields(list), `", "`) + `"]` }
	return fmt.Sprintf("{ repositories = %s, actions = %s }", quote(repositories), quote(actions))
}

// team is a policy with these rules and arguments.
func team(rules string, arguments ...string) string {
	return fmt.Sprintf("resource \"registry_policy\" \"team\" {\n name = \"team\"\n rules = [%s]\n %s\n}\n", rules, strings.Join(arguments, "\n "))
}

// policy expects the policy to be as want says.
func (s *testServer) policy(want client.Policy) statecheck.StateCheck {
	return serverCheck(func() error {
		got, err := s.admin.GetPolicy(context.Background(), want.Name)
		if err != nil {
			return err
		}
		got.Revision, got.CreatedAt, got.UpdatedAt = "", time.Time{}, time.Time{}
		if diff := cmp.Diff(ruleKeys(want.Rules), ruleKeys(got.Rules)); diff != "" {
			return fmt.Errorf("the rules differ: %s", diff)
		}
		got.Rules = want.Rules
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("the server has another policy: %s", diff)
		}
		return nil
	})
}

func rules(list ...[2]string) []client.Rule {
	all := []client.Rule{}
	for _, r := range list {
		all = append(all, client.Rule{Repositories: strings.Fields(r[0]), Actions: strings.Fields(r[1])})
	}
	return all
}

// Every attribute, set and changed; only another name makes another policy.
func TestPolicyUpdate(t *testing.T) {
	s := startServer(t)
	step := func(action plancheck.ResourceActionType, want client.Policy, config string) resource.TestStep {
		if want.Name == "" {
			want.Name = "team"
		}
		return resource.TestStep{Config: s.config("%s", config), ConfigPlanChecks: expectAction(policyTeam, action), ConfigStateChecks: []statecheck.StateCheck{s.policy(want)}}
	}
	one, two := [2]string{"team/*", "pull push"}, [2]string{"** base/a", "pull"}
	minimal := step(create, client.Policy{Rules: rules(one)}, team(rule(one[0], one[1])))
	minimal.ConfigStateChecks = append(minimal.ConfigStateChecks,
		is(policyTeam, "description", knownvalue.StringExact("")), is(policyTeam, "anonymous", knownvalue.Bool(false)))
	unitTest(t, testProvider(),
		minimal,
		step(update, client.Policy{Rules: rules(one, two)}, team(rule(one[0], one[1])+","+rule(two[0], two[1]))),
		step(noop, client.Policy{Rules: rules(one, two)}, team(rule(one[0], "push pull")+","+rule("base/a **", "pull"))),
		step(update, client.Policy{Rules: rules(one, two)}, team(rule(two[0], two[1])+","+rule(one[0], one[1]))),
		step(update, client.Policy{Rules: rules([2]string{"team/*", "delete"})}, team(rule("team/*", "delete"))),
		step(update, client.Policy{Rules: rules([2]string{"team/**", "delete"})}, team(rule("team/**", "delete"))),
		step(update, client.Policy{Rules: rules(one), Description: "d"}, team(rule(one[0], one[1]), `description = "d"`)),
		step(update, client.Policy{Rules: rules(one), Anonymous: true}, team(rule(one[0], one[1]), `anonymous = true`)),
		step(replace, client.Policy{Name: "crew", Rules: rules(one)}, strings.Replace(team(rule(one[0], one[1])), `"team"`+"\n", `"crew"`+"\n", 1)),
	)
	s.isEmpty(t)
}

// changePolicy changes a policy behind Terraform's back.
func (s *testServer) changePolicy(t *testing.T, change func(*client.PolicySpec)) func() {
	return func() {
		t.Helper()
		p, err := s.admin.GetPolicy(t.Context(), "team")
		if err != nil {
			t.Fatal(err)
		}
		spec := client.PolicySpec{Name: p.Name, Description: p.Description, Rules: p.Rules, Anonymous: p.Anonymous}
		change(&spec)
		if _, err := s.admin.UpdatePolicy(t.Context(), spec, ""); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPolicyDrift(t *testing.T) {
	s := startServer(t)
	one, two := [2]string{"team/*", "pull"}, [2]string{"base/*", "pull"}
	config := s.config("%s", team(rule(one[0], one[1])+","+rule(two[0], two[1]), `description = "d"`))
	step := func(action plancheck.ResourceActionType, change func(*client.PolicySpec)) resource.TestStep {
		return resource.TestStep{
			PreConfig: s.changePolicy(t, change), Config: config, ConfigPlanChecks: expectAction(policyTeam, action),
			ConfigStateChecks: []statecheck.StateCheck{s.policy(client.Policy{Name: "team", Description: "d", Rules: rules(one, two)})},
		}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		step(update, func(p *client.PolicySpec) { p.Description = "" }),
		step(update, func(p *client.PolicySpec) { p.Anonymous = true }),
		step(update, func(p *client.PolicySpec) { p.Rules = rules(one) }),
		step(update, func(p *client.PolicySpec) { p.Rules = rules(one, [2]string{"base/*", "pull push"}) }),
		step(update, func(p *client.PolicySpec) { p.Rules = rules(one, [2]string{"base/* more/*", "pull"}) }),
		step(update, func(p *client.PolicySpec) { p.Rules = nil }),
		step(noop, func(p *client.PolicySpec) { p.Rules = rules(two, one) }), // another order is no change
	)
}

func TestPolicyDisappears(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", team(rule("team/*", "pull")))
	remove := func() {
		if err := s.admin.DeletePolicy(t.Context(), "team", ""); err != nil {
			t.Error(err)
		}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		resource.TestStep{PreConfig: remove, Config: config, ConfigPlanChecks: expectAction(policyTeam, create)},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodDelete, first(remove))), Config: config, Destroy: true},
	)
}

func TestPolicyImport(t *testing.T) {
	s := startServer(t)
	managed := s.config("%s", team(rule("team/*", "pull"), `description = "d"`, `anonymous = true`))
	unitTest(t, testProvider(),
		resource.TestStep{Config: managed},
		resource.TestStep{ResourceName: policyTeam, ImportState: true, ImportStateId: "team", ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "name"},
		resource.TestStep{ResourceName: policyTeam, ImportState: true, ImportStateId: "team", ImportStateKind: resource.ImportBlockWithID, Config: managed},
		resource.TestStep{ResourceName: policyTeam, ImportState: true, ImportStateId: "none", ExpectError: says("Cannot import non-existent remote object")},
		resource.TestStep{ResourceName: policyTeam, ImportState: true, ImportStateId: "Team", ExpectError: says(`Invalid policy name "Team"`)},
		resource.TestStep{ResourceName: policyTeam, ImportState: true, ImportStateId: "admin", ExpectError: says(`The policy "admin" is built in and cannot be managed`)},
	)
}

func TestPolicyIdentity(t *testing.T) {
	s := startServer(t)
	t.Parallel()
	resource.UnitTest(t, resource.TestCase{
		TerraformVersionChecks:   []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_12_0)},
		ProtoV6ProviderFactories: factories(testProvider()),
		Steps: []resource.TestStep{
			{Config: s.config("%s", team(rule("team/*", "pull"))), ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectIdentity(policyTeam, map[string]knownvalue.Check{"name": knownvalue.StringExact("team")})}},
			{ResourceName: policyTeam, ImportState: true, ImportStateKind: resource.ImportBlockWithResourceIdentity},
		},
	})
}

func TestPolicyExists(t *testing.T) {
	s := startServer(t)
	unitTest(t, testProvider(), resource.TestStep{
		PreConfig: func() {
			if _, err := s.admin.CreatePolicy(t.Context(), client.PolicySpec{Name: "team", Rules: rules([2]string{"a", "pull"})}); err != nil {
				t.Fatal(err)
			}
		},
		Config:      s.config("%s", team(rule("team/*", "pull"))),
		ExpectError: says("terraform import registry_policy.NAME team"),
	})
}

func TestPolicyValidation(t *testing.T) {
	s := &testServer{url: "http://127.0.0.1:1"}
	var steps []resource.TestStep
	for config, complaint := range map[string]string{
		team(""): "at least 1 element",
		team(strings.Repeat(rule("a", "pull")+",", 101)):      "at most 100 elements",
		team(rule("", "pull")):                                "A repository glob is empty",
		team(rule("Team/*", "pull")):                          `Invalid repository glob "Team/*"`,
		team(rule("team//x", "pull")):                         "nor hold an empty part",
		team(rule("team/***", "pull")):                        "use * (within one part) or ** (across parts)",
		team(rule("team/.x", "pull")):                         "no repository name can match it",
		team(rule("a", "write")):                              `Unknown action "write"`,
		team(`{ repositories = [], actions = ["pull"] }`):     "at least 1 element",
		team(`{ repositories = ["a"], actions = [] }`):        "at least 1 element",
		team(`{ repositories = [null], actions = ["pull"] }`): "contains a null value",
		team(`null`): "contains a null value",
		team(rule("a", "pull"), `description = "\u0000"`):                          "control character",
		strings.Replace(team(rule("a", "pull")), `"team"`+"\n", `"Team"`+"\n", 1):  `Invalid policy name "Team"`,
		strings.Replace(team(rule("a", "pull")), `"team"`+"\n", `"admin"`+"\n", 1): `The policy "admin" is built in`,
	} {
		steps = append(steps, resource.TestStep{Config: s.config("%s", config), PlanOnly: true, ExpectError: says(complaint)})
	}
	unitTest(t, testProvider(), steps...)
}

func TestPolicyUnknownInputs(t *testing.T) {
	s := startServer(t)
	config := func(glob string) string {
		return s.config(`
resource "terraform_data" "all" {
  input = { name = "team", globs = ["team/*", %[1]q], rules = [{ repositories = [%[1]q], actions = ["pull"] }], glob = %[1]q }
}
resource "registry_policy" "team" {
  name  = terraform_data.all.output.name
  rules = [{ repositories = terraform_data.all.output.globs, actions = ["pull"] }, { repositories = ["x", terraform_data.all.output.glob], actions = ["pull"] }]
}
resource "registry_policy" "whole" {
  name  = "whole"
  rules = terraform_data.all.output.rules
}
`, glob)
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config("BASE/*"), ExpectError: says(`Invalid repository glob "BASE/*"`)},
		resource.TestStep{
			Config:           config("base/*"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			ConfigStateChecks: []statecheck.StateCheck{
				s.policy(client.Policy{Name: "team", Rules: rules([2]string{"team/* base/*", "pull"}, [2]string{"x base/*", "pull"})}),
				s.policy(client.Policy{Name: "whole", Rules: rules([2]string{"base/*", "pull"})}),
			},
		},
	)
}

// A policy and its users: in one run it is taken from them and removed, renamed,
// and refused as long as somebody else gives it to a user.
func TestPolicyInUse(t *testing.T) {
	s := startServer(t)
	p := testProvider()
	p.inUseTimeout = 3 * time.Second
	user := func(policies string) string { return alice("policies = " + policies) }
	policy := team(rule("team/*", "pull"), "lifecycle {\n create_before_destroy = true\n }")
	unitTest(t, p,
		resource.TestStep{Config: s.config("%s", policy+user("[registry_policy.team.name]"))},
		resource.TestStep{
			Config:            s.config("%s", strings.Replace(policy, `"team"`+"\n", `"crew"`+"\n", 1)+user("[registry_policy.team.name]")),
			ConfigPlanChecks:  expectAction(policyTeam, plancheck.ResourceActionCreateBeforeDestroy),
			ConfigStateChecks: []statecheck.StateCheck{s.user(client.User{Username: "alice", Enabled: true, Policies: []string{"crew"}})},
		},
		resource.TestStep{Config: s.config("%s", user("[]")), ConfigPlanChecks: expectAction(policyTeam, plancheck.ResourceActionDestroy)},
		resource.TestStep{Config: s.config("%s", policy+user("[]"))},
		resource.TestStep{
			PreConfig: func() {
				_, err := s.admin.CreateUser(t.Context(), client.UserSpec{Username: "foreign", Enabled: true, Policies: []string{"team"}})
				if err != nil {
					t.Fatal(err)
				}
			},
			Config:      s.config("%s", user("[]")),
			ExpectError: says("Take the policy from its users first"),
		},
		resource.TestStep{
			PreConfig: func() {
				if err := s.admin.DeleteUser(t.Context(), "foreign", ""); err != nil {
					t.Fatal(err)
				}
			},
			Config: s.config("%s", user("[]")),
		},
	)
	s.isEmpty(t)
}
