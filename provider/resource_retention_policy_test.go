package provider

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

const retentionCI = "registry_retention_policy.ci"

// ci is a retention policy with these rules and arguments.
func ci(rules string, arguments ...string) string {
	return ciOf(`["team/**"]`, rules, arguments...)
}

func ciOf(globs, rules string, arguments ...string) string {
	return fmt.Sprintf("resource \"registry_retention_policy\" \"ci\" {\n name = \"ci\"\n repositories = %s\n rules = [%s]\n %s\n}\n", globs, rules, strings.Join(arguments, "\n "))
}

// retains expects the policy of that name to have these repositories and rules.
func (s *testServer) retains(name, description, globs string, rules ...client.RetentionRule) statecheck.StateCheck {
	return serverCheck(func() error {
		got, err := s.admin.GetRetentionPolicy(context.Background(), name)
		if err != nil {
			return err
		}
		if got.Description != description || strings.Join(slices.Sorted(slices.Values(got.Repositories)), " ") != globs || !sameRetentionRules(got.Rules, rules) {
			return fmt.Errorf("the server has another policy: %+v", got)
		}
		return nil
	})
}

var (
	keepsOne   = client.RetentionRule{Action: oci.RetentionKeep, Newest: 1}
	deletesOld = client.RetentionRule{Action: oci.RetentionDelete, NotPushedForDays: 9}
)

// Every attribute, and every one of a rule, set and changed; only another name makes
// another policy.
func TestRetentionPolicyUpdate(t *testing.T) {
	s := startServer(t)
	const keep, old = `{ action = "keep", newest = 1 }`, `{ action = "delete", not_pushed_for_days = 9 }`
	step := func(action plancheck.ResourceActionType, check statecheck.StateCheck, config string) resource.TestStep {
		return resource.TestStep{Config: s.config("%s", config), ConfigPlanChecks: expectAction(retentionCI, action), ConfigStateChecks: []statecheck.StateCheck{check}}
	}
	steps := []resource.TestStep{
		step(create, s.retains("ci", "", "team/**", keepsOne), ci(keep)),
		step(update, s.retains("ci", "d", "team/**", keepsOne), ci(keep, `description = "d"`)),
		step(update, s.retains("ci", "", "a b/*", keepsOne), ciOf(`["b/*", "a"]`, keep)),
		step(noop, s.retains("ci", "", "a b/*", keepsOne), ciOf(`["a", "b/*"]`, keep)),
		step(update, s.retains("ci", "", "team/**", keepsOne, deletesOld), ci(keep+","+old)),
		step(update, s.retains("ci", "", "team/**", deletesOld, keepsOne), ci(old+","+keep)),
	}
	for _, c := range []struct {
		text string
		rule client.RetentionRule
	}{
		{`action = "keep", newest = 2`, client.RetentionRule{Action: oci.RetentionKeep, Newest: 2}},
		{`action = "keep", pushed_within_days = 2`, client.RetentionRule{Action: oci.RetentionKeep, PushedWithinDays: 2}},
		{`action = "keep", pulled_within_days = 2`, client.RetentionRule{Action: oci.RetentionKeep, PulledWithinDays: 2}},
		{`action = "keep", tag_patterns = ["v*", "a"]`, client.RetentionRule{Action: oci.RetentionKeep, TagPatterns: []string{"a", "v*"}}},
		{`action = "keep", versions = "releases"`, client.RetentionRule{Action: oci.RetentionKeep, Versions: oci.RetentionReleases}},
		{`action = "delete", except_newest = 2, untagged = false`, client.RetentionRule{Action: oci.RetentionDelete, ExceptNewest: 2}},
		{`action = "delete", except_newest = 2, except_tag_patterns = ["x"]`, client.RetentionRule{Action: oci.RetentionDelete, ExceptNewest: 2, ExceptTagPatterns: []string{"x"}}},
		{`action = "delete", not_pushed_for_days = 2`, client.RetentionRule{Action: oci.RetentionDelete, NotPushedForDays: 2}},
		{`action = "delete", not_pulled_for_days = 2`, client.RetentionRule{Action: oci.RetentionDelete, NotPulledForDays: 2}},
		{`action = "delete", not_pulled_for_days = 2, untagged = true`, client.RetentionRule{Action: oci.RetentionDelete, NotPulledForDays: 2, Untagged: true}},
	} {
		steps = append(steps, step(update, s.retains("ci", "", "team/**", c.rule), ci("{ "+c.text+" }")))
	}
	steps = append(steps, step(replace, s.retains("nightly", "", "team/**", keepsOne), strings.Replace(ci(keep), `"ci"`+"\n", `"nightly"`+"\n", 1)))
	unitTest(t, testProvider(), steps...)
	s.isEmpty(t)
}

