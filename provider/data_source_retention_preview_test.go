package provider

import (
	"fmt"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// What a policy deletes shows before it is made, once it is stored, and when it is
// about to change, in one page and in several.
func TestRetentionPreview(t *testing.T) {
	s := newServerWith(t, "{addr: \"127.0.0.1:0\", secret: the-secret-of-the-test-server}\ngc: {grace: 0s}")
	s.start(t, "")
	digests := map[string]string{}
	for _, repository := range []string{"team/a", "team/b", "other"} {
		for n := range 3 {
			digests[fmt.Sprint(n)] = s.pushIndex(t, repository, fmt.Sprint(n), fmt.Sprintf("b%d", n))
		}
	}
	const preview = "data.registry_retention_preview.this"
	listed := func(truncated bool, tags ...string) []statecheck.StateCheck {
		checks := []knownvalue.Check{}
		for _, tag := range tags {
			var repository, name string
			if _, err := fmt.Sscan(tag, &repository, &name); err != nil {
				t.Fatal(err)
			}
			checks = append(checks, knownvalue.ObjectExact(map[string]knownvalue.Check{
				"repository": knownvalue.StringExact(repository), "tag": knownvalue.StringExact(name), "digest": knownvalue.StringExact(digests[name[1:]]),
				"pushed_at": knownvalue.StringRegexp(rfc3339), "pulled_at": knownvalue.Null(), "policy": knownvalue.StringExact("ci"), "rule": knownvalue.Int64Exact(1),
				"reason": knownvalue.StringFunc(func(reason string) error {
					if reason == "" {
						return fmt.Errorf("there is no reason")
					}
					return nil
				}),
			}))
		}
		return []statecheck.StateCheck{is(preview, "deletions", knownvalue.ListExact(checks)), is(preview, "truncated", knownvalue.Bool(truncated))}
	}
	policy := func(newest int, arguments string) string {
		return s.config(`
data "registry_retention_preview" "this" {
  policy = {
    name = "ci"
    repositories = ["team/*"]
    rules = [{ action = "delete", except_newest = %d }]
  }
  %s
}
`, newest, arguments)
	}
	const stored = "data \"registry_retention_preview\" \"this\" {}\n"
	store := func() {
		if _, err := s.admin.CreateRetentionPolicy(t.Context(), client.RetentionPolicySpec{Name: "ci", Repositories: []string{"team/b"}, Rules: []client.RetentionRule{{Action: oci.RetentionDelete, ExceptNewest: 2}}}); err != nil {
			t.Fatal(err)
		}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: s.config(stored), ConfigStateChecks: listed(false)},
		resource.TestStep{Config: policy(1, ""), ConfigStateChecks: listed(false, "team/a b0", "team/a b1", "team/b b0", "team/b b1")},
		resource.TestStep{Config: policy(2, ""), ConfigStateChecks: listed(false, "team/a b0", "team/b b0")},
		resource.TestStep{Config: policy(1, "limit = 3"), ConfigStateChecks: listed(true, "team/a b0", "team/a b1", "team/b b0")},
		resource.TestStep{Config: policy(1, "limit = 4"), ConfigStateChecks: listed(false, "team/a b0", "team/a b1", "team/b b0", "team/b b1")},
		resource.TestStep{Config: policy(1, `repositories = ["*/b"]`), ConfigStateChecks: listed(false, "team/b b0", "team/b b1")},
		resource.TestStep{PreConfig: store, Config: s.config(stored), ConfigStateChecks: listed(false, "team/b b0")},
		resource.TestStep{Config: policy(2, ""), ConfigStateChecks: listed(false, "team/a b0", "team/b b0")},
		resource.TestStep{PreConfig: s.fail(status(500)), Config: policy(2, ""), ExpectError: says("Could not preview what retention policies delete")},
		resource.TestStep{PreConfig: s.fail(), Config: s.config(`
resource "terraform_data" "newest" { input = 2 }
data "registry_retention_preview" "this" {
  policy = { name = "ci", repositories = ["team/*"], rules = [{ action = "delete", except_newest = terraform_data.newest.output }] }
}
`), ConfigStateChecks: listed(false, "team/a b0", "team/b b0"), ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}},
	)
	for n := range 3 {
		for _, repository := range []string{"team/a", "team/b", "other"} {
			if _, err := s.admin.GetTag(t.Context(), repository, fmt.Sprintf("b%d", n)); err != nil {
				t.Errorf("a preview has deleted a tag: %v", err)
			}
		}
	}
}

func TestRetentionPreviewValidation(t *testing.T) {
	s := &testServer{url: "http://127.0.0.1:1"}
	var steps []resource.TestStep
	for config, complaint := range map[string]string{
		`limit = 0`:            "between 1 and 100000",
		`repositories = []`:    "at least 1 element",
		`repositories = ["A"]`: `Invalid repository glob "A"`,
		`policy = { name = "A", repositories = ["a"], rules = [{ action = "keep", newest = 1 }] }`:          `Invalid policy name "A"`,
		`policy = { name = "a", repositories = ["a"], rules = [] }`:                                         "at least 1 element",
		`policy = { name = "a", repositories = ["a"], rules = [{ action = "delete" }] }`:                    "needs except_newest",
		`policy = { name = "a", repositories = ["a"], rules = [{ action = "keep", tag_patterns = [""] }] }`: "A tag pattern is empty",
	} {
		steps = append(steps, resource.TestStep{Config: s.config("data \"registry_retention_preview\" \"this\" {\n %s\n}\n", config), PlanOnly: true, ExpectError: says(complaint)})
	}
	unitTest(t, testProvider(), steps...)
}
