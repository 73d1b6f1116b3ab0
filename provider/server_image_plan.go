package provider

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// suffixLength is how many digits complete a name_prefix.
const suffixLength = 12

// ValidateConfig checks what the schema cannot say.
func (r *serverImageResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m serverImageModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() || m.Encrypted.IsUnknown() {
		return
	}
	for name, value := range map[string]attr.Value{"kms_key_id": m.KMSKeyID, "copy_kms_key_ids": m.CopyKMSKeyIDs} {
		if !value.IsNull() && !m.Encrypted.ValueBool() {
			resp.Diagnostics.AddAttributeError(path.Root(name), "Invalid encryption", "A key of KMS is for encrypted = true.")
		}
	}
}

// ModifyPlan reads the file and fills in what follows from it, so that the plan
// says whether there will be another image.
func (r *serverImageResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	keep(ctx, resp.Private, followsKey, "", &resp.Diagnostics)
	if req.Plan.Raw.IsNull() || r.conn == nil {
		return
	}
	var plan, config serverImageModel
	var state *serverImageModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if !req.State.Raw.IsNull() {
		state = &serverImageModel{}
		resp.Diagnostics.Append(req.State.Get(ctx, state)...)
	}
	if config.Region.IsNull() && plan.Region.IsUnknown() && !resp.Diagnostics.HasError() {
		if region, known := r.conn.awsRegion(ctx, &resp.Diagnostics); known {
			plan.Region = types.StringValue(region)
		}
	}
	if resp.Diagnostics.HasError() {
		return
	}
	plan.planSource(ctx, config, state, &resp.Diagnostics)
	plan.planName(ctx, config, &resp.Diagnostics)
	plan.checkRegions(ctx, &resp.Diagnostics)
	if state != nil {
		replaced := plan.replaced(*state)
		if _, there := state.ImageIDs.Elements()[state.Region.ValueString()]; !there {
			plan.ID = types.StringUnknown() // it was never complete, or is gone
			replaced = append(replaced, "id")
		}
		for _, name := range replaced {
			resp.RequiresReplace = append(resp.RequiresReplace, path.Root(name))
		}
		plan.ImageIDs, plan.SnapshotIDs = state.ImageIDs, state.SnapshotIDs
		if len(replaced) > 0 || !plan.CopyToRegions.Equal(state.CopyToRegions) {
			plan.ImageIDs, plan.SnapshotIDs = types.MapUnknown(types.StringType), types.MapUnknown(types.StringType)
		}
	} else if spec, known := plan.spec(ctx, &resp.Diagnostics); known {
		keep(ctx, resp.Private, followsKey, spec.fingerprint(), &resp.Diagnostics)
	}
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
	}
}

// planSource plans the hash of the file and the size of the volume, as far as
// they are known.
func (m *serverImageModel) planSource(ctx context.Context, config serverImageModel, state *serverImageModel, diags *diag.Diagnostics) {
	given := !config.SourceSHA256.IsNull()
	unchanged := func() bool { return state != nil && m.SourceSHA256.Equal(state.SourceSHA256) }
	defer func() {
		if config.VolumeSize.IsNull() && m.VolumeSize.IsUnknown() && unchanged() {
			m.VolumeSize = state.VolumeSize
		}
	}()
	if !given {
		m.SourceSHA256 = types.StringUnknown()
	}
	if config.VolumeSize.IsNull() {
		m.VolumeSize = types.Int64Unknown()
	}
	switch {
	case m.SourceFile.IsUnknown() || given && (m.SourceSHA256.IsUnknown() || unchanged()):
		return
	case m.SourceFile.IsNull():
		if !given && state != nil {
			m.SourceSHA256 = state.SourceSHA256
		}
		if state == nil || !unchanged() {
			diags.AddAttributeError(path.Root("source_file"), "No file", "The image has to be made, and no source_file says of what.")
		}
		return
	}
	disk, err := inspectDisk(ctx, m.SourceFile.ValueString())
	switch {
	case errors.Is(err, fs.ErrNotExist) && !given && state != nil && m.SourceFile.Equal(state.SourceFile) && !state.ID.IsNull():
		m.SourceSHA256 = state.SourceSHA256
		diags.AddAttributeWarning(path.Root("source_file"), "The file was not compared with the image", fmt.Sprintf(
			"%s does not exist, so the image stays as it is. To plan without the file, set source_sha256.", m.SourceFile.ValueString()))
	case errors.Is(err, fs.ErrNotExist): // the same run may make it
	case err != nil:
		addInvalid(diags, "source_file", "The file cannot be used", err)
	default:
		m.fit(disk, config, diags)
	}
}

