package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

var _ datasource.DataSourceWithConfigure = (*repositoryDataSource)(nil)

// repositoryDataSource is data.registry_repository.
type repositoryDataSource struct{ conn *connection }

// foundRepositoryModel is a repository in a data source.
type foundRepositoryModel struct {
	Name                 types.String `tfsdk:"name"`
	Description          types.String `tfsdk:"description"`
	AnonymousPull        types.Bool   `tfsdk:"anonymous_pull"`
	ImmutableTagPatterns []string     `tfsdk:"immutable_tag_patterns"`
}

func (d *repositoryDataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "registry_repository"
}

func (d *repositoryDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	attributes := foundRepositoryAttributes()
	attributes["name"] = schema.StringAttribute{
		Required:            true,
		MarkdownDescription: "Name of the repository.",
		Validators:          []validator.String{repositoryRule()},
	}
	resp.Schema = schema.Schema{
		MarkdownDescription: "A repository and its settings, whether Terraform or a push made it. One that does not exist is an error.",
		Attributes:          attributes,
	}
}

// foundRepositoryAttributes describes a foundRepositoryModel.
func foundRepositoryAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"name":           schema.StringAttribute{Computed: true, MarkdownDescription: "Name of the repository."},
		"description":    schema.StringAttribute{Computed: true, MarkdownDescription: "What the repository is for."},
		"anonymous_pull": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether anybody may pull, also without logging in. Policies may allow that, too."},
		"immutable_tag_patterns": schema.SetAttribute{
			Computed: true, ElementType: types.StringType,
			MarkdownDescription: "Patterns of tags that stay what they are once they are pushed.",
		},
	}
}

func (d *repositoryDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.conn = connect(req.ProviderData, &resp.Diagnostics)
}

func (d *repositoryDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var name types.String
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("name"), &name)...)
	api := d.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	repository, err := api.GetRepository(ctx, name.ValueString())
	switch {
	case client.IsNotFound(err):
		resp.Diagnostics.AddAttributeError(path.Root("name"), "No such repository", fmt.Sprintf(
			"The registry has no repository %q. A push or the resource registry_repository makes one; if this run does, refer to that resource or use depends_on.", name.ValueString()))
		return
	case err != nil:
		d.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("read the repository %q", name.ValueString()), needRepositories, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, foundRepository(repository))...)
}

func foundRepository(r client.Repository) foundRepositoryModel {
	return foundRepositoryModel{
		Name:                 types.StringValue(r.Name),
		Description:          types.StringValue(r.Description),
		AnonymousPull:        types.BoolValue(r.AnonymousPull),
		ImmutableTagPatterns: append([]string{}, r.ImmutableTagPatterns...),
	}
}
