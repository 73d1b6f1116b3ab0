package provider

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

// listing is what `terraform query` gets from a list block.
type listing struct {
	names  []string
	values []map[string]tftypes.Value // where asked for
	errors []string
}

// query does what `terraform query` does, which Terraform before 1.14 cannot.
func query(t *testing.T, provider tfprotov6.ProviderServer, kind, glob string, limit int64, include bool) (l listing) {
	t.Helper()
	server, ok := provider.(tfprotov6.ListResourceServer)
	if !ok {
		t.Fatal("the provider lists nothing")
	}
	config := tftypes.Object{AttributeTypes: map[string]tftypes.Type{"name_glob": tftypes.String}}
	value := tftypes.NewValue(tftypes.String, nil)
	if glob != "" {
		value = tftypes.NewValue(tftypes.String, glob)
	}
	raw := dynamic(t, config, map[string]tftypes.Value{"name_glob": value})
	checked, err := server.ValidateListResourceConfig(t.Context(), &tfprotov6.ValidateListResourceConfigRequest{TypeName: kind, Config: raw})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range checked.Diagnostics {
		l.errors = append(l.errors, d.Summary)
	}
	if len(l.errors) > 0 {
		return l
	}
	stream, err := server.ListResource(t.Context(), &tfprotov6.ListResourceRequest{TypeName: kind, Config: raw, Limit: limit, IncludeResource: include})
	if err != nil {
		t.Fatal(err)
	}
	schemas, err := provider.GetProviderSchema(t.Context(), &tfprotov6.GetProviderSchemaRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for result := range stream.Results {
		for _, d := range result.Diagnostics {
			l.errors = append(l.errors, d.Summary)
		}
		if result.Identity == nil {
			continue
		}
		l.names = append(l.names, result.DisplayName)
		if !include {
			continue
		}
		value, err := result.Resource.Unmarshal(schemas.ResourceSchemas[kind].ValueType())
		if err != nil {
			t.Fatal(err)
		}
		attributes := map[string]tftypes.Value{}
		if err := value.As(&attributes); err != nil {
			t.Fatal(err)
		}
		l.values = append(l.values, attributes)
	}
	return l
}

func TestListResources(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	for i := range 12 {
		if _, err := s.admin.CreateUser(t.Context(), client.UserSpec{Username: fmt.Sprintf("ci-%02d", i), Description: "of the lab", Policies: []string{"read-only"}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.admin.CreatePolicy(t.Context(), client.PolicySpec{Name: "team", Anonymous: true, Rules: []client.Rule{{Repositories: []string{"team/*"}, Actions: []string{"pull"}}}}); err != nil {
		t.Fatal(err)
	}
	s.pageSize = 5
	provider := s.protocol(t)
	if all := query(t, provider, "registry_user", "", 0, false); len(all.names) != 13 || len(all.errors) > 0 || all.names[0] != "admin" {
		t.Errorf("%+v", all)
	}
	few := query(t, provider, "registry_user", "ci-*", 3, true)
	if !slices.Equal(few.names, []string{"ci-00", "ci-01", "ci-02"}) || len(few.errors) > 0 {
		t.Errorf("%+v", few)
	}
	for _, v := range few.values {
		if !v["description"].Equal(tftypes.NewValue(tftypes.String, "of the lab")) || !v["enabled"].Equal(tftypes.NewValue(tftypes.Bool, false)) || !v["password"].IsNull() {
			t.Errorf("%v", v)
		}
	}
	// The built-in policies cannot be managed, so they are not there.
	policies := query(t, provider, "registry_policy", "", 0, true)
	if !slices.Equal(policies.names, []string{"team"}) || len(policies.errors) > 0 || !policies.values[0]["anonymous"].Equal(tftypes.NewValue(tftypes.Bool, true)) {
		t.Errorf("%+v", policies)
	}
	for _, name := range []string{"cd", "ci"} {
		if _, err := s.admin.CreateWebhook(t.Context(), client.WebhookSpec{Name: name, URL: "https://ci.example.com/", Format: "cloudevents", Actions: []string{"push"}, Secret: ptr("a-secret-of-bytes-1")}); err != nil {
			t.Fatal(err)
		}
	}
	webhooks := query(t, provider, "registry_webhook", "c?", 0, true)
	if !slices.Equal(webhooks.names, []string{"cd", "ci"}) || len(webhooks.errors) > 0 || !webhooks.values[0]["has_secret"].Equal(tftypes.NewValue(tftypes.Bool, true)) || !webhooks.values[0]["secret"].IsNull() {
		t.Errorf("%+v", webhooks)
	}
	if wrong := query(t, provider, "registry_policy", "[", 0, false); !slices.Equal(wrong.errors, []string{"Invalid pattern"}) {
		t.Errorf("%+v", wrong)
	}
	s.fail(times(3, status(http.StatusInternalServerError))...)()
	if failed := query(t, provider, "registry_user", "", 0, false); !slices.Equal(failed.errors, []string{"Could not list the users"}) || len(failed.names) > 0 {
		t.Errorf("%+v", failed)
	}
}

// Without a server there is a reason, as for everything else.
func TestListResourcesWithoutServer(t *testing.T) {
	t.Parallel()
	provider, err := factories(testProvider())["registry"]()
	if err != nil {
		t.Fatal(err)
	}
	block := configOf(t, map[string]any{})
	raw, err := tfprotov6.NewDynamicValue(block.Raw.Type(), block.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.ConfigureProvider(t.Context(), &tfprotov6.ConfigureProviderRequest{TerraformVersion: "1.14.0", Config: &raw}); err != nil {
		t.Fatal(err)
	}
	if l := query(t, provider, "registry_user", "", 0, false); !slices.Equal(l.errors, []string{"No endpoint configured"}) {
		t.Errorf("%+v", l)
	}
}
