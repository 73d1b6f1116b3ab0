package provider

import (
	"context"
	"iter"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var _ datasource.DataSourceWithConfigure = (*repositoriesDataSource)(nil)

// repositoriesDataSource is data.registry_repositories.
type repositoriesDataSource struct{ conn *connection }

type repositoriesModel struct {
	NameGlob     types.String           `tfsdk:"name_glob"`
	Names        []string               `tfsdk:"names"`
	Repositories []foundRepositoryModel `tfsdk:"repositories"`
}

func (d *repositoriesDataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "registry_repositories"
}

func (d *repositoriesDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "All repositories of the registry, or those that a glob matches, whether Terraform or pushes made them. None at all is an empty list.",
		Attributes: map[string]schema.Attribute{
			"name_glob": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Glob of repository names, as in the rules of a policy: `*` stands for anything within one part of a name, `**` for anything, `/` included. Defaults to all repositories.",
				Validators:          []validator.String{globRule()},
			},
			"names": schema.ListAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "Names of the repositories, sorted.",
			},
			"repositories": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The repositories and their settings, sorted by name.",
				NestedObject:        schema.NestedAttributeObject{Attributes: foundRepositoryAttributes()},
			},
		},
	}
}

func (d *repositoriesDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.conn = connect(req.ProviderData, &resp.Diagnostics)
}

func (d *repositoriesDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	m := repositoriesModel{Names: []string{}, Repositories: []foundRepositoryModel{}}
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("name_glob"), &m.NameGlob)...)
	api := d.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	for repository, err := range matching(ctx, api, m.NameGlob) {
		if err != nil {
			d.conn.addAPIError(&resp.Diagnostics, "list the repositories", needRepositories, err)
			return
		}
		m.Names = append(m.Names, repository.Name)
		m.Repositories = append(m.Repositories, foundRepository(repository))
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}

// matching yields the repositories that a glob matches, or all if it is null. It
// ends at the first error.
func matching(ctx context.Context, api *client.Client, glob types.String) iter.Seq2[client.Repository, error] {
	return func(yield func(client.Repository, error) bool) {
		text := "**"
		if !glob.IsNull() {
			text = glob.ValueString()
		}
		pattern, err := oci.ParseGlob(text)
		if err != nil {
			yield(client.Repository{}, err)
			return
		}
		for repository, err := range api.ListRepositories(ctx) {
			if err != nil {
				yield(client.Repository{}, err)
				return
			}
			name, err := oci.ParseRepository(repository.Name)
			if err == nil && pattern.Match(name) && !yield(repository, nil) {
				return
			}
		}
	}
}
