package provider

import (
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/hashicorp/terraform-plugin-testing/config"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
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

func TestExampleImage(t *testing.T) {
	s, from := startServer(t), startServer(t)
	spec := client.PolicySpec{Name: "public", Anonymous: true, Rules: []client.Rule{{Repositories: []string{"library/*"}, Actions: []string{"pull"}}}}
	if _, err := from.admin.CreatePolicy(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	if _, err := from.admin.CreateUser(t.Context(), client.UserSpec{Username: "mirror", Enabled: true, Policies: []string{"read-only"}, Password: ptr("a-password-for-source_password")}); err != nil {
		t.Fatal(err)
	}
	from.push(t, randomIndex(t, "linux/amd64", "linux/arm64", "linux/s390x"), "library/nginx:1.27")
	from.push(t, randomImage(t, "linux/amd64"), "team/api:v1")
	built := filepath.Join(t.TempDir(), "worker")
	if _, err := layout.Write(built, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: randomImage(t, "linux/amd64")})); err != nil {
		t.Fatal(err)
	}
	imageExample{
		server: s, pattern: "resources/registry_image/resource*.tf", resource: "registry_image.nginx", id: "mirror/nginx:1.27",
		replace: []string{"docker.io/library", from.host() + "/library", "registry.example.com/", from.host() + "/", "${path.module}/build/worker", built},
	}.run(t)
	for _, tag := range []string{"mirror/nginx:1.27", "team/api:v1", "team/worker:v1"} {
		if err := s.pointsAt(tag, ""); err != nil {
			t.Error(err)
		}
	}
}

func TestExampleTagsDataSource(t *testing.T) {
	s := startServer(t)
	s.push(t, randomImage(t, "linux/amd64"), "team/api:1.4.2")
	imageExample{server: s, pattern: "data-sources/registry_tags/data-source*.tf"}.run(t)
}

func TestExampleImageDataSource(t *testing.T) {
	s := startServer(t)
	s.push(t, randomImage(t, "linux/amd64"), "team/api:candidate")
	imageExample{server: s, pattern: "data-sources/registry_image/data-source*.tf"}.run(t)
}
