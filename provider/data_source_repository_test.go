package provider

import (
	"net/http"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

func TestRepositoryDataSource(t *testing.T) {
	s := startServer(t)
	const it = "data.registry_repository.this"
	config := func(name string) string {
		return s.config("data \"registry_repository\" \"this\" { name = %q }\n", name)
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config("team/app"), ExpectError: says(`The registry has no repository "team/app"`)},
		resource.TestStep{
			Config: s.config("%s", appRepository(`description = "d"`, `anonymous_pull = true`, `immutable_tag_patterns = ["v*"]`)) +
				`data "registry_repository" "this" { name = registry_repository.app.name }`,
			ConfigStateChecks: []statecheck.StateCheck{
				is(it, "name", knownvalue.StringExact("team/app")),
				is(it, "description", knownvalue.StringExact("d")),
				is(it, "anonymous_pull", knownvalue.Bool(true)),
				is(it, "immutable_tag_patterns", knownvalue.SetExact([]knownvalue.Check{knownvalue.StringExact("v*")})),
			},
		},
		resource.TestStep{
			PreConfig: func() {
				if got := s.tryPush(t, "pushed", "v1", "1"); got != http.StatusCreated {
					t.Errorf("push: %d", got)
				}
			},
			Config: config("pushed"),
			ConfigStateChecks: []statecheck.StateCheck{
				is(it, "description", knownvalue.StringExact("")),
				is(it, "anonymous_pull", knownvalue.Bool(false)),
				is(it, "immutable_tag_patterns", knownvalue.SetExact([]knownvalue.Check{})),
			},
		},
		resource.TestStep{PreConfig: s.fail(status(500)), Config: config("pushed"), ExpectError: says(`Could not read the repository "pushed"`)},
		resource.TestStep{PreConfig: s.fail(), Config: s.config("# nothing")},
	)
}
