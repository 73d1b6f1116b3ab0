package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var (
	_ datasource.DataSourceWithConfigure      = (*retentionPreviewDataSource)(nil)
	_ datasource.DataSourceWithValidateConfig = (*retentionPreviewDataSource)(nil)
)

// retentionPreviewDataSource is data.registry_retention_preview.
type retentionPreviewDataSource struct{ conn *connection }

type retentionPreviewModel struct {
	Policy       types.Object     `tfsdk:"policy"`
	Repositories types.Set        `tfsdk:"repositories"`
	Limit        types.Int64      `tfsdk:"limit"`
	Deletions    []retentionFound `tfsdk:"deletions"`
	Truncated    types.Bool       `tfsdk:"truncated"`
}

type previewPolicyModel struct {
	Name         types.String `tfsdk:"name"`
	Repositories types.Set    `tfsdk:"repositories"`
	Rules        types.List   `tfsdk:"rules"`
}

type retentionFound struct {
	Repository types.String `tfsdk:"repository"`
	Tag        types.String `tfsdk:"tag"`
	Digest     types.String `tfsdk:"digest"`
	PushedAt   types.String `tfsdk:"pushed_at"`
	PulledAt   types.String `tfsdk:"pulled_at"`
	Policy     types.String `tfsdk:"policy"`
	Rule       types.Int64  `tfsdk:"rule"`
	Reason     types.String `tfsdk:"reason"`
}

// How much a preview lists.
const (
	previewLimit     = 1000
	mostPreviewLimit = 100_000
)

func (d *retentionPreviewDataSource) Metadata(_ context.Context, _ datasource.MetadataRequest, resp *datasource.MetadataResponse) {
	resp.TypeName = "registry_retention_preview"
}

func (d *retentionPreviewDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "What retention policies would delete if a garbage collection of the server ran now. It deletes nothing. With `policy`, a plan shows what a change of a policy would delete, before it is applied.\n\n" +
			"What only the deletions themselves would make deletable, such as the manifest of a tag that goes, shows once they are done.",
		Attributes: map[string]schema.Attribute{
			"policy": schema.SingleNestedAttribute{
				Optional:            true,
				MarkdownDescription: "A retention policy that stands in for the one of its name that the server has, or beside those that there are. Defaults to what the server has.",
				Attributes: map[string]schema.Attribute{
					"name": schema.StringAttribute{
						Required: true, MarkdownDescription: retentionNameText, Validators: []validator.String{policyNameRule()},
					},
					"repositories": schema.SetAttribute{
						Required: true, ElementType: types.StringType,
						MarkdownDescription: fmt.Sprintf(retentionGlobText, oci.MaxGlobsPerRule),
						Validators:          retentionGlobs(),
					},
					"rules": schema.ListNestedAttribute{
						Required:            true,
						MarkdownDescription: fmt.Sprintf(retentionRuleText, oci.MaxRetentionRules),
						Validators:          retentionRuleList(),
						NestedObject:        schema.NestedAttributeObject{Attributes: retentionRuleSource()},
					},
				},
			},
			"repositories": schema.SetAttribute{
				Optional: true, ElementType: types.StringType,
				MarkdownDescription: "Globs of repository names that narrow the preview. Defaults to all repositories.",
				Validators:          retentionGlobs(),
			},
			"limit": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: fmt.Sprintf("How many deletions are listed at most, from 1 to %d. Defaults to `%d`.", mostPreviewLimit, previewLimit),
				Validators:          []validator.Int64{int64validator.Between(1, mostPreviewLimit)},
			},
			"deletions": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "What would be deleted: by repository, tags before manifests that have none.",
				NestedObject:        schema.NestedAttributeObject{Attributes: retentionFoundAttributes()},
			},
			"truncated": schema.BoolAttribute{
				Computed:            true,
				MarkdownDescription: "Whether there are more than `limit`.",
			},
		},
	}
}

func retentionFoundAttributes() map[string]schema.Attribute {
	text := func(description string) schema.Attribute {
		return schema.StringAttribute{Computed: true, MarkdownDescription: description}
	}
	return map[string]schema.Attribute{
		"repository": text("Name of the repository."),
		"tag":        text("The tag, or null for a manifest without one."),
		"digest":     text("What the tag points at, or the manifest."),
		"pushed_at":  text("When it was pushed last, in RFC 3339."),
		"pulled_at":  text("The end of the day of the last pull, in RFC 3339; null where no rule asks for it, or nobody has pulled it since pulls are noted."),
		"policy":     text("The retention policy that deletes it."),
		"rule":       schema.Int64Attribute{Computed: true, MarkdownDescription: "Which of its rules does, counted from 1."},
		"reason":     text("The same in words."),
	}
}

func (d *retentionPreviewDataSource) Configure(_ context.Context, req datasource.ConfigureRequest, resp *datasource.ConfigureResponse) {
	d.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// ValidateConfig checks what of the rules is known.
func (d *retentionPreviewDataSource) ValidateConfig(ctx context.Context, req datasource.ValidateConfigRequest, resp *datasource.ValidateConfigResponse) {
	var policy types.Object
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("policy"), &policy)...)
	v := values{ctx: ctx, diags: &resp.Diagnostics}
	var m previewPolicyModel
	v.object(policy, &m)
	checkRetentionRules(ctx, path.Root("policy").AtName("rules"), m.Rules, &resp.Diagnostics)
}

func (d *retentionPreviewDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m retentionPreviewModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	api := d.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	v := values{ctx: ctx, diags: &resp.Diagnostics}
	spec := client.RetentionPreviewSpec{Repositories: v.set(m.Repositories)}
	if !m.Policy.IsNull() {
		var p previewPolicyModel
		v.object(m.Policy, &p)
		rules := retentionRules(ctx, p.Rules, &resp.Diagnostics)
		spec.Policy = &client.RetentionPolicySpec{Name: p.Name.ValueString(), Repositories: v.set(p.Repositories), Rules: rules}
	}
	limit := previewLimit
	if !m.Limit.IsNull() {
		limit = int(m.Limit.ValueInt64())
	}
	m.Deletions, m.Truncated = []retentionFound{}, types.BoolValue(false)
	for found, err := range api.PreviewRetention(ctx, spec) {
		if err != nil {
			d.conn.addAPIError(&resp.Diagnostics, "preview what retention policies delete", needRetention, err)
			return
		}
		if len(m.Deletions) == limit {
			m.Truncated = types.BoolValue(true)
			break
		}
		m.Deletions = append(m.Deletions, retentionFoundOf(found))
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

func retentionFoundOf(v client.RetentionVictim) retentionFound {
	text := func(s string) types.String {
		if s == "" {
			return types.StringNull()
		}
		return types.StringValue(s)
	}
	f := retentionFound{
		Repository: types.StringValue(v.Repository), Tag: text(v.Tag), Digest: types.StringNull(), PushedAt: timeValue(v.PushedAt), PulledAt: timeValue(v.PulledAt),
		Policy: types.StringValue(v.Policy), Rule: types.Int64Value(int64(v.Rule)), Reason: types.StringValue(v.Reason),
	}
	if !v.Digest.IsZero() {
		f.Digest = types.StringValue(v.Digest.String())
	}
	return f
}