// fit takes over what is known of the file, and checks the rest against it.
func (m *serverImageModel) fit(disk diskImage, config serverImageModel, diags *diag.Diagnostics) {
	if config.SourceSHA256.IsNull() {
		m.SourceSHA256 = types.StringValue(disk.sha256)
	} else if m.SourceSHA256.ValueString() != disk.sha256 {
		diags.AddAttributeError(path.Root("source_sha256"), "Another file", fmt.Sprintf("The SHA-256 of %s is %s.", m.SourceFile.ValueString(), disk.sha256))
	}
	least := gibibytes(disk.size)
	if config.VolumeSize.IsNull() {
		m.VolumeSize = types.Int64Value(least)
	} else if !m.VolumeSize.IsUnknown() && m.VolumeSize.ValueInt64() < least {
		diags.AddAttributeError(path.Root("volume_size"), "The volume is too small", fmt.Sprintf("The file needs %d GiB.", least))
	}
}

// planName completes a prefix.
func (m *serverImageModel) planName(ctx context.Context, config serverImageModel, diags *diag.Diagnostics) {
	if !config.Name.IsNull() {
		return
	}
	m.Name = types.StringUnknown()
	under := *m
	under.Name = m.NamePrefix
	if spec, known := under.spec(ctx, diags); known {
		m.Name = types.StringValue(m.NamePrefix.ValueString() + spec.fingerprint()[:suffixLength])
	}
}

// checkRegions refuses a copy of an image beside itself, and keys for nothing.
func (m *serverImageModel) checkRegions(ctx context.Context, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags}
	copies := v.set(m.CopyToRegions)
	if v.unknown || m.Region.IsUnknown() {
		return
	}
	if slices.Contains(copies, m.Region.ValueString()) {
		diags.AddAttributeError(path.Root("copy_to_regions"), "Invalid region", fmt.Sprintf("The image itself is in %s; only further regions belong here.", m.Region.ValueString()))
	}
	for region := range m.CopyKMSKeyIDs.Elements() {
		if !slices.Contains(copies, region) {
			diags.AddAttributeError(path.Root("copy_kms_key_ids").AtMapKey(region), "Invalid region", fmt.Sprintf("copy_to_regions does not have %s.", region))
		}
	}
}

// replaced names the arguments whose change makes another image. What is not
// known yet counts as changed.
func (m *serverImageModel) replaced(state serverImageModel) []string {
	var names []string
	for _, it := range []struct {
		name       string
		plan, have attr.Value
	}{
		{"name", m.Name, state.Name},
		{"source_sha256", m.SourceSHA256, state.SourceSHA256},
		{"architecture", m.Architecture, state.Architecture},
		{"region", m.Region, state.Region},
		{"volume_size", m.VolumeSize, state.VolumeSize},
		{"encrypted", m.Encrypted, state.Encrypted},
		{"kms_key_id", m.KMSKeyID, state.KMSKeyID},
		{"copy_kms_key_ids", m.CopyKMSKeyIDs, state.CopyKMSKeyIDs},
	} {
		if !it.plan.Equal(it.have) {
			names = append(names, it.name)
		}
	}
	return names
}
