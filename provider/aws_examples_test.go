package provider

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
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
		"resources/registry_acm_certificate/resource*.tf",
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

// importExample returns the example of a resource with its import block, in
// which this id stands in for the documented one.
func importExample(t *testing.T, name, documented, id string) string {
	t.Helper()
	folder := "resources/" + strings.Split(name, ".")[0]
	if shell := example(t, folder+"/import.sh"); !strings.HasSuffix(shell, "terraform import "+name+" "+documented+"\n") {
		t.Errorf("import.sh is %q", shell)
	}
	block := example(t, folder+"/import-by-string-id.tf")
	if !strings.Contains(block, fmt.Sprintf("%q", documented)) {
		t.Errorf("the import block is %s", block)
	}
	return awsExample(t, folder+"/resource.tf") + strings.ReplaceAll(block, documented, id)
}

// The import blocks of the documentation import what their examples make.
func TestExamplesImportAWS(t *testing.T) {
	const images, documented = "registry_s3_storage.images", "example-images"
	s := startAWS(t)
	unitTestInOrder(t, testProvider(),
		resource.TestStep{Config: s.config("") + awsExample(t, "resources/registry_s3_storage/resource.tf")},
		resource.TestStep{Config: s.config("removed {\n from = %s\n lifecycle {\n destroy = false\n }\n}\n", images)},
		resource.TestStep{Config: s.config("") + importExample(t, images, documented, documented), ConfigPlanChecks: expectAction(images, noop)},
	)
}

func TestExamplesImportACM(t *testing.T) {
	const name = "registry_acm_certificate.load_balancer"
	const documented = "arn:aws:acm:eu-central-1:123456789012:certificate/1234abcd-12ab-34cd-56ef-1234567890ab"
	s, c := startAWS(t), newCertificate(t, p256(t), nil, nil)
	arn, err := certificateManager{s.acm()}.importNew(t.Context(), loadBalancerCertificate{leaf: c.c, key: c.key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	unitTestInOrder(t, testProvider(), resource.TestStep{
		Config: s.config("") + importExample(t, name, documented, arn), ConfigPlanChecks: expectAction(name, update),
		ConfigStateChecks: []statecheck.StateCheck{is(name, "arn", knownvalue.StringExact(arn))},
	})
}
