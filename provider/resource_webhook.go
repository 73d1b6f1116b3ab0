package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var (
	_ resource.ResourceWithConfigure   = (*webhookResource)(nil)
	_ resource.ResourceWithIdentity    = (*webhookResource)(nil)
	_ resource.ResourceWithImportState = (*webhookResource)(nil)
	_ resource.ResourceWithModifyPlan  = (*webhookResource)(nil)
)

// webhookResource is registry_webhook.
type webhookResource struct{ conn *connection }

// needWebhooks is the right that managing webhooks takes.
const needWebhooks = `the policy "admin", which managing webhooks needs`

func (r *webhookResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_webhook"
}

func (r *webhookResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = webhookSchema()
}

func (r *webhookResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = nameIdentity("name", "Name of the webhook.")
}

func (r *webhookResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// ModifyPlan knows from the configuration whether there will be secrets, so that
// one that somebody else has set or removed shows in the plan.
func (r *webhookResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return
	}
	var config webhookModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	for _, c := range config.credentials() {
		resp.Diagnostics.Append(resp.Plan.SetAttribute(ctx, path.Root("has_"+c.attribute), c.wanted())...)
	}
}

// Create makes the webhook; one that is there already is not taken over.
func (r *webhookResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan, config webhookModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	spec := plan.spec(ctx, webhookModel{}, config, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	hook, err := api.CreateWebhook(ctx, spec)
	switch {
	case oci.ErrorCode(err) == oci.CodeConflict && exists(api.GetWebhook(ctx, spec.Name)):
		addExists(&resp.Diagnostics, "webhook", "registry_webhook", spec.Name)
		return
	case err != nil:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("create the webhook %q", spec.Name), needWebhooks, err)
		return
	}
	plan.observe(ctx, hook, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, webhookIdentity{plan.Name})...)
	rememberWebhook(ctx, resp.Private, hook, &resp.Diagnostics)
}

// Read compares every attribute with the server. Secrets cannot be compared; a
// changed revision says that somebody else has set one.
func (r *webhookResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state webhookModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, webhookIdentity{state.Name})...) // also before a removal
	name := state.Name.ValueString()
	if resp.Diagnostics.HasError() || r.conn.unreadable(fmt.Sprintf("the webhook %q", name), &resp.Diagnostics) {
		return
	}
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	hook, err := api.GetWebhook(ctx, name)
	switch {
	case client.IsNotFound(err):
		resp.State.RemoveResource(ctx)
		return
	case err != nil:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("read the webhook %q", name), needWebhooks, err)
		return
	}
	if recall(ctx, req.Private, credentialKey, &resp.Diagnostics) != hook.SecretRevision {
		state.forgetCredentials()
	}
	state.observe(ctx, hook, &resp.Diagnostics)
	rememberWebhook(ctx, resp.Private, hook, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// Update changes the webhook, if nobody else has since Terraform read it.
func (r *webhookResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, state, config webhookModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, webhookIdentity{state.Name})...)
	api := r.conn.api(&resp.Diagnostics)
	revision := recall(ctx, req.Private, revisionKey, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	spec := plan.spec(ctx, state, config, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	hook, err := api.UpdateWebhook(ctx, spec, revision)
	if oci.ErrorCode(err) == oci.CodePreconditionFailed {
		// It may be our own work: the answer to a first try was lost.
		if now, again := api.GetWebhook(ctx, spec.Name); again == nil && isWebhook(now, spec) {
			hook, err = now, nil
		}
	}
	if err != nil {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("update the webhook %q", spec.Name), needWebhooks, err)
		return
	}
	plan.observe(ctx, hook, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	rememberWebhook(ctx, resp.Private, hook, &resp.Diagnostics)
}

// Delete removes the webhook; one that is gone already is fine.
func (r *webhookResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state webhookModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	name := state.Name.ValueString()
	if err := api.DeleteWebhook(ctx, name, ""); err != nil && !client.IsNotFound(err) {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("delete the webhook %q", name), needWebhooks, err)
	}
}

func (r *webhookResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	importByName(ctx, "name", webhookNameRule(), req, resp)
}

func rememberWebhook(ctx context.Context, p private, hook client.Webhook, diags *diag.Diagnostics) {
	keep(ctx, p, revisionKey, hook.Revision, diags)
	keep(ctx, p, credentialKey, hook.SecretRevision, diags)
}
