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

var _ datasource.DataSourceWithConfigure = (*policyDataSource)(nil)

// policyDataSource is data.registry_policy.
type policyDataSource struct{ conn *connection }

type foundPolicy struct {
	Name        types.String `tfsdk:"name"`
	Description types.String `tfsdk:"description"`
	Rules       []foundRule  `tfsdk:"rules"`
	Anonymous   types.Bool   `tfsdk:"anonymous"`
	BuiltIn     types.Bool   `tfsdk:"built_in"`
	CreatedAt   types.String `tfsdk:"created_at"`
	UpdatedAt   types.String `tfsdk:"updated_at"`
}

// foundRule is a rule as data sources show it.
type foundRule struct {
	Repositories []string `tfsdk:"repositories"`
	Actions      []string `tfsdk:"actions"`
}

// foundRuleAttributes are those of a foundRule.
func foundRuleAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"repositories": schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "Globs of repository names: `*` stands for anything within one part of a name, `**` for anything."},
		"actions":      schema.ListAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "What is allowed there: `pull`, `push`, `delete`."},
	}
}

func (d *policyDataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "registry_policy"
}

func (d *policyDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "A policy of the registry server, one that was made or one of the built-in `admin`, `read-write` and `read-only`. One that does not exist is an error.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the policy.",
				Validators:          []validator.String{policyNameRule()},
			},
			"description": schema.StringAttribute{Computed: true, MarkdownDescription: "What the policy is for."},
			"rules": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "What the policy allows: each rule its actions on the repositories that any of its globs matches.",
				NestedObject:        schema.NestedAttributeObject{Attributes: foundRuleAttributes()},
			},
			"anonymous":  schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether the policy also holds for callers without credentials."},
			"built_in":   schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether every server has the policy, and it cannot be changed."},
			"created_at": schema.StringAttribute{Computed: true, MarkdownDescription: "When the policy was made, as RFC 3339 in UTC; null for a built-in one."},
			"updated_at": schema.StringAttribute{Computed: true, MarkdownDescription: "When the policy was last changed, as RFC 3339 in UTC; null for a built-in one."},
		},
	}
}

func (d *policyDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.conn = connect(req.ProviderData, &resp.Diagnostics)
}

func (d *policyDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var name types.String
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("name"), &name)...)
	api := d.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	policy, err := api.GetPolicy(ctx, name.ValueString())
	switch {
	case client.IsNotFound(err):
		resp.Diagnostics.AddAttributeError(path.Root("name"), "No such policy", fmt.Sprintf(
			"The registry has no policy %q. If this run makes it, refer to the resource's attribute instead of writing the name.", name.ValueString()))
		return
	case err != nil:
		d.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("read the policy %q", name.ValueString()), needPolicies, err)
		return
	}
	m := foundPolicy{
		Name:        types.StringValue(policy.Name),
		Description: types.StringValue(policy.Description),
		Rules:       []foundRule{},
		Anonymous:   types.BoolValue(policy.Anonymous),
		BuiltIn:     types.BoolValue(policy.BuiltIn),
		CreatedAt:   timeValue(policy.CreatedAt),
		UpdatedAt:   timeValue(policy.UpdatedAt),
	}
	for _, rule := range policy.Rules {
		m.Rules = append(m.Rules, foundRule{rule.Repositories, rule.Actions})
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, m)...)
}
