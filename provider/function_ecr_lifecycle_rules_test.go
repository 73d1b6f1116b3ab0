package provider

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// ecr is a lifecycle policy whose rules have these selections, in this order.
func ecr(selections ...string) string {
	var rules []string
	for i, s := range selections {
		rules = append(rules, fmt.Sprintf(`{"rulePriority":%d,"description":"d","selection":{%s},"action":{"type":"expire"}}`, 10*(i+1), s))
	}
	return `{"rules":[` + strings.Join(rules, ",") + `]}`
}

func TestECRLifecycleRules(t *testing.T) {
	const (
		prod       = `"tagStatus":"tagged","tagPatternList":["prod*"],"countType":"imageCountMoreThan","countNumber":30`
		prefix     = `"tagStatus":"tagged","tagPrefixList":["pr-"],"countType":"sinceImagePushed","countUnit":"days","countNumber":14`
		everything = `"tagStatus":"any","countType":"imageCountMoreThan","countNumber":5`
		anyAge     = `"tagStatus":"any","storageClass":"standard","countType":"sinceImagePulled","countUnit":"days","countNumber":90`
		untagged   = `"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":7`
	)
	for text, want := range map[string]string{
		ecr(prod):       "delete tags prod*, not of the newest 30 images",
		ecr(prefix):     "delete tags pr-*, not pushed for 14 days",
		ecr(everything): "delete tags, not of the newest 5 images",
		ecr(anyAge):     "delete tags, not pulled for 90 days; delete untagged manifests, not pulled for 90 days",
		ecr(prod, prefix, untagged, everything): "delete tags prod*, not of the newest 30 images; delete tags pr-* but prod*, not pushed for 14 days; " +
			"delete untagged manifests, not pushed for 7 days; delete tags but pr-*, prod*, not of the newest 5 images",
		ecr(untagged, anyAge): "delete untagged manifests, not pushed for 7 days; delete tags, not pulled for 90 days",
		// The order is that of rulePriority.
		`{"rules":[{"rulePriority":2,"selection":{` + everything + `},"action":{"type":"expire"}},{"rulePriority":1,"selection":{` + prod + `},"action":{"type":"expire"}}]}`: "delete tags prod*, not of the newest 30 images; delete tags but prod*, not of the newest 5 images",
	} {
		rules, err := ecrLifecycleRules(text)
		var got []string
		for _, r := range rules {
			parsed, again := oci.ParseRetentionRule(r)
			if again != nil {
				t.Errorf("%s gives %+v: %v", text, r, again)
			}
			got = append(got, parsed.String())
		}
		if err != nil || strings.Join(got, "; ") != want {
			t.Errorf("%s:\ngot  %s, %v\nwant %s", text, strings.Join(got, "; "), err, want)
		}
	}
	for complaint, text := range map[string]string{
		"not a lifecycle policy of ECR in JSON: ":      `{`,
		`unknown field "rule"`:                         `{"rule":[]}`,
		"something comes after it":                     ecr(prod) + "{}",
		"has no rules":                                 `{"rules":[]}`,
		"at most 65536 are read":                       strings.Repeat(" ", 70_000),
		"rulePriority 10: it has several patterns":     ecr(`"tagStatus":"tagged","tagPatternList":["a","b"],"countType":"imageCountMoreThan","countNumber":1`),
		"it needs a tagPatternList":                    ecr(`"tagStatus":"tagged","countType":"imageCountMoreThan","countNumber":1`),
		`its tagStatus is "x"`:                         ecr(`"tagStatus":"x","countType":"imageCountMoreThan","countNumber":1`),
		`"any" it has neither`:                         ecr(`"tagStatus":"any","tagPrefixList":["a"],"countType":"imageCountMoreThan","countNumber":1`),
		"counts untagged images":                       ecr(`"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1`),
		"its countNumber is 0":                         ecr(`"tagStatus":"any","countType":"imageCountMoreThan"`),
		`its countUnit is "hours"`:                     ecr(`"tagStatus":"any","countType":"sinceImagePushed","countUnit":"hours","countNumber":1`),
		"it has no countUnit":                          ecr(`"tagStatus":"any","countType":"imageCountMoreThan","countUnit":"days","countNumber":1`),
		"another storage class":                        ecr(`"tagStatus":"any","countType":"sinceImageTransitioned","countUnit":"days","countNumber":1`),
		`its countType is "x"`:                         ecr(`"tagStatus":"any","countType":"x","countNumber":1`),
		`the storage class "archive"`:                  ecr(`"tagStatus":"any","storageClass":"archive","countType":"imageCountMoreThan","countNumber":1`),
		"rulePriority 20: it comes after a rule":       ecr(everything, prod),
		"another rule with the tagStatus \"untagged\"": ecr(untagged, untagged),
		"must be from 1 to 36500":                      ecr(`"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":99999`),
		"invalid tag pattern \"a b\"":                  ecr(`"tagStatus":"tagged","tagPatternList":["a b"],"countType":"imageCountMoreThan","countNumber":1`),
		"moves images to a cheaper storage class":      strings.Replace(ecr(prod), `"expire"`, `"transition","targetStorageClass":"archive"`, 1),
		`its action is "x"`:                            strings.Replace(ecr(prod), `"expire"`, `"x"`, 1),
		"there is another one of this priority":        `{"rules":[{"rulePriority":1,"selection":{` + prod + `},"action":{"type":"expire"}},{"rulePriority":1,"selection":{` + prefix + `},"action":{"type":"expire"}}]}`,
	} {
		_, err := ecrLifecycleRules(text)
		check(t, complaint, err, complaint)
	}
}

