package provider

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`)

// More users than a page of the server has, in small pages, so that paging is
// part of it.
func TestUsersDataSource(t *testing.T) {
	s := startServer(t)
	for i := range 260 {
		if _, err := s.admin.CreateUser(t.Context(), client.UserSpec{Username: fmt.Sprintf("ci-%03d", i), Enabled: i%2 == 0}); err != nil {
			t.Fatal(err)
		}
	}
	s.pageSize = 100
	text := s.config(`
data "registry_users" "all" {}
data "registry_users" "ci" { username_glob = "ci-*" }
data "registry_users" "few" { username_glob = "ci-00[0-2]" }
data "registry_users" "none" { username_glob = "nobody*" }
`)
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: text,
			ConfigStateChecks: []statecheck.StateCheck{
				is("data.registry_users.all", "usernames", knownvalue.ListSizeExact(261)),
				is("data.registry_users.all", "users", knownvalue.ListSizeExact(261)),
				is("data.registry_users.ci", "usernames", knownvalue.ListSizeExact(260)),
				is("data.registry_users.few", "usernames", texts("ci-000", "ci-001", "ci-002")),
				is("data.registry_users.few", "users", knownvalue.ListPartial(map[int]knownvalue.Check{1: knownvalue.ObjectExact(map[string]knownvalue.Check{
					"username": knownvalue.StringExact("ci-001"), "policies": texts(), "enabled": knownvalue.Bool(false), "description": knownvalue.StringExact(""),
					"has_password": knownvalue.Bool(false), "created_at": knownvalue.StringRegexp(rfc3339), "updated_at": knownvalue.StringRegexp(rfc3339),
				})})),
				is("data.registry_users.none", "users", knownvalue.ListSizeExact(0)),
				serverCheck(func() error {
					pages := 0
					for _, r := range s.seen() {
						if r.method == "GET" && strings.HasSuffix(r.path, "/users") {
							pages++
						}
					}
					if pages < 4*3 {
						return fmt.Errorf("%d pages were read", pages)
					}
					return nil
				}),
			},
		},
		resource.TestStep{Config: s.config(`data "registry_users" "x" { username_glob = "[" }`), ExpectError: says("Invalid pattern")},
		resource.TestStep{PreConfig: s.fail(status(500)), Config: s.config(`data "registry_users" "x" {}`), ExpectError: says("Could not list the users")},
	)
}
