package provider

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"
)

var (
	_ resource.ResourceWithConfigure      = (*serverImageResource)(nil)
	_ resource.ResourceWithIdentity       = (*serverImageResource)(nil)
	_ resource.ResourceWithImportState    = (*serverImageResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*serverImageResource)(nil)
	_ resource.ResourceWithValidateConfig = (*serverImageResource)(nil)
)

// serverImageResource is registry_server_image: a machine image made of a file.
//
// Terraform replaces what it could not create, and there are two ways to do so.
// If it creates first, the new creation takes over what the old one has left
// (tagCreation), and the deletion of the old one then leaves it alone. If it
// deletes first, the deletion has to know that a creation of the same image
// follows: Terraform hands it the private state that was planned for that
// creation, where followsKey is its fingerprint. A deletion that does not know
// removes everything, so at worst the upload begins anew.
type serverImageResource struct {
	conn     *connection
	attempts int // for each request of an upload
}

// The keys of what is kept beside the state: which creation made the image, and
// the fingerprint of the creation that follows a deletion.
const (
	creationKey = "creation"
	followsKey  = "follows"
)

type serverImageIdentity struct {
	ID     types.String `tfsdk:"id"`
	Region types.String `tfsdk:"region"`
}

func (r *serverImageResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_server_image"
}

func (r *serverImageResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = serverImageSchema()
}

func (r *serverImageResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = identityschema.Schema{Attributes: map[string]identityschema.Attribute{
		"id":     identityschema.StringAttribute{RequiredForImport: true, Description: "Id of the image."},
		"region": identityschema.StringAttribute{OptionalForImport: true, Description: "Region of the image; by default that of the provider."},
	}}
}

func (r *serverImageResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// Create uploads the file and registers the image. The snapshot is in the state
// before the first block is in the snapshot.
func (r *serverImageResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan, config serverImageModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := withinOr(ctx, plan.Timeouts, "create", imageTimeout("create"))
	defer cancel()
	plan.complete(ctx, r, config, &resp.Diagnostics)
	p := r.publication(ctx, plan, &resp.Diagnostics)
	if p == nil {
		return
	}
	p.creation = rand.Text()
	keep(ctx, resp.Private, creationKey, p.creation, &resp.Diagnostics)
	keep(ctx, resp.Private, followsKey, "", &resp.Diagnostics)
	save := func() {
		plan.identify(ctx, p, &resp.Diagnostics)
		resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
		resp.Diagnostics.Append(resp.Identity.Set(ctx, serverImageIdentity{plan.ID, plan.Region})...)
	}
	err := p.create(ctx, plan.SourceFile.ValueString(), save)
	if len(p.there) > 0 {
		save()
	}
	if err != nil {
		addImageError(&resp.Diagnostics, "create the image "+plan.Name.ValueString(), plan.Region.ValueString(), err)
	}
}

// Read compares the image in all regions with EC2.
func (r *serverImageResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state serverImageModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	imported := state.Name.IsNull()
	if state.Region.ValueString() == "" && !resp.Diagnostics.HasError() {
		if region, known := r.conn.awsRegion(ctx, &resp.Diagnostics); known && region != "" {
			state.Region = types.StringValue(region)
		}
	}
	resp.Diagnostics.Append(resp.Identity.Set(ctx, serverImageIdentity{state.ID, state.Region})...) // also before a removal
	if resp.Diagnostics.HasError() || r.conn.awsUnreadable("the image "+state.ID.ValueString(), &resp.Diagnostics) {
		return
	}
	p := r.publication(ctx, state, &resp.Diagnostics)
	if p == nil {
		return
	}
	there, err := state.refresh(ctx, p, imported, &resp.Diagnostics)
	switch {
	case err != nil:
		addImageError(&resp.Diagnostics, "read the image "+state.ID.ValueString(), state.Region.ValueString(), err)
	case resp.Diagnostics.HasError():
	case !there:
		resp.State.RemoveResource(ctx)
	default:
		resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
		if imported {
			keep(ctx, resp.Private, creationKey, p.creation, &resp.Diagnostics)
		}
	}
}

// Update changes the settings, and brings copies or takes them away.
func (r *serverImageResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, state serverImageModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, serverImageIdentity{state.ID, state.Region})...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := withinOr(ctx, plan.Timeouts, "update", imageTimeout("update"))
	defer cancel()
	plan.ImageIDs, plan.SnapshotIDs = state.ImageIDs, state.SnapshotIDs
	p := r.publication(ctx, plan, &resp.Diagnostics)
	if p == nil {
		return
	}
	p.creation = recall(ctx, req.Private, creationKey, &resp.Diagnostics)
	err := p.spread(ctx)
	for region := range p.there {
		if err == nil && region != p.spec.Region && !slices.Contains(p.copies, region) {
			if err = p.remove(ctx, p.in(region), p.there[region]); err == nil {
				delete(p.there, region)
			}
		}
	}
	if err != nil {
		addImageError(&resp.Diagnostics, "change the image "+state.ID.ValueString(), state.Region.ValueString(), err)
		return
	}
	plan.identify(ctx, p, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// Delete removes the image everywhere, unless its creation broke off and one
// follows that goes on with it.
func (r *serverImageResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state serverImageModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	p := r.publication(ctx, state, &resp.Diagnostics)
	if p == nil {
		return
	}
	ctx, cancel := withinOr(ctx, state.Timeouts, "delete", imageTimeout("delete"))
	defer cancel()
	p.creation = recall(ctx, req.Private, creationKey, &resp.Diagnostics)
	if recall(ctx, req.Private, followsKey, &resp.Diagnostics) == p.spec.fingerprint() {
		unfinished, err := p.unfinished(ctx)
		if err != nil {
			addImageError(&resp.Diagnostics, "look for what is left of the image "+p.spec.Name, p.spec.Region, err)
			return
		}
		if unfinished {
			tflog.Info(ctx, "leaving an unfinished image to the creation that follows", map[string]any{"name": p.spec.Name, "snapshot": state.SnapshotID.ValueString()})
			return
		}
	}
	if err := p.removeAll(ctx); err != nil {
		addImageError(&resp.Diagnostics, "delete the image "+p.spec.Name, p.spec.Region, err)
	}
}

// ImportState takes the id of the image, and its region where that is not the
// provider's.
func (r *serverImageResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	var it serverImageIdentity
	if req.ID == "" {
		resp.Diagnostics.Append(req.Identity.Get(ctx, &it)...)
	} else {
		it.ID = types.StringValue(req.ID)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	id, region, err := parseImageID(it.ID.ValueString())
	if err != nil {
		resp.Diagnostics.AddError("Invalid import id", sentence(err))
		return
	}
	if region == "" {
		region = it.Region.ValueString()
	}
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("id"), id)...)
	resp.Diagnostics.Append(resp.State.SetAttribute(ctx, path.Root("region"), textOrNull(region))...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, serverImageIdentity{types.StringValue(id), textOrNull(region)})...)
}

