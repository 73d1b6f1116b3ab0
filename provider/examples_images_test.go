package provider

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/config"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
)

// imageExample is an example that needs images to be somewhere.
type imageExample struct {
	server    *testServer
	pattern   string
	resource  string // to import it once more; "" for a data source
	id        string
	variables config.Variables
	replace   []string // names of hosts that are not here
}

// run applies the example, finds nothing to change, forgets the resource, and
// imports it as the documentation says.
func (e imageExample) run(t *testing.T) {
	t.Helper()
	replace := strings.NewReplacer(e.replace...)
	text := replace.Replace(example(t, e.pattern))
	variables := passwordsFor(text)
	maps.Copy(variables, e.variables)
	quiet := resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}
	steps := []resource.TestStep{{Config: e.server.config("") + text, ConfigVariables: variables, ConfigPlanChecks: quiet}}
	if e.resource != "" {
		kind, _, _ := strings.Cut(e.resource, ".")
		if want := "terraform import " + e.resource + " " + e.id + "\n"; !strings.HasSuffix(example(t, "resources/"+kind+"/import.sh"), want) {
			t.Errorf("import.sh does not end with %q", want)
		}
		block := example(t, "resources/"+kind+"/import-by-string-id.tf")
		forget := fmt.Sprintf("removed {\n from = %s\n lifecycle {\n destroy = false\n }\n}\n", e.resource)
		steps = append(steps,
			resource.TestStep{Config: e.server.config("%s", forget)},
			resource.TestStep{Config: e.server.config("") + text + block, ConfigVariables: variables, ConfigPlanChecks: quiet},
		)
	}
	unitTest(t, testProvider(), steps...)
	e.server.isEmpty(t)
}

func TestExampleTag(t *testing.T) {
	s := startServer(t)
	digest := s.pushIndex(t, "team/api", "tested", "candidate")
	imageExample{
		server: s, pattern: "resources/registry_tag/resource*.tf", resource: tagStable, id: "team/api:stable",
		variables: config.Variables{"tested_digest": config.StringVariable(digest)},
	}.run(t)
}
