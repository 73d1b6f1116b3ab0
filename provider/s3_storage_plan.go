package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// ValidateConfig checks what the schema cannot say, and warns of what is
// dangerous.
func (r *s3StorageResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var m s3StorageModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	at := path.Root("encryption")
	e := m.encryption(ctx, &resp.Diagnostics)
	if !m.Encryption.IsNull() && !m.Encryption.IsUnknown() && !e.Algorithm.IsUnknown() && e.Algorithm.ValueString() != algorithmKMS {
		if !e.KMSKeyID.IsNull() {
			resp.Diagnostics.AddAttributeError(at.AtName("kms_key_id"), "Invalid encryption", `A key of KMS is for algorithm = "aws:kms".`)
		}
		if e.BucketKeyEnabled.ValueBool() {
			resp.Diagnostics.AddAttributeError(at.AtName("bucket_key_enabled"), "Invalid encryption", `A bucket key is for algorithm = "aws:kms".`)
		}
	}
	if deny := m.DenyInsecureTransport; !deny.IsNull() && !deny.IsUnknown() && !deny.ValueBool() {
		resp.Diagnostics.AddAttributeWarning(path.Root("deny_insecure_transport"), "The bucket allows requests without TLS",
			"Without this part of its policy, images and presigned URLs can cross the network in clear. It is meant for emulators only.")
	}
	if days := m.AbortIncompleteMultipartDays; !days.IsNull() && !days.IsUnknown() && days.ValueInt64() <= longestUploadDays {
		resp.Diagnostics.AddAttributeWarning(path.Root("abort_incomplete_multipart_days"), "Uploads that are still going on may be aborted", fmt.Sprintf(
			"A server goes on with an upload for up to %d days (storage.maintenance.uploadpurging), but S3 removes its parts after %d. Set at least %d, or shorten it on the server, too.",
			longestUploadDays, days.ValueInt64(), longestUploadDays+1))
	}
}

// ModifyPlan fills in what follows from the arguments, so that the plan shows
// it, and only what really changes.
func (r *s3StorageResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() || r.conn == nil {
		return
	}
	var plan, config, state s3StorageModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if !req.State.Raw.IsNull() {
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	}
	if config.Region.IsNull() {
		r.fillRegion(ctx, &plan, &resp.Diagnostics)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	plan.fillBucketKey(ctx, config.Encryption, &resp.Diagnostics)
	plan.PolicyJSON = plan.desiredPolicy(ctx, state.PolicyJSON.ValueString(), &resp.Diagnostics)
	plan.outputs(ctx, r.conn, &resp.Diagnostics)
	if !plan.Environment.IsUnknown() || req.State.Raw.IsNull() {
		resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
		return
	}
	// The provider's configuration is not known yet, which alone is no change.
	plan.Environment = state.Environment
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
	if !resp.Plan.Raw.Equal(req.State.Raw) {
		plan.Environment = types.MapUnknown(types.StringType)
		resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
	}
}
