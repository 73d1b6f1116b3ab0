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
	_ resource.ResourceWithConfigure   = (*userResource)(nil)
	_ resource.ResourceWithIdentity    = (*userResource)(nil)
	_ resource.ResourceWithImportState = (*userResource)(nil)
	_ resource.ResourceWithModifyPlan  = (*userResource)(nil)
)

// userResource is registry_user.
type userResource struct{ conn *connection }

type userModel struct {
	Username          types.String `tfsdk:"username"`
	Password          types.String `tfsdk:"password"`
	PasswordWO        types.String `tfsdk:"password_wo"`
	PasswordWOVersion types.Int64  `tfsdk:"password_wo_version"`
	PasswordHash      types.String `tfsdk:"password_hash"`
	Policies          types.Set    `tfsdk:"policies"`
	Enabled           types.Bool   `tfsdk:"enabled"`
	Description       types.String `tfsdk:"description"`
}

type userIdentity struct {
	Username types.String `tfsdk:"username"`
}

// needUsers is the right that managing users takes.
const needUsers = `the policy "admin", which managing users needs`

func (r *userResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_user"
}

func (r *userResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = userSchema()
}

func (r *userResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = nameIdentity("username", "Name of the user.")
}

func (r *userResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// Create makes the user; one that is there already is not taken over.
func (r *userResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan, config userModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	spec := plan.spec(ctx, &resp.Diagnostics)
	spec.setPassword(config, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	user, err := api.CreateUser(ctx, spec.UserSpec)
	switch {
	case oci.ErrorCode(err) == oci.CodeConflict && exists(api.GetUser(ctx, spec.Username)):
		addExists(&resp.Diagnostics, "user", "registry_user", spec.Username)
		return
	case err != nil:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("create the user %q", spec.Username), needUsers, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, userIdentity{plan.Username})...)
	remember(ctx, resp.Private, user, &resp.Diagnostics)
}

// Read compares every attribute with the server. A password cannot be
// compared; a changed credential revision says that somebody else has set it.
func (r *userResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state userModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, userIdentity{state.Username})...) // also before a removal
	name := state.Username.ValueString()
	if resp.Diagnostics.HasError() || r.conn.unreadable(fmt.Sprintf("the user %q", name), &resp.Diagnostics) {
		return
	}
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	user, err := api.GetUser(ctx, name)
	switch {
	case client.IsNotFound(err):
		resp.State.RemoveResource(ctx)
		return
	case err != nil:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("read the user %q", name), needUsers, err)
		return
	}
	known := recall(ctx, req.Private, credentialKey, &resp.Diagnostics)
	if known != "" && known != user.CredentialRevision {
		state.Password, state.PasswordHash, state.PasswordWOVersion = types.StringNull(), types.StringNull(), types.Int64Null()
		user.CredentialRevision = known // until an update sets the password again
	}
	remember(ctx, resp.Private, user, &resp.Diagnostics)
	state.observe(ctx, user, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// Update changes the user, if nobody else has since Terraform read it.
func (r *userResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, state, config userModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, userIdentity{state.Username})...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	spec := plan.spec(ctx, &resp.Diagnostics)
	sets := plan.setsPassword(state)
	if sets {
		spec.setPassword(config, &resp.Diagnostics)
	}
	revision := recall(ctx, req.Private, revisionKey, &resp.Diagnostics)
	known := recall(ctx, req.Private, credentialKey, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	user, err := api.UpdateUser(ctx, spec.UserSpec, revision)
	if oci.ErrorCode(err) == oci.CodePreconditionFailed && !sets {
		// It may be our own work: the answer to a first try was lost.
		if now, again := api.GetUser(ctx, spec.Username); again == nil && spec.is(now) {
			user, err = now, nil
		}
	}
	if err != nil {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("update the user %q", spec.Username), needUsers, err)
		return
	}
	if !sets && known != "" {
		user.CredentialRevision = known
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	remember(ctx, resp.Private, user, &resp.Diagnostics)
}

// Delete removes the user; one that is gone already is fine.
func (r *userResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state userModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	name := state.Username.ValueString()
	if err := api.DeleteUser(ctx, name, ""); err != nil && !client.IsNotFound(err) {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("delete the user %q", name), needUsers, err)
	}
}

func (r *userResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	importByName(ctx, "username", usernameRule(), req, resp)
}

// ModifyPlan refuses what would lock out the very run that does it.
func (r *userResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.State.Raw.IsNull() || r.conn == nil || r.conn.username == "" {
		return
	}
	var plan, state userModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	gone := req.Plan.Raw.IsNull()
	if !gone {
		resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	}
	self := r.conn.username
	switch {
	case resp.Diagnostics.HasError() || state.Username.ValueString() != self:
	case gone || plan.Username.ValueString() != self || plan.Enabled.Equal(types.BoolValue(false)):
		resp.Diagnostics.AddError("The provider would lock itself out", fmt.Sprintf(
			"The provider logs in as the user %q, which this plan deletes, renames or disables: everything after that would be refused. "+
				"Let the provider log in as another admin, or take the user out of Terraform's hands with: terraform state rm ADDRESS", self))
	case plan.setsPassword(state):
		resp.Diagnostics.AddAttributeWarning(path.Root("username"), "The provider changes its own password", fmt.Sprintf(
			"The provider logs in as the user %q, whose password this plan sets. Unless that is the password it logs in with, the rest of the run fails; then give the provider the new one and apply again.", self))
	}
}

// userSpec is what is sent to the server.
type userSpec struct{ client.UserSpec }

func (m userModel) spec(ctx context.Context, diags *diag.Diagnostics) userSpec {
	v := values{ctx: ctx, diags: diags}
	return userSpec{client.UserSpec{
		Username:    m.Username.ValueString(),
		Policies:    v.set(m.Policies),
		Enabled:     m.Enabled.ValueBool(),
		Description: m.Description.ValueString(),
	}}
}

// is reports whether a user is what the spec says, but for the password.
func (s userSpec) is(u client.User) bool {
	return u.Description == s.Description && u.Enabled == s.Enabled && slices.Equal(u.Policies, slices.Compact(s.Policies))
}

// setsPassword reports whether the way from the state to the plan sets the
// password. Where the plan has none, the server keeps the one it has.
func (m userModel) setsPassword(state userModel) bool {
	return !m.Password.IsNull() && !m.Password.Equal(state.Password) ||
		!m.PasswordHash.IsNull() && !m.PasswordHash.Equal(state.PasswordHash) ||
		!m.PasswordWOVersion.IsNull() && !m.PasswordWOVersion.Equal(state.PasswordWOVersion)
}

// setPassword takes the password from the configuration, the only place that
// has a write-only one, and checks it, since the plan may not have known it.
func (s *userSpec) setPassword(config userModel, diags *diag.Diagnostics) {
	set := func(name string, value types.String, check func(string) error, to **string) {
		if value.IsNull() {
			return
		}
		*to = value.ValueStringPointer()
		if err := check(**to); err != nil {
			diags.AddAttributeError(path.Root(name), "Invalid password", sentence(err))
		}
	}
	set("password", config.Password, oci.CheckPassword, &s.Password)
	set("password_wo", config.PasswordWO, oci.CheckPassword, &s.Password)
	set("password_hash", config.PasswordHash, oci.CheckPasswordHash, &s.PasswordHash)
}

// observe writes what the server has into the model.
func (m *userModel) observe(ctx context.Context, user client.User, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags}
	m.Username = types.StringValue(user.Username)
	m.Policies = v.setOf(user.Policies, false)
	m.Enabled = types.BoolValue(user.Enabled)
	m.Description = types.StringValue(user.Description)
}