// changeRetention changes the policy behind Terraform's back.
func (s *testServer) changeRetention(t *testing.T, change func(*client.RetentionPolicySpec)) func() {
	return func() {
		t.Helper()
		p, err := s.admin.GetRetentionPolicy(t.Context(), "ci")
		if err != nil {
			t.Fatal(err)
		}
		spec := client.RetentionPolicySpec{Name: p.Name, Description: p.Description, Repositories: p.Repositories, Rules: p.Rules}
		change(&spec)
		if _, err := s.admin.UpdateRetentionPolicy(t.Context(), spec, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// What somebody else changes shows in the plan and is changed back, each attribute
// of a rule, too.
func TestRetentionPolicyDrift(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", ci(`{ action = "keep", newest = 1 }, { action = "delete", not_pushed_for_days = 9 }`, `description = "d"`))
	step := func(action plancheck.ResourceActionType, change func(*client.RetentionPolicySpec)) resource.TestStep {
		return resource.TestStep{
			PreConfig: s.changeRetention(t, change), Config: config, ConfigPlanChecks: expectAction(retentionCI, action),
			ConfigStateChecks: []statecheck.StateCheck{s.retains("ci", "d", "team/**", keepsOne, deletesOld)},
		}
	}
	rule := func(n int, change func(*client.RetentionRule)) resource.TestStep {
		return step(update, func(p *client.RetentionPolicySpec) { change(&p.Rules[n]) })
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		step(update, func(p *client.RetentionPolicySpec) { p.Description = "" }),
		step(update, func(p *client.RetentionPolicySpec) { p.Repositories = []string{"other"} }),
		step(update, func(p *client.RetentionPolicySpec) { p.Rules = p.Rules[:1] }),
		step(update, func(p *client.RetentionPolicySpec) { slices.Reverse(p.Rules) }),
		step(noop, func(*client.RetentionPolicySpec) {}),
		rule(0, func(r *client.RetentionRule) { r.Newest = 2 }),
		rule(0, func(r *client.RetentionRule) { r.PushedWithinDays = 2 }),
		rule(0, func(r *client.RetentionRule) { r.PulledWithinDays = 2 }),
		rule(0, func(r *client.RetentionRule) { r.TagPatterns = []string{"v*"} }),
		rule(0, func(r *client.RetentionRule) { r.ExceptTagPatterns = []string{"v*"} }),
		rule(0, func(r *client.RetentionRule) { r.Versions = oci.RetentionAllVersions }),
		rule(1, func(r *client.RetentionRule) { r.ExceptNewest = 3 }),
		rule(1, func(r *client.RetentionRule) { r.NotPulledForDays = 3 }),
		rule(1, func(r *client.RetentionRule) { r.NotPushedForDays = 3 }),
		rule(1, func(r *client.RetentionRule) { r.Untagged = true }),
		rule(1, func(r *client.RetentionRule) { *r = keepsOne }),
	)
}

func TestRetentionPolicyDisappears(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", ci(`{ action = "keep", newest = 1 }`))
	remove := func() {
		if err := s.admin.DeleteRetentionPolicy(t.Context(), "ci", ""); err != nil {
			t.Error(err)
		}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		resource.TestStep{PreConfig: remove, Config: config, ConfigPlanChecks: expectAction(retentionCI, create)},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodDelete, first(remove))), Config: config, Destroy: true},
	)
}

