package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

var _ datasource.DataSourceWithConfigure = (*tagsDataSource)(nil)

// tagsDataSource is data.registry_tags.
type tagsDataSource struct{ conn *connection }

type tagsModel struct {
	Repository  types.String `tfsdk:"repository"`
	Patterns    types.Set    `tfsdk:"patterns"`
	Prereleases types.Bool   `tfsdk:"prereleases"`
	Tags        []string     `tfsdk:"tags"`
	Versions    []string     `tfsdk:"versions"`
	Latest      types.String `tfsdk:"latest"`
}

func (d *tagsDataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "registry_tags"
}

func (d *tagsDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "The tags of a repository, and which of them are versions. A repository that does not exist is an error; one without tags has none.",
		Attributes: map[string]schema.Attribute{
			"repository": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the repository.",
				Validators:          []validator.String{repositoryRule()},
			},
			"patterns": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Globs; a tag that matches any of them is taken. `*` stands for any characters, `?` for one, `[a-z]` for one of those, and `\\` takes away what the next one means. Defaults to all tags.",
				Validators:          []validator.Set{setvalidator.SizeAtLeast(1), setvalidator.NoNullValues(), setvalidator.ValueStringsAre(tagGlobRule())},
			},
			"prereleases": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether pre-releases such as `1.5.0-rc.1` count among `versions` and for `latest`. Defaults to `false`.",
			},
			"tags": schema.ListAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "The tags in byte order.",
			},
			"versions": schema.ListAttribute{
				Computed: true, ElementType: types.StringType,
				MarkdownDescription: "Those of them that are [semantic versions](https://semver.org) of three numbers, with or without a `v`, the highest first.",
			},
			"latest": schema.StringAttribute{
				Computed:            true,
				MarkdownDescription: "The first of `versions`, or null where there is none. It has nothing to do with a tag that is called `latest`.",
			},
		},
	}
}

func (d *tagsDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.conn = connect(req.ProviderData, &resp.Diagnostics)
}

func (d *tagsDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m tagsModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	api := d.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	v := values{ctx: ctx, diags: &resp.Diagnostics}
	globs := v.set(m.Patterns)
	m.Tags = []string{}
	for tag, err := range api.ListTags(ctx, m.Repository.ValueString()) {
		switch {
		case client.IsNotFound(err):
			resp.Diagnostics.AddError(fmt.Sprintf("There is no repository %q", m.Repository.ValueString()),
				"A repository comes into being with the first push. Check the name, or give the data source depends_on what pushes. "+sentence(err))
			return
		case err != nil:
			d.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("list the tags of %q", m.Repository.ValueString()), needTags, err)
			return
		case matchesAny(globs, tag.Name):
			m.Tags = append(m.Tags, tag.Name)
		}
	}
	m.Versions = versions(m.Tags, m.Prereleases.ValueBool())
	m.Latest = types.StringNull()
	if len(m.Versions) > 0 {
		m.Latest = types.StringValue(m.Versions[0])
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}
