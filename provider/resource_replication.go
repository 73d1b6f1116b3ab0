package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var (
	_ resource.ResourceWithConfigure      = (*replicationResource)(nil)
	_ resource.ResourceWithIdentity       = (*replicationResource)(nil)
	_ resource.ResourceWithImportState    = (*replicationResource)(nil)
	_ resource.ResourceWithValidateConfig = (*replicationResource)(nil)
)

// replicationResource is registry_replication.
type replicationResource struct{ conn *connection }

type replicationModel struct {
	Name              types.String `tfsdk:"name"`
	URL               types.String `tfsdk:"url"`
	Insecure          types.Bool   `tfsdk:"insecure"`
	Repositories      types.Set    `tfsdk:"repositories"`
	Tags              types.Set    `tfsdk:"tags"`
	Username          types.String `tfsdk:"username"`
	PasswordWO        types.String `tfsdk:"password_wo"`
	PasswordWOVersion types.Int64  `tfsdk:"password_wo_version"`
	Enabled           types.Bool   `tfsdk:"enabled"`
}

type replicationIdentity struct {
	Name types.String `tfsdk:"name"`
}

// needReplications is the right that managing replications takes.
const needReplications = `the policy "admin", which managing replications needs`

func (r *replicationResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_replication"
}

func (r *replicationResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = replicationSchema()
}

func (r *replicationResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = nameIdentity("name", "Name of the replication.")
}

func (r *replicationResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// ValidateConfig refuses what would travel in the clear without anybody's saying
// so.
func (r *replicationResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var config replicationModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if config.URL.IsUnknown() || config.Insecure.IsUnknown() {
		return
	}
	if _, err := oci.ParseDestination(config.URL.ValueString(), true); err != nil {
		return // said of the attribute
	}
	if _, err := oci.ParseDestination(config.URL.ValueString(), config.Insecure.ValueBool()); err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("url"), "The destination would not be safe", sentence(err))
	}
}

// Create makes the replication; one that is there already is not taken over.
func (r *replicationResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan, config replicationModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	spec := plan.spec(ctx, &resp.Diagnostics)
	spec.Password = config.PasswordWO.ValueStringPointer()
	made, taken, err := createAnew(
		func() (client.Replication, error) { return api.GetReplication(ctx, spec.Name) },
		func() (client.Replication, error) { return api.CreateReplication(ctx, spec) })
	if taken {
		addExists(&resp.Diagnostics, "replication", "registry_replication", spec.Name)
		return
	}
	if err != nil {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("create the replication %q", spec.Name), needReplications, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, replicationIdentity{plan.Name})...)
	keep(ctx, resp.Private, revisionKey, made.Revision, &resp.Diagnostics)
	keep(ctx, resp.Private, credentialKey, made.CredentialRevision, &resp.Diagnostics)
}

// Read compares every attribute with the server. A password cannot be compared; a
// changed credential revision says that somebody else has set it.
func (r *replicationResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state replicationModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, replicationIdentity{state.Name})...) // also before a removal
	name := state.Name.ValueString()
	if resp.Diagnostics.HasError() || r.conn.unreadable(fmt.Sprintf("the replication %q", name), &resp.Diagnostics) {
		return
	}
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	made, err := api.GetReplication(ctx, name)
	switch {
	case client.IsNotFound(err):
		resp.State.RemoveResource(ctx)
		return
	case err != nil:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("read the replication %q", name), needReplications, err)
		return
	}
	if made.Problem != "" {
		resp.Diagnostics.AddAttributeWarning(path.Root("password_wo"), "Nothing can be replicated", fmt.Sprintf(
			"Of the replication %q the server says: %s.", name, made.Problem))
	}
	known := recall(ctx, req.Private, credentialKey, &resp.Diagnostics)
	if known != "" && known != made.CredentialRevision {
		state.PasswordWOVersion = types.Int64Null()
		made.CredentialRevision = known // until an update sets the password again
	}
	state.observe(ctx, made, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
	keep(ctx, resp.Private, revisionKey, made.Revision, &resp.Diagnostics)
	keep(ctx, resp.Private, credentialKey, made.CredentialRevision, &resp.Diagnostics)
}

// Update changes the replication, if nobody else has since Terraform read it.
func (r *replicationResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, state, config replicationModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, replicationIdentity{plan.Name})...)
	api := r.conn.api(&resp.Diagnostics)
	revision := recall(ctx, req.Private, revisionKey, &resp.Diagnostics)
	known := recall(ctx, req.Private, credentialKey, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	spec := plan.spec(ctx, &resp.Diagnostics)
	if plan.setsPassword(state) {
		spec.Password = config.PasswordWO.ValueStringPointer()
	}
	// A repeated try is known by the server: what is as it shall be is no conflict.
	made, err := api.PutReplication(ctx, spec, revision)
	if err != nil {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("update the replication %q", spec.Name), needReplications, err)
		return
	}
	if spec.Password == nil && known != "" && made.HasPassword {
		made.CredentialRevision = known
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	keep(ctx, resp.Private, revisionKey, made.Revision, &resp.Diagnostics)
	keep(ctx, resp.Private, credentialKey, made.CredentialRevision, &resp.Diagnostics)
}

// Delete ends the replication; one that is gone already is fine.
func (r *replicationResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state replicationModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	name := state.Name.ValueString()
	if err := api.DeleteReplication(ctx, name, ""); err != nil && !client.IsNotFound(err) {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("delete the replication %q", name), needReplications, err)
	}
}

func (r *replicationResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	importByName(ctx, "name", replicationNameRule(), req, resp)
}

func (m replicationModel) spec(ctx context.Context, diags *diag.Diagnostics) client.ReplicationSpec {
	v := values{ctx: ctx, diags: diags}
	return client.ReplicationSpec{
		Name: m.Name.ValueString(), URL: m.URL.ValueString(), Insecure: m.Insecure.ValueBool(), Repositories: v.set(m.Repositories), Tags: v.set(m.Tags),
		Username: m.Username.ValueString(), Enabled: m.Enabled.ValueBool(),
	}
}

// setsPassword reports whether the way from the state to the plan sends the
// password: also where it is for another user or place, to which the one that the
// server keeps does not go.
func (m replicationModel) setsPassword(state replicationModel) bool {
	return !m.PasswordWOVersion.IsNull() &&
		(!m.PasswordWOVersion.Equal(state.PasswordWOVersion) || !m.Username.Equal(state.Username) || !m.URL.Equal(state.URL))
}

// observe writes what the server has into the model. It keeps URLs in one form:
// another form of the same is no change.
func (m *replicationModel) observe(ctx context.Context, r client.Replication, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags}
	m.Name = types.StringValue(r.Name)
	m.Insecure = types.BoolValue(r.Insecure)
	m.Repositories = v.setOf(r.Repositories, false)
	m.Tags = v.setOf(r.Tags, false)
	m.Username = types.StringValue(r.Username)
	m.Enabled = types.BoolValue(r.Enabled)
	if had, err := oci.ParseDestination(m.URL.ValueString(), true); err != nil || had.String() != r.URL {
		m.URL = types.StringValue(r.URL)
	}
}