func TestRetentionPolicyImport(t *testing.T) {
	s := startServer(t)
	managed := s.config("%s", ci(`{ action = "keep", newest = 1, tag_patterns = ["v*"] }, { action = "delete", untagged = true, not_pushed_for_days = 3 }, { action = "delete", versions = "all", except_newest = 3 }`, `description = "d"`))
	unitTest(t, testProvider(),
		resource.TestStep{Config: managed},
		resource.TestStep{ResourceName: retentionCI, ImportState: true, ImportStateId: "ci", ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "name"},
		resource.TestStep{ResourceName: retentionCI, ImportState: true, ImportStateId: "ci", ImportStateKind: resource.ImportBlockWithID, Config: managed},
		resource.TestStep{ResourceName: retentionCI, ImportState: true, ImportStateId: "none", ExpectError: says("Cannot import non-existent remote object")},
		resource.TestStep{ResourceName: retentionCI, ImportState: true, ImportStateId: "CI", ExpectError: says(`Invalid policy name "CI"`)},
	)
}

func TestRetentionPolicyIdentity(t *testing.T) {
	s := startServer(t)
	t.Parallel()
	resource.UnitTest(t, resource.TestCase{
		TerraformVersionChecks:   []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_12_0)},
		ProtoV6ProviderFactories: factories(testProvider()),
		Steps: []resource.TestStep{
			{Config: s.config("%s", ci(`{ action = "keep", newest = 1 }`)), ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectIdentity(retentionCI, map[string]knownvalue.Check{"name": knownvalue.StringExact("ci")})}},
			{ResourceName: retentionCI, ImportState: true, ImportStateKind: resource.ImportBlockWithResourceIdentity},
		},
	})
}

func TestRetentionPolicyExists(t *testing.T) {
	s := startServer(t)
	unitTest(t, testProvider(), resource.TestStep{
		PreConfig: func() {
			if _, err := s.admin.CreateRetentionPolicy(t.Context(), client.RetentionPolicySpec{Name: "ci", Repositories: []string{"a"}, Rules: []client.RetentionRule{keepsOne}}); err != nil {
				t.Fatal(err)
			}
		},
		Config:      s.config("%s", ci(`{ action = "keep", newest = 2 }`)),
		ExpectError: says("terraform import registry_retention_policy.NAME ci"),
	})
}

func TestRetentionPolicyValidation(t *testing.T) {
	s := &testServer{url: "http://127.0.0.1:1"}
	const keep = `{ action = "keep", newest = 1 }`
	var steps []resource.TestStep
	for config, complaint := range map[string]string{
		ci(""):                                              "at least 1 element",
		ci(strings.Repeat(keep+",", 51)):                    "at most 50 elements",
		ci(`null`):                                          "contains a null value",
		ciOf(`[]`, keep):                                    "at least 1 element",
		ciOf(`["A"]`, keep):                                 `Invalid repository glob "A"`,
		ci(keep, `description = "\u0000"`):                  "control character",
		ci(`{ newest = 1 }`):                                `attribute "action" is required`,
		ci(`{ action = "erase" }`):                          `Unknown action "erase"`,
		ci(`{ action = "delete" }`):                         "needs except_newest, not_pushed_for_days or not_pulled_for_days",
		ci(`{ action = "keep" }`):                           "needs tag_patterns, versions, newest",
		ci(`{ action = "keep", newest = 0 }`):               "needs tag_patterns, versions, newest",
		ci(`{ action = "keep", newest = 99999999999 }`):     "must be from 1 to 100000",
		ci(`{ action = "keep", newest = -1 }`):              "must be from 1 to 100000",
		ci(`{ action = "keep", except_newest = 1 }`):        "value except_newest is for rules with the action delete",
		ci(`{ action = "delete", pushed_within_days = 1 }`): "value pushed_within_days is for rules with the action keep",
		ci(`{ action = "keep", untagged = true }`):          "value untagged is for rules with the action delete",
		ci(`{ action = "delete", untagged = true, not_pushed_for_days = 1, versions = "all" }`): "rule for what is untagged has no",
		ci(`{ action = "keep", versions = "latest" }`):                                          `Unknown versions "latest"`,
		ci(`{ action = "keep", tag_patterns = ["a b"] }`):                                       `Invalid tag pattern "a b"`,
		ci(`{ action = "keep", tag_patterns = [] }`):                                            "at least 1 element",
		strings.Replace(ci(keep), `"ci"`+"\n", `"CI"`+"\n", 1):                                  `Invalid policy name "CI"`,
	} {
		steps = append(steps, resource.TestStep{Config: s.config("%s", config), PlanOnly: true, ExpectError: says(complaint)})
	}
	unitTest(t, testProvider(), steps...)
}

