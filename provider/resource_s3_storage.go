package provider

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var (
	_ resource.ResourceWithConfigure      = (*s3StorageResource)(nil)
	_ resource.ResourceWithIdentity       = (*s3StorageResource)(nil)
	_ resource.ResourceWithImportState    = (*s3StorageResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*s3StorageResource)(nil)
	_ resource.ResourceWithValidateConfig = (*s3StorageResource)(nil)
)

// s3StorageResource is registry_s3_storage: a bucket with all its settings as
// one resource, so that its changes come one after the other.
type s3StorageResource struct {
	conn           *connection
	verifyPatience time.Duration
}

type s3StorageIdentity struct {
	Bucket types.String `tfsdk:"bucket"`
}

func (r *s3StorageResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_s3_storage"
}

func (r *s3StorageResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = s3StorageSchema()
}

func (r *s3StorageResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = nameIdentity("bucket", "Name of the bucket.")
}

func (r *s3StorageResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// Create makes the bucket; one that is there already is not taken over. Once it
// is made it is in the state, whatever becomes of its settings.
func (r *s3StorageResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan s3StorageModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	r.fillRegion(ctx, &plan, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := within(ctx, plan.Timeouts, "create")
	defer cancel()
	b, ok := r.bucket(ctx, plan, &resp.Diagnostics)
	if !ok || !vacant(ctx, b, &resp.Diagnostics) {
		return
	}
	plan.complete(ctx, r.conn, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	if err := b.create(ctx); err != nil {
		addCreateBucketError(&resp.Diagnostics, b, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, s3StorageIdentity{plan.Bucket})...)
	if !r.settle(ctx, b, bucketSettings{}, plan, passingWhenNew, &resp.Diagnostics) {
		resp.Diagnostics.AddWarning(fmt.Sprintf("The bucket %q was made, but it is not complete", b.name),
			"It is in the state, and Terraform will replace it with the next apply. To let that apply complete it in place, run terraform untaint on the resource first.")
	}
}

// Read compares every setting with S3.
func (r *s3StorageResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state s3StorageModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, s3StorageIdentity{state.Bucket})...) // also before a removal
	name := state.Bucket.ValueString()
	if resp.Diagnostics.HasError() || r.conn.awsUnreadable(fmt.Sprintf("the bucket %q", name), &resp.Diagnostics) {
		return
	}
	r.fillRegion(ctx, &state, &resp.Diagnostics) // there is none after an import
	b, ok := r.bucket(ctx, state, &resp.Diagnostics)
	if !ok {
		return
	}
	region, err := b.locate(ctx)
	if err == nil && region != state.Region.ValueString() {
		state.Region = types.StringValue(region)
		if b, ok = r.bucket(ctx, state, &resp.Diagnostics); !ok {
			return
		}
	}
	var s bucketSettings
	if err == nil {
		s, err = b.read(ctx)
	}
	switch {
	case isMissing(err):
		resp.State.RemoveResource(ctx)
		return
	case err != nil:
		addAWSError(&resp.Diagnostics, "read "+b.String(), err)
		return
	}
	state.observe(ctx, s, &resp.Diagnostics)
	state.outputs(ctx, r.conn, &resp.Diagnostics)
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
	}
}

// Update changes the settings that are not as they should be.
func (r *s3StorageResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan s3StorageModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, s3StorageIdentity{plan.Bucket})...)
	ctx, cancel := within(ctx, plan.Timeouts, "update")
	defer cancel()
	b, ok := r.bucket(ctx, plan, &resp.Diagnostics)
	if !ok {
		return
	}
	plan.complete(ctx, r.conn, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	have, err := b.read(ctx)
	switch {
	case isMissing(err):
		resp.Diagnostics.AddError(fmt.Sprintf("The bucket %q is gone", b.name), "Somebody else has deleted it since Terraform read it. Plan and apply again to make it.")
		return
	case err != nil:
		addAWSError(&resp.Diagnostics, "read "+b.String(), err)
		return
	}
	if r.settle(ctx, b, have, plan, passing, &resp.Diagnostics) {
		resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	}
}

// Delete removes the bucket, and with force_destroy what is in it.
func (r *s3StorageResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state s3StorageModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := within(ctx, state.Timeouts, "delete")
	defer cancel()
	b, ok := r.bucket(ctx, state, &resp.Diagnostics)
	if !ok {
		return
	}
	err := b.remove(ctx, state.ForceDestroy.ValueBool())
	switch {
	case awsCode(err) == "BucketNotEmpty":
		resp.Diagnostics.AddError(fmt.Sprintf("The bucket %q is not empty", b.name), fmt.Sprintf(
			"It holds, among others:\n\n  %s\n\nThese are the images of the registry. To remove them with the bucket, set force_destroy = true, run terraform apply, and only then destroy: what counts is what the state says. "+
				"To keep the bucket, take it out of the state: terraform state rm.", b.sample(ctx)))
	case err != nil:
		addAWSError(&resp.Diagnostics, "delete "+b.String(), err)
	}
}

