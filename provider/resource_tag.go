package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var (
	_ resource.ResourceWithConfigure   = (*tagResource)(nil)
	_ resource.ResourceWithIdentity    = (*tagResource)(nil)
	_ resource.ResourceWithImportState = (*tagResource)(nil)
)

// tagResource is registry_tag.
type tagResource struct{ conn *connection }

type tagModel struct {
	Repository types.String `tfsdk:"repository"`
	Tag        types.String `tfsdk:"tag"`
	Digest     types.String `tfsdk:"digest"`
}

func (m tagModel) name() tagName { return tagName{m.Repository, m.Tag} }

// needTags is the right that managing tags takes.
const needTags = `the policy "admin", which managing tags needs`

func (r *tagResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_tag"
}

func (r *tagResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	identifies := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	resp.Schema = schema.Schema{
		MarkdownDescription: "A tag that points at an image which is in the repository already: it pins a tag, or promotes an image from `candidate` to `stable`, without a pull or a push.\n\n" +
			"A push that moves the tag behind Terraform's back shows in the next plan, as a change of `digest`, and apply moves it back. " +
			"The image itself stays when the resource is destroyed: only the tag goes. To bring an image in from elsewhere, use `registry_image`.",
		Attributes: map[string]schema.Attribute{
			"repository": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the repository, such as `team/api`. A change makes another tag.",
				Validators:          []validator.String{repositoryRule()},
				PlanModifiers:       identifies,
			},
			"tag": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the tag, such as `stable`. A change makes another tag.",
				Validators:          []validator.String{tagRule()},
				PlanModifiers:       identifies,
			},
			"digest": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Digest of the manifest or index that the tag points at, such as `sha256:…`; the repository must have it. `data.registry_image` finds the digest of another tag, and `registry_image` has that of what it copied.",
				Validators:          []validator.String{digestRule()},
			},
		},
	}
}

func (r *tagResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = tagIdentity()
}

func (r *tagResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// Create makes the tag; one that is there already is not taken over, wherever
// it points. The server cannot tell a repeated request from another one for the
// same digest, so it is asked first.
func (r *tagResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan tagModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	d, err := oci.ParseDigest(plan.Digest.ValueString())
	if err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("digest"), "Invalid digest", sentence(err))
		return
	}
	repository, tag := plan.Repository.ValueString(), plan.Tag.ValueString()
	_, err = api.GetTag(ctx, repository, tag)
	if err == nil {
		addExists(&resp.Diagnostics, "tag", "registry_tag", plan.name().String())
		return
	}
	if client.IsNotFound(err) {
		_, err = api.CreateTag(ctx, repository, tag, d)
		if err != nil {
			// A server that fails may have done it all the same.
			now, again := api.GetTag(ctx, repository, tag)
			switch {
			case again == nil && now.Digest == d:
				err = nil
			case again == nil && oci.ErrorCode(err) == oci.CodePreconditionFailed:
				addExists(&resp.Diagnostics, "tag", "registry_tag", plan.name().String())
				return
			}
		}
	}
	if err != nil {
		r.addError(&resp.Diagnostics, plan, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, plan.name())...)
}

// Read writes down where the tag points now, so that a plan shows the way back.
func (r *tagResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state tagModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, state.name())...) // also before a removal
	if resp.Diagnostics.HasError() || r.conn.unreadable(fmt.Sprintf("the tag %q", state.name()), &resp.Diagnostics) {
		return
	}
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	now, err := api.GetTag(ctx, state.Repository.ValueString(), state.Tag.ValueString())
	switch {
	case client.IsNotFound(err):
		resp.State.RemoveResource(ctx)
		return
	case err != nil:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("read the tag %q", state.name()), needTags, err)
		return
	}
	state.Digest = types.StringValue(now.Digest.String())
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// Update moves the tag, if nobody else has since Terraform read it.
func (r *tagResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, state tagModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, state.name())...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	d, err := oci.ParseDigest(plan.Digest.ValueString())
	if err != nil {
		resp.Diagnostics.AddAttributeError(path.Root("digest"), "Invalid digest", sentence(err))
		return
	}
	was, _ := oci.ParseDigest(state.Digest.ValueString()) // what Read wrote
	if _, err := api.PutTag(ctx, plan.Repository.ValueString(), plan.Tag.ValueString(), d, was); err != nil {
		r.addError(&resp.Diagnostics, plan, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// addError reports that the tag could not be put.
func (r *tagResource) addError(diags *diag.Diagnostics, plan tagModel, err error) {
	action := fmt.Sprintf("point the tag %q at %s", plan.name(), plan.Digest.ValueString())
	if client.IsNotFound(err) {
		diags.AddAttributeError(path.Root("digest"), "Could not "+action, fmt.Sprintf(
			"The repository %s has no manifest of this digest. Push the image there first, or copy it with registry_image; what other repositories have does not count.\n\n%s",
			plan.Repository.ValueString(), sentence(err)))
		return
	}
	r.conn.addAPIError(diags, action, needTags, err)
}

// Delete removes the tag and nothing else; one that is gone already is fine.
func (r *tagResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state tagModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	if err := api.DeleteTag(ctx, state.Repository.ValueString(), state.Tag.ValueString()); err != nil && !client.IsNotFound(err) {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("delete the tag %q", state.name()), needTags, err)
	}
}

func (r *tagResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	importTag(ctx, req, resp)
}
