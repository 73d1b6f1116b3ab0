package provider

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

// pagesOf makes pages of lists that small.
func pagesOf(limit int) fault {
	return func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		if q := r.URL.Query(); q.Has("limit") {
			q.Set("limit", fmt.Sprint(limit))
			r.URL.RawQuery = q.Encode()
		}
		server.ServeHTTP(w, r)
	}
}

// All repositories, over several pages, and those that a glob matches.
func TestRepositoriesDataSource(t *testing.T) {
	s := startServer(t)
	const all, team = "data.registry_repositories.all", "data.registry_repositories.team"
	text := `data "registry_repositories" "all" {}` + "\n" + `data "registry_repositories" "team" { name_glob = "team/*" }` + "\n"
	const count = 260
	var names []knownvalue.Check
	for n := range count {
		names = append(names, knownvalue.StringExact(fmt.Sprintf("many/r%03d", n)))
	}
	team1 := map[string]knownvalue.Check{
		"name": knownvalue.StringExact("team/app"), "description": knownvalue.StringExact("d"), "anonymous_pull": knownvalue.Bool(true),
		"immutable_tag_patterns": knownvalue.SetExact([]knownvalue.Check{knownvalue.StringExact("v*")}),
	}
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: s.config("%s", text),
			ConfigStateChecks: []statecheck.StateCheck{
				is(all, "names", knownvalue.ListExact([]knownvalue.Check{})), is(all, "repositories", knownvalue.ListExact([]knownvalue.Check{})),
			},
		},
		resource.TestStep{
			PreConfig: func() {
				for n := range count {
					if _, err := s.admin.CreateRepository(t.Context(), client.RepositorySpec{Name: fmt.Sprintf("many/r%03d", n)}); err != nil {
						t.Fatal(err)
					}
				}
				spec := client.RepositorySpec{Name: "team/app", Description: "d", AnonymousPull: true, ImmutableTagPatterns: []string{"v*"}}
				if _, err := s.admin.CreateRepository(t.Context(), spec); err != nil {
					t.Fatal(err)
				}
				if got := s.tryPush(t, "team/app/cache", "v1", "1"); got != http.StatusCreated {
					t.Fatalf("push: %d", got)
				}
				s.mu.Lock()
				s.requests = nil
				s.mu.Unlock()
				s.fail(times(1000, pagesOf(100))...)()
			},
			Config:           s.config("%s", text),
			ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			ConfigStateChecks: []statecheck.StateCheck{
				is(all, "names", knownvalue.ListExact(append(names, knownvalue.StringExact("team/app"), knownvalue.StringExact("team/app/cache")))),
				is(all, "repositories", knownvalue.ListSizeExact(count+2)),
				is(team, "names", knownvalue.ListExact([]knownvalue.Check{knownvalue.StringExact("team/app")})),
				is(team, "repositories", knownvalue.ListExact([]knownvalue.Check{knownvalue.ObjectExact(team1)})),
			},
		},
		resource.TestStep{PreConfig: s.fail(pagesOf(100), pagesOf(100), status(500), status(500)), Config: s.config("%s", text), ExpectError: says("Could not list the repositories")},
		resource.TestStep{PreConfig: s.fail(), Config: s.config("# nothing")},
	)
	if len(s.requests) < 2*3 {
		t.Errorf("%d requests are too few for pages of 100", len(s.requests))
	}
}
