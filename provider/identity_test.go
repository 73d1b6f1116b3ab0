package provider

import (
	"context"
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Terraform before 1.12 knows no identities, so this speaks the protocol
// itself: an import by identity, and the read that follows it, also of an
// object that is gone.
func TestIdentities(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	provider := s.protocol(t)
	if _, err := s.admin.CreatePolicy(t.Context(), client.PolicySpec{Name: "team"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.admin.CreateRepository(t.Context(), client.RepositorySpec{Name: "team/app"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.admin.CreateRetentionPolicy(t.Context(), client.RetentionPolicySpec{Name: "ci", Repositories: []string{"**"}, Rules: []client.RetentionRule{{Action: oci.RetentionKeep, Newest: 1}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.admin.CreateWebhook(t.Context(), client.WebhookSpec{Name: "ci", URL: "https://ci.example.com/", Format: "distribution", Actions: []string{"push"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.admin.CreateProxyCache(t.Context(), client.ProxyCacheSpec{Prefix: "hub", UpstreamURL: "https://quay.io"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.admin.CreateReplication(t.Context(), client.ReplicationSpec{Name: "dr", URL: "https://dr.example.com"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ resource, attribute, name, complaint string }{
		{"registry_user", "username", "admin", ""},
		{"registry_policy", "name", "team", ""},
		{"registry_user", "username", "nobody", ""},
		{"registry_policy", "name", "none", ""},
		{"registry_repository", "name", "team/app", ""},
		{"registry_repository", "name", "none", ""},
		{"registry_retention_policy", "name", "ci", ""},
		{"registry_retention_policy", "name", "none", ""},
		{"registry_webhook", "name", "ci", ""},
		{"registry_webhook", "name", "none", ""},
		{"registry_proxy_cache", "prefix", "hub", ""},
		{"registry_proxy_cache", "prefix", "none", ""},
		{"registry_replication", "name", "dr", ""},
		{"registry_replication", "name", "none", ""},
		{"registry_policy", "name", "admin", "Built-in policy"},
		{"registry_user", "username", "no:body", "Could not read the user \"no:body\""},
	} {
		kind := tftypes.Object{AttributeTypes: map[string]tftypes.Type{c.attribute: tftypes.String}}
		identity := dynamic(t, kind, map[string]tftypes.Value{c.attribute: tftypes.NewValue(tftypes.String, c.name)})
		imported, err := provider.ImportResourceState(t.Context(), &tfprotov6.ImportResourceStateRequest{
			TypeName: c.resource, Identity: &tfprotov6.ResourceIdentityData{IdentityData: identity},
		})
		if err != nil || len(imported.Diagnostics) > 0 || len(imported.ImportedResources) != 1 {
			t.Fatalf("%s %s: %v, %+v", c.resource, c.name, err, imported)
		}
		it := imported.ImportedResources[0]
		read, err := provider.ReadResource(t.Context(), &tfprotov6.ReadResourceRequest{
			TypeName: c.resource, CurrentState: it.State, CurrentIdentity: it.Identity, Private: it.Private,
		})
		if err != nil {
			t.Fatal(err)
		}
		if c.complaint != "" {
			if len(read.Diagnostics) != 1 || read.Diagnostics[0].Summary != c.complaint {
				t.Errorf("%s %s: %+v, want %q", c.resource, c.name, read.Diagnostics, c.complaint)
			}
			continue
		}
		if len(read.Diagnostics) > 0 || read.NewIdentity == nil {
			t.Errorf("%s %s: %+v, %v", c.resource, c.name, read.Diagnostics, read.NewIdentity)
			continue
		}
		value, err := read.NewIdentity.IdentityData.Unmarshal(kind)
		want := tftypes.NewValue(kind, map[string]tftypes.Value{c.attribute: tftypes.NewValue(tftypes.String, c.name)})
		if err != nil || !value.Equal(want) {
			t.Errorf("%s %s: the identity is %v, %v", c.resource, c.name, value, err)
		}
	}
}

// protocol is the provider, configured for the server, as Terraform sees it.
func (s *testServer) protocol(t *testing.T) tfprotov6.ProviderServer {
	t.Helper()
	provider, err := factories(testProvider())["registry"]()
	if err != nil {
		t.Fatal(err)
	}
	block := configOf(t, map[string]any{"endpoint": s.url, "username": "admin", "password": adminPassword})
	raw, err := tfprotov6.NewDynamicValue(block.Raw.Type(), block.Raw)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := provider.ConfigureProvider(context.WithoutCancel(t.Context()), &tfprotov6.ConfigureProviderRequest{TerraformVersion: "1.12.0", Config: &raw})
	if err != nil || len(resp.Diagnostics) > 0 {
		t.Fatal(err, resp)
	}
	return provider
}

func dynamic(t *testing.T, kind tftypes.Type, value any) *tfprotov6.DynamicValue {
	t.Helper()
	v, err := tfprotov6.NewDynamicValue(kind, tftypes.NewValue(kind, value))
	if err != nil {
		t.Fatal(err)
	}
	return &v
}
