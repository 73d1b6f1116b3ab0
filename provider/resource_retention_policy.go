package provider

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var (
	_ resource.ResourceWithConfigure      = (*retentionPolicyResource)(nil)
	_ resource.ResourceWithIdentity       = (*retentionPolicyResource)(nil)
	_ resource.ResourceWithImportState    = (*retentionPolicyResource)(nil)
	_ resource.ResourceWithValidateConfig = (*retentionPolicyResource)(nil)
)

// retentionPolicyResource is registry_retention_policy.
type retentionPolicyResource struct{ conn *connection }

type retentionPolicyModel struct {
	Name         types.String `tfsdk:"name"`
	Description  types.String `tfsdk:"description"`
	Repositories types.Set    `tfsdk:"repositories"`
	Rules        types.List   `tfsdk:"rules"`
}

// needRetention is the right that managing retention policies takes.
const needRetention = `the policy "admin", which managing retention policies needs`

func (r *retentionPolicyResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_retention_policy"
}

func (r *retentionPolicyResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = retentionPolicySchema()
}

func (r *retentionPolicyResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = nameIdentity("name", "Name of the retention policy.")
}

func (r *retentionPolicyResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// ValidateConfig checks what of the rules is known.
func (r *retentionPolicyResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var rules types.List
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("rules"), &rules)...)
	checkRetentionRules(ctx, path.Root("rules"), rules, &resp.Diagnostics)
}

// Create makes the policy; one that is there already is not taken over.
func (r *retentionPolicyResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan retentionPolicyModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	api := r.conn.api(&resp.Diagnostics)
	spec := plan.spec(ctx, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	policy, err := api.CreateRetentionPolicy(ctx, spec)
	switch {
	case oci.ErrorCode(err) == oci.CodeConflict && exists(api.GetRetentionPolicy(ctx, spec.Name)):
		addExists(&resp.Diagnostics, "retention policy", "registry_retention_policy", spec.Name)
		return
	case err != nil:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("create the retention policy %q", spec.Name), needRetention, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, policyIdentity{plan.Name})...)
	keep(ctx, resp.Private, revisionKey, policy.Revision, &resp.Diagnostics)
}

// Read compares every attribute with the server.
func (r *retentionPolicyResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state retentionPolicyModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, policyIdentity{state.Name})...) // also before a removal
	name := state.Name.ValueString()
	if resp.Diagnostics.HasError() || r.conn.unreadable(fmt.Sprintf("the retention policy %q", name), &resp.Diagnostics) {
		return
	}
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	policy, err := api.GetRetentionPolicy(ctx, name)
	switch {
	case client.IsNotFound(err):
		resp.State.RemoveResource(ctx)
		return
	case err != nil:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("read the retention policy %q", name), needRetention, err)
		return
	}
	state.observe(ctx, policy, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
	keep(ctx, resp.Private, revisionKey, policy.Revision, &resp.Diagnostics)
}

// Update changes the policy, if nobody else has since Terraform read it.
func (r *retentionPolicyResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan retentionPolicyModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, policyIdentity{plan.Name})...)
	api := r.conn.api(&resp.Diagnostics)
	spec := plan.spec(ctx, &resp.Diagnostics)
	revision := recall(ctx, req.Private, revisionKey, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	policy, err := api.UpdateRetentionPolicy(ctx, spec, revision)
	if oci.ErrorCode(err) == oci.CodePreconditionFailed {
		// It may be our own work: the answer to a first try was lost.
		if now, again := api.GetRetentionPolicy(ctx, spec.Name); again == nil && isRetentionPolicy(now, spec) {
			policy, err = now, nil
		}
	}
	if err != nil {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("update the retention policy %q", spec.Name), needRetention, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	keep(ctx, resp.Private, revisionKey, policy.Revision, &resp.Diagnostics)
}

func (r *retentionPolicyResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state retentionPolicyModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	name := state.Name.ValueString()
	if err := api.DeleteRetentionPolicy(ctx, name, ""); err != nil && !client.IsNotFound(err) {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("delete the retention policy %q", name), needRetention, err)
	}
}

func (r *retentionPolicyResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	importByName(ctx, "name", policyNameRule(), req, resp)
}

func (m retentionPolicyModel) spec(ctx context.Context, diags *diag.Diagnostics) client.RetentionPolicySpec {
	v := values{ctx: ctx, diags: diags}
	rules := retentionRules(ctx, m.Rules, diags)
	return client.RetentionPolicySpec{Name: m.Name.ValueString(), Description: m.Description.ValueString(), Repositories: v.set(m.Repositories), Rules: rules}
}

// observe writes what the server has into the model. Rules that are only written
// otherwise are no change.
func (m *retentionPolicyModel) observe(ctx context.Context, policy client.RetentionPolicy, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags}
	m.Name = types.StringValue(policy.Name)
	m.Description = types.StringValue(policy.Description)
	m.Repositories = v.setOf(policy.Repositories, false)
	if had := retentionRules(ctx, m.Rules, diags); !m.Rules.IsNull() && sameRetentionRules(had, policy.Rules) {
		return
	}
	rules := make([]retentionRuleModel, len(policy.Rules))
	for i, rule := range policy.Rules {
		rules[i] = retentionRuleOf(rule, &v)
	}
	list, more := types.ListValueFrom(ctx, retentionRuleType(), rules)
	diags.Append(more...)
	m.Rules = list
}

// isRetentionPolicy reports whether a policy is what spec says.
func isRetentionPolicy(p client.RetentionPolicy, spec client.RetentionPolicySpec) bool {
	had := slices.Sorted(slices.Values(p.Repositories))
	return p.Description == spec.Description && slices.Equal(had, slices.Sorted(slices.Values(spec.Repositories))) && sameRetentionRules(p.Rules, spec.Rules)
}
