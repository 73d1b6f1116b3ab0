package provider

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func tagRule() stringRule    { return ofOCI("tag", oci.ParseTag) }
func digestRule() stringRule { return ofOCI("digest", oci.ParseDigest) }

// tagName names a tag of a repository, as in team/api:stable. It is the
// identity of registry_tag and registry_image.
type tagName struct {
	Repository types.String `tfsdk:"repository"`
	Tag        types.String `tfsdk:"tag"`
}

func (n tagName) String() string { return n.Repository.ValueString() + ":" + n.Tag.ValueString() }

func (n tagName) equal(o tagName) bool {
	return n.Repository.Equal(o.Repository) && n.Tag.Equal(o.Tag)
}

// parseTagName parses REPOSITORY:TAG.
func parseTagName(s string) (tagName, error) {
	repository, tag, found := strings.Cut(s, ":")
	if !found {
		return tagName{}, fmt.Errorf("%q does not name a tag; write REPOSITORY:TAG, such as team/api:stable", s)
	}
	if _, err := oci.ParseRepository(repository); err != nil {
		return tagName{}, fmt.Errorf("%w (in REPOSITORY:TAG)", err)
	}
	if _, err := oci.ParseTag(tag); err != nil {
		return tagName{}, fmt.Errorf("%w (in REPOSITORY:TAG)", err)
	}
	return tagName{types.StringValue(repository), types.StringValue(tag)}, nil
}

func tagIdentity() identityschema.Schema {
	return identityschema.Schema{Attributes: map[string]identityschema.Attribute{
		"repository": identityschema.StringAttribute{RequiredForImport: true, Description: "Name of the repository."},
		"tag":        identityschema.StringAttribute{RequiredForImport: true, Description: "Name of the tag."},
	}}
}

// importTag takes repository and tag from the id or the identity and leaves the
// rest to Read.
func importTag(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	id := req.ID
	if id == "" {
		var given tagName
		resp.Diagnostics.Append(req.Identity.Get(ctx, &given)...)
		id = given.String()
	}
	name, err := parseTagName(id)
	if err != nil {
		resp.Diagnostics.AddError("Invalid import id", sentence(err))
	}
	if resp.Diagnostics.HasError() {
		return
	}
	set := func(attribute string, value types.String) diag.Diagnostics {
		return resp.State.SetAttribute(ctx, path.Root(attribute), value)
	}
	resp.Diagnostics.Append(set("repository", name.Repository)...)
	resp.Diagnostics.Append(set("tag", name.Tag)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, name)...)
}
