package provider

import (
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func TestServerDataSource(t *testing.T) {
	s := startServer(t)
	const server = "data.registry_server.this"
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: s.config(`data "registry_server" "this" {}`),
			ConfigStateChecks: []statecheck.StateCheck{
				is(server, "endpoint", knownvalue.StringExact(s.url)),
				is(server, "host", knownvalue.StringExact(strings.TrimPrefix(s.url, "http://"))),
				is(server, "version", knownvalue.StringExact("1.2.3")),
				is(server, "api_versions", knownvalue.NotNull()),
				is(server, "capabilities", knownvalue.NotNull()),
				is(server, "storage_driver", knownvalue.StringExact("filesystem")),
				is(server, "open", knownvalue.Bool(false)),
				is(server, "delete_enabled", knownvalue.Bool(true)),
				is(server, "password_policy", knownvalue.ObjectExact(map[string]knownvalue.Check{
					"min_bytes":       knownvalue.Int64Exact(oci.MinPasswordBytes),
					"max_bytes":       knownvalue.Int64Exact(oci.MaxPasswordBytes),
					"min_bcrypt_cost": knownvalue.Int64Exact(oci.MinBcryptCost),
					"max_bcrypt_cost": knownvalue.Int64Exact(oci.MaxBcryptCost),
				})),
			},
		},
		resource.TestStep{
			PreConfig:   s.fail(status(500)),
			Config:      s.config(`data "registry_server" "this" {}`),
			ExpectError: says("Could not read the server's description"),
		},
		resource.TestStep{Config: s.config("# nothing")},
	)
}
