package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/list/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var _ list.ListResourceWithConfigure = (*repositoryList)(nil)

// repositoryList lists what registry_repository can manage, for terraform query
// (Terraform 1.14).
type repositoryList struct{ conn *connection }

func (l *repositoryList) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_repository"
}

func (l *repositoryList) ListResourceConfigSchema(_ context.Context, _ list.ListResourceSchemaRequest, resp *list.ListResourceSchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "The repositories of the registry, whether Terraform or pushes made them.",
		Attributes: map[string]schema.Attribute{
			"name_glob": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Glob of repository names: `*` stands for anything within one part of a name, `**` for anything, `/` included. Defaults to all repositories.",
				Validators:          []validator.String{globRule()},
			},
		},
	}
}

func (l *repositoryList) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	l.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// List lists page by page, as far as Terraform wants to know.
func (l *repositoryList) List(ctx context.Context, req list.ListRequest, stream *list.ListResultsStream) {
	var glob types.String
	var diags diag.Diagnostics
	diags.Append(req.Config.GetAttribute(ctx, path.Root("name_glob"), &glob)...)
	api := l.conn.api(&diags)
	if diags.HasError() {
		stream.Results = list.ListResultsStreamDiagnostics(diags)
		return
	}
	stream.Results = func(push func(list.ListResult) bool) {
		listed := int64(0)
		for repository, err := range matching(ctx, api, glob) {
			result := req.NewListResult(ctx)
			if err != nil {
				l.conn.addAPIError(&result.Diagnostics, "list the repositories", needRepositories, err)
				push(result)
				return
			}
			var m repositoryModel
			m.observe(ctx, repository, &result.Diagnostics)
			result.DisplayName = repository.Name
			result.Diagnostics.Append(result.Identity.Set(ctx, repositoryIdentity{m.Name})...)
			if req.IncludeResource {
				result.Diagnostics.Append(result.Resource.Set(ctx, m)...)
			}
			if listed++; !push(result) || listed == req.Limit {
				return
			}
		}
	}
}