func TestRetentionPolicyUnknownInputs(t *testing.T) {
	s := startServer(t)
	config := func(newest int, pattern string) string {
		return s.config(`
resource "terraform_data" "all" {
  input = { name = "ci", globs = ["team/**"], newest = %[1]d, pattern = %[2]q, action = "keep", rules = [{ action = "keep", newest = %[1]d }], no = false }
}
resource "registry_retention_policy" "ci" {
  name         = terraform_data.all.output.name
  repositories = terraform_data.all.output.globs
  rules = [
    { action = terraform_data.all.output.action, newest = 1, untagged = terraform_data.all.output.no },
    { action = "keep", newest = terraform_data.all.output.newest, tag_patterns = [terraform_data.all.output.pattern] },
  ]
}
resource "registry_retention_policy" "whole" {
  name         = "whole"
  repositories = ["a", terraform_data.all.output.name]
  rules        = terraform_data.all.output.rules
}
`, newest, pattern)
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config(-1, "v*"), ExpectError: says("value of newest is -1; it must be from 1 to 100000")},
		resource.TestStep{Config: config(2, "a b"), ExpectError: says(`Invalid tag pattern "a b"`)},
		resource.TestStep{
			Config:           config(2, "v*"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			ConfigStateChecks: []statecheck.StateCheck{
				s.retains("ci", "", "team/**", keepsOne, client.RetentionRule{Action: oci.RetentionKeep, Newest: 2, TagPatterns: []string{"v*"}}),
				s.retains("whole", "", "a ci", client.RetentionRule{Action: oci.RetentionKeep, Newest: 2}),
			},
		},
	)
	s.isEmpty(t)
}

// A server that fails, or loses answers: nothing is made twice or lost.
func TestRetentionPolicyFaults(t *testing.T) {
	s := startServer(t)
	config, changed := s.config("%s", ci(`{ action = "keep", newest = 1 }`)), s.config("%s", ci(`{ action = "keep", newest = 2 }`))
	wrong := func(method, config, complaint string) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(s.on(method, status(500))), Config: config, ExpectError: says(complaint)}
	}
	unitTest(t, testProvider(),
		wrong(http.MethodPost, config, `Could not create the retention policy "ci"`),
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPost, status(503)), s.on(http.MethodPost, lose)), Config: config, ConfigPlanChecks: expectAction(retentionCI, create)},
		wrong(http.MethodGet, config, `Could not read the retention policy "ci"`),
		wrong(http.MethodPut, changed, `Could not update the retention policy "ci"`),
		wrong(http.MethodDelete, s.config("# nothing"), `Could not delete the retention policy "ci"`),
		resource.TestStep{PreConfig: s.fail(), Config: changed, ConfigPlanChecks: expectAction(retentionCI, update)},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPut, lose)), Config: config, ConfigPlanChecks: expectAction(retentionCI, update)},
		resource.TestStep{ // somebody else changes it between plan and apply
			PreConfig: s.fail(s.on(http.MethodPut, first(s.changeRetention(t, func(p *client.RetentionPolicySpec) { p.Description = "theirs" })))),
			Config:    changed, ExpectError: says("It has changed since Terraform read it"),
		},
		resource.TestStep{PreConfig: s.fail(), Config: changed, ConfigPlanChecks: expectAction(retentionCI, update)},
		resource.TestStep{ // it goes away between plan and apply
			PreConfig: s.fail(s.on(http.MethodPut, first(func() {
				if err := s.admin.DeleteRetentionPolicy(t.Context(), "ci", ""); err != nil {
					t.Error(err)
				}
			}))),
			Config: config, ExpectError: says("Somebody else has deleted it since Terraform read it"),
		},
		resource.TestStep{PreConfig: s.fail(), Config: config, ConfigPlanChecks: expectAction(retentionCI, create)},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodDelete, lose)), Config: s.config("# nothing")},
	)
	s.isEmpty(t)
}
