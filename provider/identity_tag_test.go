package provider

import (
	"testing"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// As TestIdentities, for what repository and tag identify together.
func TestTagIdentities(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	provider := s.protocol(t)
	s.pushIndex(t, "team/api", "1", "stable")
	kind := tftypes.Object{AttributeTypes: map[string]tftypes.Type{"repository": tftypes.String, "tag": tftypes.String}}
	for _, resource := range []string{"registry_tag", "registry_image"} {
		for _, c := range []struct{ repository, tag, complaint string }{
			{"team/api", "stable", ""},
			{"team/api", "none", ""}, // gone, with its identity
			{"Team", "stable", `invalid repository name`},
		} {
			value := map[string]tftypes.Value{"repository": tftypes.NewValue(tftypes.String, c.repository), "tag": tftypes.NewValue(tftypes.String, c.tag)}
			imported, err := provider.ImportResourceState(t.Context(), &tfprotov6.ImportResourceStateRequest{
				TypeName: resource, Identity: &tfprotov6.ResourceIdentityData{IdentityData: dynamic(t, kind, value)},
			})
			if err != nil {
				t.Fatal(err)
			}
			if c.complaint != "" {
				if len(imported.Diagnostics) != 1 || imported.Diagnostics[0].Summary != "Invalid import id" {
					t.Errorf("%s %s: %+v", resource, c.repository, imported.Diagnostics)
				}
				continue
			}
			if len(imported.Diagnostics) > 0 || len(imported.ImportedResources) != 1 {
				t.Fatalf("%s %s:%s: %+v", resource, c.repository, c.tag, imported)
			}
			it := imported.ImportedResources[0]
			read, err := provider.ReadResource(t.Context(), &tfprotov6.ReadResourceRequest{
				TypeName: resource, CurrentState: it.State, CurrentIdentity: it.Identity, Private: it.Private,
			})
			if err != nil || len(read.Diagnostics) > 0 || read.NewIdentity == nil {
				t.Fatalf("%s %s:%s: %v, %+v", resource, c.repository, c.tag, err, read)
			}
			got, err := read.NewIdentity.IdentityData.Unmarshal(kind)
			if err != nil || !got.Equal(tftypes.NewValue(kind, value)) {
				t.Errorf("%s: the identity is %v, %v", resource, got, err)
			}
		}
	}
}