// ImportState takes the name of the bucket. What only Terraform knows begins
// with its default.
func (r *s3StorageResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	importByName(ctx, "bucket", bucketNameRule(), req, resp)
	setDefaults(ctx, &resp.State, &resp.Diagnostics, "force_destroy", "verify")
}

// setDefaults sets attributes to false that only the state has.
func setDefaults(ctx context.Context, state *tfsdk.State, diags *diag.Diagnostics, names ...string) {
	for _, name := range names {
		diags.Append(state.SetAttribute(ctx, path.Root(name), false)...)
	}
}

// bucket is the bucket of a model, or why it cannot be reached.
func (r *s3StorageResource) bucket(ctx context.Context, m s3StorageModel, diags *diag.Diagnostics) (bucket, bool) {
	if diags.HasError() {
		return bucket{}, false
	}
	api := r.conn.s3(ctx, m.Region.ValueString(), diags)
	return bucket{api, m.Bucket.ValueString()}, api != nil
}

// fillRegion fills in the region of the provider.
func (r *s3StorageResource) fillRegion(ctx context.Context, m *s3StorageModel, diags *diag.Diagnostics) {
	if m.Region.ValueString() == "" && !diags.HasError() {
		if region, known := r.conn.awsRegion(ctx, diags); known && region != "" {
			m.Region = types.StringValue(region)
		}
	}
}

// settle gives the bucket its settings, tries them where that is wanted, and
// reports whether all went well.
func (r *s3StorageResource) settle(ctx context.Context, b bucket, have bucketSettings, m s3StorageModel, passes func(error) bool, diags *diag.Diagnostics) bool {
	want := m.settings(ctx, diags)
	if diags.HasError() {
		return false
	}
	if err := b.write(ctx, have, want, passes); err != nil {
		addAWSError(diags, "configure "+b.String(), err)
		return false
	}
	if m.Verify.ValueBool() {
		denied := func(err error) bool { return passes(err) || awsStatus(err) == http.StatusForbidden }
		p := settling()
		p.most = r.verifyPatience
		if err := p.until(ctx, denied, func() error { return b.verify(ctx, m.RootDirectory.ValueString()) }); err != nil {
			addVerifyError(diags, b, m, err)
			return false
		}
	}
	return true
}

// vacant reports whether there is no such bucket yet, or says whose it is.
func vacant(ctx context.Context, b bucket, diags *diag.Diagnostics) bool {
	region, err := b.locate(ctx)
	switch {
	case isMissing(err):
		return true
	case err == nil && region != b.api.Options().Region:
		addTaken(diags, b, fmt.Sprintf("It is in the region %s. If it is yours, set region to that and import it: terraform import registry_s3_storage.NAME %s. If not, choose another name.", region, b.name))
	case err == nil:
		addExists(diags, "bucket", "registry_s3_storage", b.name)
	case awsStatus(err) == http.StatusForbidden:
		addTaken(diags, b, "It belongs to somebody else, or the credentials lack s3:ListBucket on it. All of AWS shares the names of buckets: choose another one.")
	default:
		addAWSError(diags, "look for "+b.String(), err)
	}
	return false
}

func addTaken(diags *diag.Diagnostics, b bucket, detail string) {
	diags.AddAttributeError(path.Root("bucket"), fmt.Sprintf("The name %q is taken", b.name), detail)
}

func addCreateBucketError(diags *diag.Diagnostics, b bucket, err error) {
	switch awsCode(err) {
	case "BucketAlreadyExists":
		addTaken(diags, b, "It belongs to somebody else. All of AWS shares the names of buckets: choose another one.")
	case "BucketAlreadyOwnedByYou":
		addExists(diags, "bucket", "registry_s3_storage", b.name)
	default:
		addAWSError(diags, "create "+b.String(), err)
	}
}

func addVerifyError(diags *diag.Diagnostics, b bucket, m s3StorageModel, err error) {
	if awsStatus(err) == http.StatusForbidden && m.DenyInsecureTransport.ValueBool() && !b.overTLS() {
		diags.AddAttributeError(path.Root("deny_insecure_transport"), "The bucket denies what comes without TLS", sentence(err)+
			"\n\nThe provider speaks to S3 without TLS, and the policy of the bucket denies that. Use an https:// URL in aws.endpoints.s3, or set deny_insecure_transport = false for an emulator.")
		return
	}
	addAWSError(diags, "use "+b.String()+" as a registry server does", err)
}
