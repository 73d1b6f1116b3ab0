package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var (
	_ resource.ResourceWithConfigure      = (*proxyCacheResource)(nil)
	_ resource.ResourceWithIdentity       = (*proxyCacheResource)(nil)
	_ resource.ResourceWithImportState    = (*proxyCacheResource)(nil)
	_ resource.ResourceWithValidateConfig = (*proxyCacheResource)(nil)
)

// proxyCacheResource is registry_proxy_cache.
type proxyCacheResource struct{ conn *connection }

type proxyCacheModel struct {
	Prefix                 types.String `tfsdk:"prefix"`
	UpstreamURL            types.String `tfsdk:"upstream_url"`
	Username               types.String `tfsdk:"username"`
	PasswordWO             types.String `tfsdk:"password_wo"`
	PasswordWOVersion      types.Int64  `tfsdk:"password_wo_version"`
	RevalidateAfterSeconds types.Int64  `tfsdk:"revalidate_after_seconds"`
	MaxSizeBytes           types.Int64  `tfsdk:"max_size_bytes"`
}

type proxyCacheIdentity struct {
	Prefix types.String `tfsdk:"prefix"`
}

// needProxyCaches is the right that managing pull-through caches takes.
const needProxyCaches = `the policy "admin", which managing pull-through caches needs`

func (r *proxyCacheResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_proxy_cache"
}

func (r *proxyCacheResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = proxyCacheSchema()
}

func (r *proxyCacheResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = nameIdentity("prefix", "Prefix of the repositories of the cache.")
}

func (r *proxyCacheResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// ValidateConfig refuses a login that would travel in the clear.
func (r *proxyCacheResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var config proxyCacheModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if config.Username.ValueString() == "" {
		return
	}
	if upstream, err := oci.ParseUpstream(config.UpstreamURL.ValueString()); err == nil {
		if err := upstream.MayLogin(); err != nil {
			resp.Diagnostics.AddAttributeError(path.Root("upstream_url"), "The login would not be safe", sentence(err))
		}
	}
}

// Create makes the cache; one that is there already is not taken over.
func (r *proxyCacheResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan, config proxyCacheModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	spec := plan.spec()
	spec.Password = config.PasswordWO.ValueStringPointer()
	cache, taken, err := createAnew(
		func() (client.ProxyCache, error) { return api.GetProxyCache(ctx, spec.Prefix) },
		func() (client.ProxyCache, error) { return api.CreateProxyCache(ctx, spec) })
	if taken {
		addExists(&resp.Diagnostics, "pull-through cache", "registry_proxy_cache", spec.Prefix)
		return
	}
	if err != nil {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("create the pull-through cache %q", spec.Prefix), needProxyCaches, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, proxyCacheIdentity{plan.Prefix})...)
	keep(ctx, resp.Private, revisionKey, cache.Revision, &resp.Diagnostics)
	keep(ctx, resp.Private, credentialKey, cache.CredentialRevision, &resp.Diagnostics)
}

// Read compares every attribute with the server. A password cannot be compared; a
// changed credential revision says that somebody else has set it.
func (r *proxyCacheResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state proxyCacheModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, proxyCacheIdentity{state.Prefix})...) // also before a removal
	prefix := state.Prefix.ValueString()
	if resp.Diagnostics.HasError() || r.conn.unreadable(fmt.Sprintf("the pull-through cache %q", prefix), &resp.Diagnostics) {
		return
	}
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	cache, err := api.GetProxyCache(ctx, prefix)
	switch {
	case client.IsNotFound(err):
		resp.State.RemoveResource(ctx)
		return
	case err != nil:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("read the pull-through cache %q", prefix), needProxyCaches, err)
		return
	}
	if cache.Problem != "" {
		resp.Diagnostics.AddAttributeWarning(path.Root("password_wo"), "The cache cannot ask its upstream", fmt.Sprintf(
			"Of the pull-through cache %q the server says: %s.", prefix, cache.Problem))
	}
	known := recall(ctx, req.Private, credentialKey, &resp.Diagnostics)
	if known != "" && known != cache.CredentialRevision {
		state.PasswordWOVersion = types.Int64Null()
		cache.CredentialRevision = known // until an update sets the password again
	}
	state.observe(cache)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
	keep(ctx, resp.Private, revisionKey, cache.Revision, &resp.Diagnostics)
	keep(ctx, resp.Private, credentialKey, cache.CredentialRevision, &resp.Diagnostics)
}

// Update changes the cache, if nobody else has since Terraform read it.
func (r *proxyCacheResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, state, config proxyCacheModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, proxyCacheIdentity{plan.Prefix})...)
	api := r.conn.api(&resp.Diagnostics)
	revision := recall(ctx, req.Private, revisionKey, &resp.Diagnostics)
	known := recall(ctx, req.Private, credentialKey, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	spec := plan.spec()
	if plan.setsPassword(state) {
		spec.Password = config.PasswordWO.ValueStringPointer()
	}
	// A repeated try is known by the server: what is as it shall be is no conflict.
	cache, err := api.PutProxyCache(ctx, spec, revision)
	if err != nil {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("update the pull-through cache %q", spec.Prefix), needProxyCaches, err)
		return
	}
	if spec.Password == nil && known != "" && cache.HasPassword {
		cache.CredentialRevision = known
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	keep(ctx, resp.Private, revisionKey, cache.Revision, &resp.Diagnostics)
	keep(ctx, resp.Private, credentialKey, cache.CredentialRevision, &resp.Diagnostics)
}

// Delete ends the cache; one that is gone already is fine.
func (r *proxyCacheResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state proxyCacheModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	prefix := state.Prefix.ValueString()
	if err := api.DeleteProxyCache(ctx, prefix, ""); err != nil && !client.IsNotFound(err) {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("delete the pull-through cache %q", prefix), needProxyCaches, err)
	}
}

func (r *proxyCacheResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	importByName(ctx, "prefix", proxyPrefixRule(), req, resp)
}

func (m proxyCacheModel) spec() client.ProxyCacheSpec {
	return client.ProxyCacheSpec{
		Prefix: m.Prefix.ValueString(), UpstreamURL: m.UpstreamURL.ValueString(), Username: m.Username.ValueString(),
		RevalidateAfterSeconds: m.RevalidateAfterSeconds.ValueInt64(), MaxSizeBytes: m.MaxSizeBytes.ValueInt64(),
	}
}

// setsPassword reports whether the way from the state to the plan sends the
// password: also where it is for another user or place, to which the one that the
// server keeps does not go.
func (m proxyCacheModel) setsPassword(state proxyCacheModel) bool {
	return !m.PasswordWOVersion.IsNull() &&
		(!m.PasswordWOVersion.Equal(state.PasswordWOVersion) || !m.Username.Equal(state.Username) || !m.UpstreamURL.Equal(state.UpstreamURL))
}

// observe writes what the server has into the model. It keeps URLs in one form:
// another form of the same is no change.
func (m *proxyCacheModel) observe(cache client.ProxyCache) {
	m.Prefix = types.StringValue(cache.Prefix)
	m.Username = types.StringValue(cache.Username)
	m.RevalidateAfterSeconds = types.Int64Value(cache.RevalidateAfterSeconds)
	m.MaxSizeBytes = types.Int64Null()
	if cache.MaxSizeBytes > 0 {
		m.MaxSizeBytes = types.Int64Value(cache.MaxSizeBytes)
	}
	if had, err := oci.ParseUpstream(m.UpstreamURL.ValueString()); err != nil || had.String() != cache.UpstreamURL {
		m.UpstreamURL = types.StringValue(cache.UpstreamURL)
	}
}