// Whatever is translated is what the server takes, and no rule of lower priority
// deletes what a rule of higher priority selects.
func FuzzECRLifecycleRules(f *testing.F) {
	f.Add(ecr(`"tagStatus":"tagged","tagPatternList":["prod*"],"countType":"imageCountMoreThan","countNumber":30`, `"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":14`), "prod1")
	f.Add(ecr(`"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":7`), "v1")
	f.Add("{}", "a")
	f.Fuzz(func(t *testing.T, text, name string) {
		rules, err := ecrLifecycleRules(text)
		if err != nil {
			return
		}
		parsed, err := oci.ParseRetentionRules(rules)
		if err != nil {
			t.Fatalf("%s gives %+v: %v", text, rules, err)
		}
		tag, err := oci.ParseTag(name)
		if err != nil {
			return
		}
		acts := 0
		for _, rule := range parsed {
			if rule.Selects(tag) && !rule.Excepts(tag) {
				acts++
			}
		}
		if acts > 1 {
			t.Errorf("%s: %d rules decide over %s", text, acts, name)
		}
	})
}

func TestECRLifecycleRulesFunction(t *testing.T) {
	s := startServer(t)
	text, err := json.Marshal(ecr(`"tagStatus":"tagged","tagPrefixList":["pr-"],"countType":"sinceImagePushed","countUnit":"days","countNumber":14`, `"tagStatus":"any","countType":"imageCountMoreThan","countNumber":5`))
	if err != nil {
		t.Fatal(err)
	}
	config := func(policy string) string {
		return s.config(`
resource "terraform_data" "policy" { input = %s }
resource "registry_retention_policy" "ci" {
  name         = "ci"
  repositories = ["team/**"]
  rules        = provider::registry::ecr_lifecycle_rules(%s)
}
`, text, policy)
	}
	want := s.retains("ci", "", "team/**",
		client.RetentionRule{Action: oci.RetentionDelete, TagPatterns: []string{"pr-*"}, NotPushedForDays: 14},
		client.RetentionRule{Action: oci.RetentionDelete, ExceptTagPatterns: []string{"pr-*"}, ExceptNewest: 5})
	empty := resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config(string(text)), ConfigStateChecks: []statecheck.StateCheck{want}, ConfigPlanChecks: empty},
		resource.TestStep{Config: s.config("# nothing")},
		resource.TestStep{Config: config("terraform_data.policy.output"), ConfigStateChecks: []statecheck.StateCheck{want}, ConfigPlanChecks: empty},
		resource.TestStep{Config: config(`"{}"`), ExpectError: says("the policy has no rules")},
		resource.TestStep{Config: config("null"), ExpectError: says("argument must not be null")},
		resource.TestStep{Config: s.config("# nothing")},
	)
	s.isEmpty(t)
}
