package provider

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
)

// awsExample is an example as it can be applied here: moto does not see the
// condition of the policy against requests without TLS, and denies them all.
func awsExample(t *testing.T, pattern string) string {
	return strings.ReplaceAll(example(t, pattern), "verify = true\n", "verify = true\n  deny_insecure_transport = false\n")
}

// Every example of objects in AWS can be applied, and a second plan is empty.
func TestExamplesAWS(t *testing.T) {
	for _, pattern := range []string{
		"resources/registry_s3_storage/resource*.tf",
		"data-sources/registry_iam_policy/data-source*.tf",
	} {
		t.Run(strings.Split(pattern, "/")[1], func(t *testing.T) {
			s := startAWS(t)
			unitTestInOrder(t, testProvider(), resource.TestStep{
				Config:           s.config("") + awsExample(t, pattern),
				ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			})
		})
	}
}

// The import block of the documentation imports what its example makes.
func TestExamplesImportAWS(t *testing.T) {
	const name, id = "registry_s3_storage.images", "example-images"
	s := startAWS(t)
	text := s.config("") + awsExample(t, "resources/registry_s3_storage/resource.tf")
	if shell := example(t, "resources/registry_s3_storage/import.sh"); !strings.HasSuffix(shell, "terraform import "+name+" "+id+"\n") {
		t.Errorf("import.sh is %q", shell)
	}
	unitTestInOrder(t, testProvider(),
		resource.TestStep{Config: text},
		resource.TestStep{Config: s.config("%s", fmt.Sprintf("removed {\n from = %s\n lifecycle {\n destroy = false\n }\n}\n", name))},
		resource.TestStep{
			Config:           text + example(t, "resources/registry_s3_storage/import-by-string-id.tf"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
		},
	)
}
