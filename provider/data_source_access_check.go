package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var _ datasource.DataSourceWithConfigure = (*accessCheckDataSource)(nil)

// accessCheckDataSource is data.registry_access_check.
type accessCheckDataSource struct{ conn *connection }

type accessCheckModel struct {
	Username    types.String `tfsdk:"username"`
	Repository  types.String `tfsdk:"repository"`
	Action      types.String `tfsdk:"action"`
	Allowed     types.Bool   `tfsdk:"allowed"`
	Reason      types.String `tfsdk:"reason"`
	Explanation types.String `tfsdk:"explanation"`
	Policy      types.String `tfsdk:"policy"`
	Rule        *foundRule   `tfsdk:"rule"`
	RuleIndex   types.Int64  `tfsdk:"rule_index"`
}

func (d *accessCheckDataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "registry_access_check"
}

func (d *accessCheckDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "Whether a user may do something with a repository, and by which rule, as the server decides it now. " +
			"Use it in a `check` block or a `postcondition` to hold policies to what they are meant to do.",
		Attributes: map[string]schema.Attribute{
			"username": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "Name of the user, kept by the server or in its htpasswd file. Without it the question is what callers without credentials may do.",
				Validators:          []validator.String{stringvalidator.LengthBetween(1, 256)},
			},
			"repository": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the repository, which need not exist yet.",
				Validators:          []validator.String{ofOCI("repository name", oci.ParseRepository)},
			},
			"action": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "What is to be done there: `pull`, `push` or `delete`.",
				Validators:          []validator.String{actionRule()},
			},
			"allowed": schema.BoolAttribute{Computed: true, MarkdownDescription: "Whether it is allowed."},
			"reason": schema.StringAttribute{Computed: true, MarkdownDescription: "What decides. Allowed: `policy` (of the user), `built_in_policy`, `anonymous_policy` (one that holds for everybody), `anonymous_pull` (a setting of the repository), `htpasswd` (users of the htpasswd file may do everything), `open` (nobody is configured who could log in). " +
				"Not allowed: `no_policy`, `disabled` (the user cannot log in), `unknown_user`."},
			"explanation": schema.StringAttribute{Computed: true, MarkdownDescription: "The reason in a sentence."},
			"policy":      schema.StringAttribute{Computed: true, MarkdownDescription: "The first policy that allows it; null where none does."},
			"rule": schema.SingleNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The rule of the policy that allows it; null where none does.",
				Attributes:          foundRuleAttributes(),
			},
			"rule_index": schema.Int64Attribute{Computed: true, MarkdownDescription: "Where the rule is in the policy, counted from 0; null where none allows it."},
		},
	}
}

func (d *accessCheckDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.conn = connect(req.ProviderData, &resp.Diagnostics)
}

func (d *accessCheckDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m accessCheckModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	api := d.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	access, err := api.Access(ctx, m.Username.ValueString(), oci.Action(m.Action.ValueString()), m.Repository.ValueString())
	if err != nil {
		d.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("check who may %s in %q", m.Action.ValueString(), m.Repository.ValueString()), needUsers, err)
		return
	}
	m.Allowed = types.BoolValue(access.Allowed)
	m.Reason = types.StringValue(access.Reason)
	m.Explanation = types.StringValue(access.Explanation)
	m.Policy, m.Rule, m.RuleIndex = types.StringNull(), nil, types.Int64Null()
	if access.Rule != nil && access.RuleIndex != nil {
		m.Policy = types.StringValue(access.Policy)
		m.Rule = &foundRule{access.Rule.Repositories, access.Rule.Actions}
		m.RuleIndex = types.Int64Value(int64(*access.RuleIndex))
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}
