package provider

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var (
	_ resource.ResourceWithConfigure   = (*policyResource)(nil)
	_ resource.ResourceWithIdentity    = (*policyResource)(nil)
	_ resource.ResourceWithImportState = (*policyResource)(nil)
)

// policyResource is registry_policy.
type policyResource struct {
	conn         *connection
	inUseTimeout time.Duration
}

type policyModel struct {
	Name        types.String `tfsdk:"name"`
	Description types.String `tfsdk:"description"`
	Rules       types.List   `tfsdk:"rules"`
	Anonymous   types.Bool   `tfsdk:"anonymous"`
}

type ruleModel struct {
	Repositories types.Set `tfsdk:"repositories"`
	Actions      types.Set `tfsdk:"actions"`
}

type policyIdentity struct {
	Name types.String `tfsdk:"name"`
}

// needPolicies is the right that managing policies takes.
const needPolicies = `the policy "admin", which managing policies needs`

func (r *policyResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_policy"
}

func (r *policyResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = policySchema()
}

func (r *policyResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = nameIdentity("name", "Name of the policy.")
}

func (r *policyResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// Create makes the policy; one that is there already is not taken over.
func (r *policyResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan policyModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	api := r.conn.api(&resp.Diagnostics)
	spec := plan.spec(ctx, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	policy, err := api.CreatePolicy(ctx, spec)
	switch {
	case oci.ErrorCode(err) == oci.CodeConflict && exists(api.GetPolicy(ctx, spec.Name)):
		addExists(&resp.Diagnostics, "policy", "registry_policy", spec.Name)
		return
	case err != nil:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("create the policy %q", spec.Name), needPolicies, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, policyIdentity{plan.Name})...)
	keep(ctx, resp.Private, revisionKey, policy.Revision, &resp.Diagnostics)
}

// Read compares every attribute with the server.
func (r *policyResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state policyModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, policyIdentity{state.Name})...) // also before a removal
	name := state.Name.ValueString()
	if resp.Diagnostics.HasError() || r.conn.unreadable(fmt.Sprintf("the policy %q", name), &resp.Diagnostics) {
		return
	}
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	policy, err := api.GetPolicy(ctx, name)
	switch {
	case client.IsNotFound(err):
		resp.State.RemoveResource(ctx)
		return
	case err != nil:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("read the policy %q", name), needPolicies, err)
		return
	}
	if policy.BuiltIn {
		resp.Diagnostics.AddError("Built-in policy", fmt.Sprintf("The policy %q is built in and cannot be managed; use its name in policies.", name))
		return
	}
	state.observe(ctx, policy, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
	keep(ctx, resp.Private, revisionKey, policy.Revision, &resp.Diagnostics)
}

// Update changes the policy, if nobody else has since Terraform read it.
func (r *policyResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan policyModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, policyIdentity{plan.Name})...)
	api := r.conn.api(&resp.Diagnostics)
	spec := plan.spec(ctx, &resp.Diagnostics)
	revision := recall(ctx, req.Private, revisionKey, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	policy, err := api.UpdatePolicy(ctx, spec, revision)
	if oci.ErrorCode(err) == oci.CodePreconditionFailed {
		// It may be our own work: the answer to a first try was lost.
		if now, again := api.GetPolicy(ctx, spec.Name); again == nil && isPolicy(now, spec) {
			policy, err = now, nil
		}
	}
	if err != nil {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("update the policy %q", spec.Name), needPolicies, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	keep(ctx, resp.Private, revisionKey, policy.Revision, &resp.Diagnostics)
}

// Delete removes the policy. While users have it, the server refuses; where a
// configuration stops using a policy and removes it at once, Terraform updates
// the users at the same time, so this waits for them a little.
func (r *policyResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state policyModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	name := state.Name.ValueString()
	giveUp := time.After(r.inUseTimeout)
	for {
		err := api.DeletePolicy(ctx, name, "")
		if err == nil || client.IsNotFound(err) {
			return
		}
		if oci.ErrorCode(err) == oci.CodeConflict {
			select {
			case <-time.After(300 * time.Millisecond):
				continue
			case <-ctx.Done():
			case <-giveUp:
				resp.Diagnostics.AddError(fmt.Sprintf("Could not delete the policy %q", name), sentence(err)+
					"\n\nTake the policy from its users first. To rename a policy that users have, let Terraform make the new one before it removes the old one: lifecycle { create_before_destroy = true }.")
				return
			}
		}
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("delete the policy %q", name), needPolicies, err)
		return
	}
}

func (r *policyResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	importByName(ctx, "name", policyNameRule(), req, resp)
}

func (m policyModel) spec(ctx context.Context, diags *diag.Diagnostics) client.PolicySpec {
	var rules []ruleModel
	diags.Append(m.Rules.ElementsAs(ctx, &rules, false)...)
	spec := client.PolicySpec{
		Name:        m.Name.ValueString(),
		Description: m.Description.ValueString(),
		Anonymous:   m.Anonymous.ValueBool(),
	}
	v := values{ctx: ctx, diags: diags}
	for _, rule := range rules {
		spec.Rules = append(spec.Rules, client.Rule{Repositories: v.set(rule.Repositories), Actions: v.set(rule.Actions)})
	}
	return spec
}

// observe writes what the server has into the model. Since the order of rules
// means nothing, another order alone is no change.
func (m *policyModel) observe(ctx context.Context, policy client.Policy, diags *diag.Diagnostics) {
	had := m.spec(ctx, diags).Rules
	m.Name = types.StringValue(policy.Name)
	m.Description = types.StringValue(policy.Description)
	m.Anonymous = types.BoolValue(policy.Anonymous)
	if !m.Rules.IsNull() && slices.Equal(ruleKeys(had), ruleKeys(policy.Rules)) {
		return
	}
	v := values{ctx: ctx, diags: diags}
	rules := []ruleModel{}
	for _, rule := range policy.Rules {
		rules = append(rules, ruleModel{v.setOf(rule.Repositories, false), v.setOf(rule.Actions, false)})
	}
	list, more := types.ListValueFrom(ctx, ruleType(), rules)
	diags.Append(more...)
	m.Rules = list
}

// isPolicy reports whether a policy is what spec says.
func isPolicy(p client.Policy, spec client.PolicySpec) bool {
	return p.Description == spec.Description && p.Anonymous == spec.Anonymous && slices.Equal(ruleKeys(p.Rules), ruleKeys(spec.Rules))
}

// ruleKeys writes rules such that equal ones are equal, in a fixed order.
func ruleKeys(rules []client.Rule) []string {
	keys := []string{}
	for _, rule := range rules {
		repositories, actions := slices.Sorted(slices.Values(rule.Repositories)), slices.Sorted(slices.Values(rule.Actions))
		keys = append(keys, strings.Join(slices.Compact(actions), ",")+" "+strings.Join(slices.Compact(repositories), ","))
	}
	slices.Sort(keys)
	return keys
}

func ruleType() types.ObjectType {
	set := types.SetType{ElemType: types.StringType}
	return types.ObjectType{AttrTypes: map[string]attr.Type{"repositories": set, "actions": set}}
}
