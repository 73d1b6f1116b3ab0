package provider

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

// Terraform before 1.14 has no queries, so this speaks the protocol itself.
func TestRepositoryList(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	server, ok := s.protocol(t).(tfprotov6.ListResourceServer)
	if !ok {
		t.Fatal("the provider lists no resources")
	}
	for n := range 260 {
		spec := client.RepositorySpec{Name: fmt.Sprintf("many/r%03d", n), ImmutableTagPatterns: []string{"v*"}}
		if _, err := s.admin.CreateRepository(t.Context(), spec); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.admin.CreateRepository(t.Context(), client.RepositorySpec{Name: "team/app"}); err != nil {
		t.Fatal(err)
	}
	s.fail(times(1000, pagesOf(100))...)()
	query := func(glob any, limit int64) (names []string, results []tfprotov6.ListResourceResult) {
		t.Helper()
		kind := tftypes.Object{AttributeTypes: map[string]tftypes.Type{"name_glob": tftypes.String}}
		config := dynamic(t, kind, map[string]tftypes.Value{"name_glob": tftypes.NewValue(tftypes.String, glob)})
		stream, err := server.ListResource(t.Context(), &tfprotov6.ListResourceRequest{TypeName: "registry_repository", Config: config, IncludeResource: true, Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		for result := range stream.Results {
			names, results = append(names, result.DisplayName), append(results, result)
		}
		return names, results
	}
	if names, _ := query(nil, 0); len(names) != 261 || !slices.IsSorted(names) {
		t.Errorf("%d repositories: %v", len(names), names)
	}
	if names, _ := query(nil, 150); len(names) != 150 {
		t.Errorf("%d repositories, want at most 150", len(names))
	}
	names, results := query("team/*", 10)
	if !slices.Equal(names, []string{"team/app"}) || results[0].Identity == nil || len(results[0].Diagnostics) > 0 {
		t.Fatalf("team/*: %v, %+v", names, results)
	}
	kind := repositorySchema().Type().TerraformType(t.Context())
	value, err := results[0].Resource.Unmarshal(kind)
	if err != nil || !strings.Contains(value.String(), `"team/app"`) || !value.IsFullyKnown() {
		t.Errorf("the resource is %v, %v", value, err)
	}
	s.fail(pagesOf(100), status(500))()
	_, results = query(nil, 0)
	last := results[len(results)-1]
	if len(results) != 101 || len(last.Diagnostics) != 1 || last.Diagnostics[0].Summary != "Could not list the repositories" {
		t.Errorf("%d results, the last of them %+v", len(results), last)
	}
}
