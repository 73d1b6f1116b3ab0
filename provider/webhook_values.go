package provider

import (
	"context"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

type webhookModel struct {
	Name         types.String `tfsdk:"name"`
	URL          types.String `tfsdk:"url"`
	Format       types.String `tfsdk:"format"`
	Repositories types.Set    `tfsdk:"repositories"`
	Actions      types.Set    `tfsdk:"actions"`
	Blobs        types.Bool   `tfsdk:"blobs"`
	Enabled      types.Bool   `tfsdk:"enabled"`
	Description  types.String `tfsdk:"description"`

	Secret                 types.String `tfsdk:"secret"`
	SecretWO               types.String `tfsdk:"secret_wo"`
	SecretWOVersion        types.Int64  `tfsdk:"secret_wo_version"`
	HasSecret              types.Bool   `tfsdk:"has_secret"`
	Authorization          types.String `tfsdk:"authorization"`
	AuthorizationWO        types.String `tfsdk:"authorization_wo"`
	AuthorizationWOVersion types.Int64  `tfsdk:"authorization_wo_version"`
	HasAuthorization       types.Bool   `tfsdk:"has_authorization"`
}

type webhookIdentity struct {
	Name types.String `tfsdk:"name"`
}

// credential is the secret of a webhook, or its authorization: what a model
// holds of either.
type credential struct {
	attribute string
	value, wo types.String // wo is in the configuration alone
	version   types.Int64
	has       types.Bool
	check     func(string) error
}

func (m webhookModel) credentials() [2]credential {
	return [2]credential{
		{"secret", m.Secret, m.SecretWO, m.SecretWOVersion, m.HasSecret, oci.CheckWebhookSecret},
		{"authorization", m.Authorization, m.AuthorizationWO, m.AuthorizationWOVersion, m.HasAuthorization, oci.CheckWebhookAuthorization},
	}
}

// wanted is whether a configuration has the credential, as far as it is known.
func (c credential) wanted() types.Bool {
	switch {
	case c.value.IsUnknown() || c.wo.IsUnknown():
		return types.BoolUnknown()
	default:
		return types.BoolValue(!c.value.IsNull() || !c.wo.IsNull())
	}
}

// send returns what an update from state to plan sends of a credential: nil for
// nothing. It checks the value, since the plan may not have known it.
func (c credential) send(plan, state credential, diags *diag.Diagnostics) *string {
	value, attribute := c.value, c.attribute
	if !c.wo.IsNull() {
		value, attribute = c.wo, c.attribute+"_wo"
	}
	switch {
	case value.IsNull() && state.has.ValueBool():
		return new(string) // removes it
	case value.IsNull():
		return nil
	case state.has.ValueBool() && !(!plan.value.IsNull() && !plan.value.Equal(state.value)) && !(!plan.version.IsNull() && !plan.version.Equal(state.version)):
		return nil
	}
	if err := c.check(value.ValueString()); err != nil {
		diags.AddAttributeError(path.Root(attribute), "Invalid "+c.attribute, sentence(err))
	}
	return value.ValueStringPointer()
}

// spec is what is sent to the server, on the way from state, which is empty for
// a new webhook.
func (m webhookModel) spec(ctx context.Context, state, config webhookModel, diags *diag.Diagnostics) client.WebhookSpec {
	v := values{ctx: ctx, diags: diags}
	plans, states, configs := m.credentials(), state.credentials(), config.credentials()
	return client.WebhookSpec{
		Name: m.Name.ValueString(), Description: m.Description.ValueString(), URL: m.URL.ValueString(), Format: m.Format.ValueString(),
		Repositories: v.set(m.Repositories), Actions: v.set(m.Actions), Blobs: m.Blobs.ValueBool(), Enabled: m.Enabled.ValueBool(),
		Secret:        configs[0].send(plans[0], states[0], diags),
		Authorization: configs[1].send(plans[1], states[1], diags),
	}
}

// isWebhook reports whether a webhook is what the spec says, as far as it can be
// seen.
func isWebhook(h client.Webhook, spec client.WebhookSpec) bool {
	same := func(a, b []string) bool {
		return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
	}
	return spec.Secret == nil && spec.Authorization == nil && h.Description == spec.Description && h.URL == spec.URL && h.Format == spec.Format &&
		h.Blobs == spec.Blobs && h.Enabled == spec.Enabled && same(h.Repositories, spec.Repositories) && same(h.Actions, spec.Actions)
}

// observe writes what the server has into the model.
func (m *webhookModel) observe(ctx context.Context, h client.Webhook, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags}
	m.Name, m.URL, m.Format, m.Description = types.StringValue(h.Name), types.StringValue(h.URL), types.StringValue(h.Format), types.StringValue(h.Description)
	m.Repositories, m.Actions = v.setOf(h.Repositories, false), v.setOf(h.Actions, false)
	m.Blobs, m.Enabled = types.BoolValue(h.Blobs), types.BoolValue(h.Enabled)
	m.HasSecret, m.HasAuthorization = types.BoolValue(h.HasSecret), types.BoolValue(h.HasAuthorization)
	if h.Problem != "" {
		diags.AddAttributeWarning(path.Root("name"), "The webhook is not delivered to", "The server cannot deliver to the webhook "+h.Name+": "+h.Problem+".")
	}
}

// forgetCredentials makes the next plan set them again.
func (m *webhookModel) forgetCredentials() {
	m.Secret, m.SecretWOVersion = types.StringNull(), types.Int64Null()
	m.Authorization, m.AuthorizationWOVersion = types.StringNull(), types.Int64Null()
}
