package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var (
	_ resource.ResourceWithConfigure   = (*imageResource)(nil)
	_ resource.ResourceWithIdentity    = (*imageResource)(nil)
	_ resource.ResourceWithImportState = (*imageResource)(nil)
	_ resource.ResourceWithModifyPlan  = (*imageResource)(nil)
)

// imageResource is registry_image.
type imageResource struct{ conn *connection }

type imageModel struct {
	Source              types.String   `tfsdk:"source"`
	Repository          types.String   `tfsdk:"repository"`
	Tag                 types.String   `tfsdk:"tag"`
	Platforms           types.Set      `tfsdk:"platforms"`
	SourceAuth          types.Object   `tfsdk:"source_auth"`
	SourceInsecure      types.Bool     `tfsdk:"source_insecure"`
	SourceCACertificate types.String   `tfsdk:"source_ca_certificate"`
	Parallel            types.Int64    `tfsdk:"parallel"`
	OnDestroy           types.String   `tfsdk:"on_destroy"`
	Timeouts            timeouts.Value `tfsdk:"timeouts"`

	Digest          types.String `tfsdk:"digest"`
	SourceDigest    types.String `tfsdk:"source_digest"`
	SizeBytes       types.Int64  `tfsdk:"size_bytes"`
	PlatformsCopied types.Set    `tfsdk:"platforms_copied"`
}

type sourceAuthModel struct {
	Username          types.String `tfsdk:"username"`
	PasswordWO        types.String `tfsdk:"password_wo"`
	PasswordWOVersion types.Int64  `tfsdk:"password_wo_version"`
}

func (m *imageModel) name() tagName { return tagName{m.Repository, m.Tag} }

const (
	// needPush is the right that copying takes.
	needPush = `the policy "admin", which copying images needs`
	// copyTimeout is for how long a copy goes on where the configuration is silent.
	copyTimeout = time.Hour
)

func (r *imageResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_image"
}

func (r *imageResource) Schema(ctx context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = imageSchema(ctx)
}

func (r *imageResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = tagIdentity()
}

func (r *imageResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// Create copies the image and tags it; a tag that is there already is not taken
// over.
func (r *imageResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan, config imageModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	most, diags := plan.Timeouts.Create(ctx, copyTimeout)
	resp.Diagnostics.Append(diags...)
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	_, err := api.GetTag(ctx, plan.Repository.ValueString(), plan.Tag.ValueString())
	switch {
	case err == nil:
		addExists(&resp.Diagnostics, "tag", "registry_image", plan.name().String())
		return
	case !client.IsNotFound(err):
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("copy the image to %q", plan.name()), needPush, err)
		return
	}
	r.copy(ctx, &plan, config, oci.Digest{}, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	keep(ctx, resp.Private, copiedKey, plan.Digest.ValueString(), &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, plan.name())...)
}

// Read writes down where the tag points now. What that is, is read only if it is
// something else than before.
func (r *imageResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state imageModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, state.name())...) // also before a removal
	if resp.Diagnostics.HasError() || r.conn.unreadable(fmt.Sprintf("the image %q", state.name()), &resp.Diagnostics) {
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
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("read the image %q", state.name()), needPush, err)
		return
	case state.Digest.ValueString() != now.Digest.String():
		r.observe(ctx, &state, now.Digest.String(), &resp.Diagnostics)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// observe writes down what lies under the digest, which is not what was copied.
// It may be anything; what cannot be told of it is left out.
func (r *imageResource) observe(ctx context.Context, state *imageModel, digest string, diags *diag.Diagnostics) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	state.Digest = types.StringValue(digest)
	state.SizeBytes, state.PlatformsCopied = types.Int64Null(), types.SetNull(types.StringType)
	c, err := r.conn.images.content(ctx, state.Repository.ValueString(), digest)
	if err == nil {
		err = state.describe(ctx, c, diags)
	}
	if err != nil {
		tflog.Warn(ctx, "an image cannot be described", map[string]any{"image": state.name().String(), "digest": digest, "error": err.Error()})
	}
}

// Update copies again where the plan foresaw it, and moves the tag if nobody
// else has since Terraform read it.
func (r *imageResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, config, state imageModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, plan.name())...)
	r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	if plan.SizeBytes.IsUnknown() {
		most, diags := plan.Timeouts.Update(ctx, copyTimeout)
		resp.Diagnostics.Append(diags...)
		ctx, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		was, _ := oci.ParseDigest(state.Digest.ValueString()) // what Read wrote
		r.copy(ctx, &plan, config, was, &resp.Diagnostics)
		if resp.Diagnostics.HasError() {
			return
		}
		keep(ctx, resp.Private, copiedKey, plan.Digest.ValueString(), &resp.Diagnostics)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// Delete does what on_destroy says; what is gone already is fine.
func (r *imageResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state imageModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() || state.OnDestroy.ValueString() == destroyKeep {
		return
	}
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	var err error
	if copied := recall(ctx, req.Private, copiedKey, &resp.Diagnostics); state.OnDestroy.ValueString() == destroyManifest && copied != "" {
		err = remote.Delete(r.conn.images.by(state.Repository.ValueString(), copied), r.conn.images.with(ctx)...)
	}
	if err == nil || missing(err) {
		err = api.DeleteTag(ctx, state.Repository.ValueString(), state.Tag.ValueString())
	}
	if err != nil && !client.IsNotFound(err) {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("delete the image %q", state.name()), needPush, err)
	}
}

func (r *imageResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	importTag(ctx, req, resp)
}