// complete fills in what was not known when it was planned.
func (m *serverImageModel) complete(ctx context.Context, r *serverImageResource, config serverImageModel, diags *diag.Diagnostics) {
	if m.Region.IsUnknown() {
		region, _ := r.conn.awsRegion(ctx, diags)
		m.Region = types.StringValue(region)
	}
	if m.SourceFile.IsNull() {
		diags.AddAttributeError(path.Root("source_file"), "No file", "The image has to be made, and no source_file says of what.")
	}
	if diags.HasError() {
		return
	}
	if m.SourceSHA256.IsUnknown() || m.VolumeSize.IsUnknown() {
		disk, err := inspectDisk(ctx, m.SourceFile.ValueString())
		if err != nil {
			addInvalid(diags, "source_file", "The file cannot be used", err)
			return
		}
		m.fit(disk, config, diags)
	}
	if m.Name.IsUnknown() {
		m.planName(ctx, config, diags)
	}
	m.checkRegions(ctx, diags)
}

// publication is the work on the image of a model, or why it cannot be done.
func (r *serverImageResource) publication(ctx context.Context, m serverImageModel, diags *diag.Diagnostics) *publication {
	if diags.HasError() {
		return nil
	}
	config, ok := r.conn.awsConfig(ctx, m.Region.ValueString(), diags)
	if !ok {
		return nil
	}
	p := m.publication(ctx, diags)
	p.ebs = r.conn.aws.ebsIn(config, m.Region.ValueString(), r.attempts)
	p.in = func(region string) imageRegion { return imageRegion{region, r.conn.aws.ec2In(config, region)} }
	return p
}

// addImageError reports what went wrong; home is the region of the image itself.
func addImageError(diags *diag.Diagnostics, action, home string, err error) {
	taken, ok := errors.AsType[*takenError](err)
	switch {
	case !ok:
		addAWSError(diags, action, err)
	case taken.region == home:
		diags.AddAttributeError(path.Root("name"), "The image exists already", fmt.Sprintf(
			"The image %s in %s has this name, and names are unique. Terraform does not take over what it did not make. To manage the existing image, import it:\n\n"+
				"  terraform import registry_server_image.NAME %s@%s\n\n"+
				"where NAME is what this resource is called in the configuration. If this run is to replace it and create_before_destroy is set, use name_prefix in place of name, so that another file gives another name.",
			taken.id, taken.region, taken.id, taken.region))
	default:
		diags.AddAttributeError(path.Root("name"), fmt.Sprintf("The name is taken in %s", taken.region), fmt.Sprintf(
			"The image %s has it there. Deregister that, choose another name, or take the region out of copy_to_regions.", taken.id))
	}
}
