package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var (
	_ ephemeral.EphemeralResourceWithConfigure = (*tokenEphemeral)(nil)
	_ ephemeral.EphemeralResourceWithClose     = (*tokenEphemeral)(nil)
)

// tokenEphemeral is ephemeral.registry_token: a token that is issued when
// Terraform needs it and revoked when it does not any more.
type tokenEphemeral struct{ conn *connection }

type tokenModel struct {
	Username         types.String `tfsdk:"username"`
	TTL              types.String `tfsdk:"ttl"`
	Description      types.String `tfsdk:"description"`
	Access           types.List   `tfsdk:"access"`
	ID               types.String `tfsdk:"id"`
	Token            types.String `tfsdk:"token"`
	ExpiresAt        types.String `tfsdk:"expires_at"`
	DockerConfigJSON types.String `tfsdk:"docker_config_json"`
}

const (
	// needTokens is the right that issuing tokens takes.
	needTokens = `the policy "admin", which issuing tokens needs; a token that is narrowed lacks it, too`
	// tokenKey is the key of the token's id in the private data.
	tokenKey = "token_id"
)

func (e *tokenEphemeral) Metadata(_ context.Context, _ ephemeral.MetadataRequest, resp *ephemeral.MetadataResponse) {
	resp.TypeName = "registry_token"
}

func (e *tokenEphemeral) Schema(_ context.Context, _ ephemeral.SchemaRequest, resp *ephemeral.SchemaResponse) {
	resp.Schema = tokenSchema()
}

func (e *tokenEphemeral) Configure(_ context.Context, req ephemeral.ConfigureRequest, resp *ephemeral.ConfigureResponse) {
	e.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// Open issues a token beside those that there are; it never changes any.
func (e *tokenEphemeral) Open(ctx context.Context, req ephemeral.OpenRequest, resp *ephemeral.OpenResponse) {
	var m tokenModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	api := e.api(&resp.Diagnostics)
	spec := m.spec(ctx, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	token, err := api.CreateToken(ctx, spec)
	if err != nil {
		e.addOpenError(ctx, &resp.Diagnostics, spec.Username, err)
		return
	}
	config, err := dockerConfigJSON(map[string]login{e.host(): {types.StringValue(token.Username), types.StringValue(token.Token)}})
	if err != nil {
		resp.Diagnostics.AddError("Could not make a docker configuration", sentence(err))
	}
	m.ID = types.StringValue(token.ID)
	m.Token = types.StringValue(token.Token)
	m.ExpiresAt = timeValue(token.ExpiresAt)
	m.DockerConfigJSON = types.StringValue(config)
	resp.Diagnostics.Append(resp.Result.Set(ctx, &m)...)
	keep(ctx, resp.Private, tokenKey, token.ID, &resp.Diagnostics)
	if resp.Diagnostics.HasError() { // Terraform does not close what did not open
		e.revoke(ctx, api, token.ID, &resp.Diagnostics)
	}
}

// Close revokes the token.
func (e *tokenEphemeral) Close(ctx context.Context, req ephemeral.CloseRequest, resp *ephemeral.CloseResponse) {
	id := recall(ctx, req.Private, tokenKey, &resp.Diagnostics)
	api := e.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() || id == "" {
		return
	}
	e.revoke(ctx, api, id, &resp.Diagnostics)
}

// revoke revokes a token; one that has ended already is fine.
func (e *tokenEphemeral) revoke(ctx context.Context, api *client.Client, id string, diags *diag.Diagnostics) {
	err := api.DeleteToken(ctx, id)
	if err != nil && !client.IsNotFound(err) {
		e.conn.addAPIError(diags, fmt.Sprintf("revoke the token %s, which goes on until it expires", id), needTokens, err)
		return
	}
	tflog.Debug(ctx, "token revoked", map[string]any{"id": id})
}

// api is connection.api, with what is particular to ephemeral resources.
func (e *tokenEphemeral) api(diags *diag.Diagnostics) *client.Client {
	if e.conn != nil && len(e.conn.unknown) > 0 {
		diags.AddError("Provider configuration not known yet", fmt.Sprintf(
			"The provider's %s will be known only after apply, but Terraform opens ephemeral resources during plan, too, and a token comes from the server. "+
				"Let an argument of the token, such as username, depend on something that is known only once the server is there "+
				"(resource \"terraform_data\" with input, and its output), so that Terraform waits until then.",
			strings.Join(e.conn.unknown, ", ")))
		return nil
	}
	return e.conn.api(diags)
}

// addOpenError says why there is no token.
func (e *tokenEphemeral) addOpenError(ctx context.Context, diags *diag.Diagnostics, username string, err error) {
	var answer *client.Error
	errors.As(err, &answer)
	_, gone := e.conn.client.GetUser(ctx, username)
	switch {
	case oci.ErrorCode(err) == oci.CodeInvalid && client.IsNotFound(gone):
		diags.AddAttributeError(path.Root("username"), "No such user", fmt.Sprintf(
			"The registry has no user %q, and tokens are for users that it keeps. If this run makes the user: Terraform opens ephemeral resources during plan, too, before that. "+
				"Take the name from something that is known only once the user is there: resource \"terraform_data\" with input = registry_user.NAME.username, and its output.", username))
	case answer != nil && answer.Status == http.StatusNotFound:
		diags.AddError(fmt.Sprintf("Could not issue a token for the user %q", username), "The server is too old to issue tokens, or the endpoint is that of something else. "+sentence(err))
	default:
		e.conn.addAPIError(diags, fmt.Sprintf("issue a token for the user %q", username), needTokens, err)
	}
}

// host is how image names and docker's configuration call the registry.
func (e *tokenEphemeral) host() string {
	u, err := url.Parse(e.conn.endpoint)
	if err != nil {
		return ""
	}
	return u.Host
}

func (m tokenModel) spec(ctx context.Context, diags *diag.Diagnostics) client.TokenSpec {
	spec := client.TokenSpec{
		Username: m.Username.ValueString(), Description: m.Description.ValueString(),
		ExpiresIn: int64(oci.DefaultTokenLifetime / time.Second),
	}
	if m.Description.IsNull() {
		spec.Description = "issued by Terraform for one run"
	}
	if !m.TTL.IsNull() {
		ttl, err := parseTokenTTL(m.TTL.ValueString())
		if err != nil {
			diags.AddAttributeError(path.Root("ttl"), "Invalid duration", sentence(err))
		}
		spec.ExpiresIn = int64(ttl / time.Second)
	}
	var rules []ruleModel
	if !m.Access.IsNull() {
		diags.Append(m.Access.ElementsAs(ctx, &rules, false)...)
	}
	v := values{ctx: ctx, diags: diags}
	for _, rule := range rules {
		spec.Access = append(spec.Access, client.Rule{Repositories: v.set(rule.Repositories), Actions: v.set(rule.Actions)})
	}
	return spec
}

func parseTokenTTL(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration; write for example 15m or 2h", s)
	}
	return d, oci.CheckTokenLifetime(d)
}
