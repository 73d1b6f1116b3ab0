package provider

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var (
	_ resource.ResourceWithConfigure   = (*repositoryResource)(nil)
	_ resource.ResourceWithIdentity    = (*repositoryResource)(nil)
	_ resource.ResourceWithImportState = (*repositoryResource)(nil)
)

// repositoryResource is registry_repository.
type repositoryResource struct{ conn *connection }

type repositoryModel struct {
	Name                 types.String `tfsdk:"name"`
	Description          types.String `tfsdk:"description"`
	AnonymousPull        types.Bool   `tfsdk:"anonymous_pull"`
	ImmutableTagPatterns types.Set    `tfsdk:"immutable_tag_patterns"`
	ForceDelete          types.Bool   `tfsdk:"force_delete"`
}

type repositoryIdentity struct {
	Name types.String `tfsdk:"name"`
}

// needRepositories is the right that managing repositories takes.
const needRepositories = `the policy "admin", which managing repositories needs`

func (r *repositoryResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_repository"
}

func (r *repositoryResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = repositorySchema()
}

func (r *repositoryResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = nameIdentity("name", "Name of the repository.")
}

func (r *repositoryResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// Create makes the repository; one that is there already, also by a push, is not
// taken over.
func (r *repositoryResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan repositoryModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	api := r.conn.api(&resp.Diagnostics)
	spec := plan.spec(ctx, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	repository, err := api.CreateRepository(ctx, spec)
	switch {
	case oci.ErrorCode(err) == oci.CodeConflict && exists(api.GetRepository(ctx, spec.Name)):
		addExists(&resp.Diagnostics, "repository", "registry_repository", spec.Name)
		return
	case err != nil:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("create the repository %q", spec.Name), needRepositories, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, repositoryIdentity{plan.Name})...)
	keep(ctx, resp.Private, revisionKey, repository.Revision, &resp.Diagnostics)
}

// Read compares every attribute with the server, but force_delete, which only the
// configuration has.
func (r *repositoryResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state repositoryModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, repositoryIdentity{state.Name})...) // also before a removal
	name := state.Name.ValueString()
	if resp.Diagnostics.HasError() || r.conn.unreadable(fmt.Sprintf("the repository %q", name), &resp.Diagnostics) {
		return
	}
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	repository, err := api.GetRepository(ctx, name)
	switch {
	case client.IsNotFound(err):
		resp.State.RemoveResource(ctx)
		return
	case err != nil:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("read the repository %q", name), needRepositories, err)
		return
	}
	state.observe(ctx, repository, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
	keep(ctx, resp.Private, revisionKey, repository.Revision, &resp.Diagnostics)
}

// Update changes the settings, if nobody else has since Terraform read them.
func (r *repositoryResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, state repositoryModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, repositoryIdentity{plan.Name})...)
	spec, was := plan.spec(ctx, &resp.Diagnostics), state.spec(ctx, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	if same(spec, was) { // force_delete is nothing to the server
		resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
		return
	}
	api := r.conn.api(&resp.Diagnostics)
	revision := recall(ctx, req.Private, revisionKey, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	repository, err := api.UpdateRepository(ctx, spec, revision)
	if oci.ErrorCode(err) == oci.CodePreconditionFailed {
		// It may be our own work: the answer to a first try was lost.
		if now, again := api.GetRepository(ctx, spec.Name); again == nil && same(specOf(now), spec) {
			repository, err = now, nil
		}
	}
	if err != nil {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("update the repository %q", spec.Name), needRepositories, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	keep(ctx, resp.Private, revisionKey, repository.Revision, &resp.Diagnostics)
}

// Delete removes the repository. Only force_delete, as it was applied last, takes
// images with it.
func (r *repositoryResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state repositoryModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	name, force := state.Name.ValueString(), state.ForceDelete.ValueBool()
	var err error
	if force {
		err = dropRules(ctx, api, name)
	}
	if err == nil {
		err = api.DeleteRepository(ctx, name, force)
	}
	switch {
	case err == nil || client.IsNotFound(err):
	case !force && oci.ErrorCode(err) == oci.CodeConflict:
		resp.Diagnostics.AddError(fmt.Sprintf("Could not delete the repository %q", name), sentence(err)+
			"\n\nTo delete it with all its images, set force_delete = true and apply that first: what counts is the value in the state. To keep it and only forget it here, use a removed block or terraform state rm.")
	default:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("delete the repository %q", name), needRepositories, err)
	}
}

// dropRules takes the rules for tags away, which would keep the repository, and
// leaves its other settings.
func dropRules(ctx context.Context, api *client.Client, name string) error {
	now, err := api.GetRepository(ctx, name)
	if err != nil || len(now.ImmutableTagPatterns) == 0 {
		return err
	}
	spec := specOf(now)
	spec.ImmutableTagPatterns = nil
	_, err = api.UpdateRepository(ctx, spec, "")
	return err
}

func (r *repositoryResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	importByName(ctx, "name", repositoryRule(), req, resp)
}

func (m repositoryModel) spec(ctx context.Context, diags *diag.Diagnostics) client.RepositorySpec {
	v := values{ctx: ctx, diags: diags}
	return client.RepositorySpec{
		Name:                 m.Name.ValueString(),
		Description:          m.Description.ValueString(),
		AnonymousPull:        m.AnonymousPull.ValueBool(),
		ImmutableTagPatterns: v.set(m.ImmutableTagPatterns),
	}
}

// observe writes what the server has into the model. An import begins with the
// default of force_delete.
func (m *repositoryModel) observe(ctx context.Context, repository client.Repository, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags}
	m.Name = types.StringValue(repository.Name)
	m.Description = types.StringValue(repository.Description)
	m.AnonymousPull = types.BoolValue(repository.AnonymousPull)
	m.ImmutableTagPatterns = v.setOf(repository.ImmutableTagPatterns, false)
	m.ForceDelete = types.BoolValue(m.ForceDelete.ValueBool())
}

// specOf is what a repository is, as what it shall be.
func specOf(r client.Repository) client.RepositorySpec {
	return client.RepositorySpec{Name: r.Name, Description: r.Description, AnonymousPull: r.AnonymousPull, ImmutableTagPatterns: r.ImmutableTagPatterns}
}

// same reports whether two specs say the same of a repository.
func same(a, b client.RepositorySpec) bool {
	return a.Description == b.Description && a.AnonymousPull == b.AnonymousPull && slices.Equal(a.ImmutableTagPatterns, b.ImmutableTagPatterns)
}
