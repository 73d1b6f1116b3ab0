package provider

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"

	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
)

var (
	_ resource.ResourceWithConfigure   = (*acmCertificateResource)(nil)
	_ resource.ResourceWithIdentity    = (*acmCertificateResource)(nil)
	_ resource.ResourceWithImportState = (*acmCertificateResource)(nil)
	_ resource.ResourceWithModifyPlan  = (*acmCertificateResource)(nil)
)

// acmCertificateResource is registry_acm_certificate: a certificate imported
// into ACM.
type acmCertificateResource struct {
	conn *connection
	now  func() time.Time
}

type acmCertificateModel struct {
	Region                 types.String `tfsdk:"region"`
	CertificatePEM         types.String `tfsdk:"certificate_pem"`
	CertificateChainPEM    types.String `tfsdk:"certificate_chain_pem"`
	PrivateKeyPEM          types.String `tfsdk:"private_key_pem"`
	PrivateKeyPEMWO        types.String `tfsdk:"private_key_pem_wo"`
	PrivateKeyPEMWOVersion types.String `tfsdk:"private_key_pem_wo_version"`
	Tags                   types.Map    `tfsdk:"tags"`
	Timeouts               types.Object `tfsdk:"timeouts"`

	ARN               types.String `tfsdk:"arn"`
	FingerprintSHA256 types.String `tfsdk:"fingerprint_sha256"`
	ValidityEndTime   types.String `tfsdk:"validity_end_time"`
}

type acmCertificateIdentity struct {
	ARN types.String `tfsdk:"arn"`
}

func (r *acmCertificateResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_acm_certificate"
}

func (r *acmCertificateResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = acmCertificateSchema()
}

func (r *acmCertificateResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = nameIdentity("arn", "ARN of the certificate.")
}

func (r *acmCertificateResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// Create imports the certificate. Where that fails, there is nothing.
func (r *acmCertificateResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan, config acmCertificateModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := within(ctx, plan.Timeouts, "create")
	defer cancel()
	material, ok := plan.material(config, r.now(), &resp.Diagnostics)
	tags := plan.tags(ctx, &resp.Diagnostics)
	region := plan.Region.ValueString()
	if region == "" && ok {
		region, _ = r.conn.awsRegion(ctx, &resp.Diagnostics)
	}
	manager, reachable := r.manager(ctx, region, &resp.Diagnostics)
	if !ok || !reachable {
		return
	}
	arn, err := manager.importNew(ctx, material, tags)
	if err != nil {
		addAWSError(&resp.Diagnostics, "import the certificate into ACM", err)
		return
	}
	plan.ARN, plan.Region = types.StringValue(arn), types.StringValue(region)
	plan.describe(material)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, acmCertificateIdentity{plan.ARN})...)
}

// Read compares the certificate and its tags with what ACM really has.
func (r *acmCertificateResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state acmCertificateModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, acmCertificateIdentity{state.ARN})...) // also before a removal
	arn := state.ARN.ValueString()
	if resp.Diagnostics.HasError() || r.conn.awsUnreadable("the certificate "+arn, &resp.Diagnostics) {
		return
	}
	state.Region = types.StringValue(regionOfARN(arn))
	manager, ok := r.manager(ctx, state.Region.ValueString(), &resp.Diagnostics)
	if !ok {
		return
	}
	imported := state.CertificatePEM.IsNull()
	if imported && !importable(ctx, manager, arn, &resp.Diagnostics) {
		if !resp.Diagnostics.HasError() {
			resp.State.RemoveResource(ctx)
		}
		return
	}
	leaf, chain, err := manager.get(ctx, arn)
	var tags map[string]string
	if err == nil {
		tags, err = manager.tags(ctx, arn)
	}
	switch {
	case notImported(err):
		resp.State.RemoveResource(ctx)
		return
	case err != nil:
		addAWSError(&resp.Diagnostics, "read the certificate "+arn, err)
		return
	}
	state.observe(loadBalancerCertificate{leaf: leaf, chain: chain})
	state.setTags(ctx, tags, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// importable refuses certificates that ACM has made itself, and reports false
// without an error where there is none.
func importable(ctx context.Context, manager certificateManager, arn string, diags *diag.Diagnostics) bool {
	about, err := manager.describe(ctx, arn)
	switch {
	case notImported(err):
		return false
	case err != nil:
		addAWSError(diags, "read the certificate "+arn, err)
	case about.Type != acmtypes.CertificateTypeImported:
		diags.AddError("Not an imported certificate", fmt.Sprintf("ACM has made the certificate %s itself (type %s), and renews it; only what was imported can be imported again. Use its ARN where it is needed.", arn, about.Type))
	}
	return !diags.HasError()
}

// Update imports the certificate again under its ARN, where anything about it
// has changed, and sets the tags.
func (r *acmCertificateResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, config, state acmCertificateModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, acmCertificateIdentity{state.ARN})...)
	ctx, cancel := within(ctx, plan.Timeouts, "update")
	defer cancel()
	arn := state.ARN.ValueString()
	manager, ok := r.manager(ctx, regionOfARN(arn), &resp.Diagnostics)
	tags := plan.tags(ctx, &resp.Diagnostics)
	if !ok || resp.Diagnostics.HasError() {
		return
	}
	if plan.differs(state) {
		material, ok := plan.material(config, r.now(), &resp.Diagnostics)
		if !ok {
			return
		}
		if err := manager.importAgain(ctx, arn, material); err != nil {
			addAWSError(&resp.Diagnostics, "import the certificate "+arn+" again", err)
			return
		}
		plan.describe(material)
	}
	if err := manager.setTags(ctx, arn, tags); err != nil {
		addAWSError(&resp.Diagnostics, "tag the certificate "+arn, err)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
}

// Delete removes the certificate, once nothing uses it any more.
func (r *acmCertificateResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state acmCertificateModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	arn := state.ARN.ValueString()
	wait, cancel := within(ctx, state.Timeouts, "delete")
	defer cancel()
	manager, ok := r.manager(wait, regionOfARN(arn), &resp.Diagnostics)
	if !ok {
		return
	}
	err := manager.remove(wait, arn)
	switch {
	case inUse(err):
		users := "what ACM does not say"
		if about, err := manager.describe(ctx, arn); err == nil && len(about.InUseBy) > 0 {
			users = strings.Join(about.InUseBy, "\n  ")
		}
		resp.Diagnostics.AddError(fmt.Sprintf("The certificate %s is in use", arn), fmt.Sprintf(
			"It is used by:\n\n  %s\n\nTake it from there first. To replace it, let Terraform make the new one before: lifecycle { create_before_destroy = true }. If this run removes its user, allow more time in timeouts.delete.", users))
	case err != nil:
		addAWSError(&resp.Diagnostics, "delete the certificate "+arn, err)
	}
}

func (r *acmCertificateResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	importByName(ctx, "arn", acmARNRule(), req, resp)
}

func (r *acmCertificateResource) manager(ctx context.Context, region string, diags *diag.Diagnostics) (certificateManager, bool) {
	if diags.HasError() {
		return certificateManager{}, false
	}
	api := r.conn.acm(ctx, region, diags)
	return certificateManager{api}, api != nil
}

// ModifyPlan keeps what only looks different, says what follows from the
// certificate, and checks what would be imported.
func (r *acmCertificateResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() || r.conn == nil {
		return
	}
	var plan, config, state acmCertificateModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if !req.State.Raw.IsNull() {
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
		plan.keepSpelling(state)
	}
	if config.Region.IsNull() && plan.Region.IsUnknown() && !resp.Diagnostics.HasError() {
		if region, known := r.conn.awsRegion(ctx, &resp.Diagnostics); known {
			plan.Region = types.StringValue(region)
		}
	}
	if resp.Diagnostics.HasError() {
		return
	}
	plan.FingerprintSHA256, plan.ValidityEndTime = types.StringUnknown(), types.StringUnknown()
	if leaf, err := parseLeaf(plan.CertificatePEM.ValueString()); err == nil {
		plan.describe(loadBalancerCertificate{leaf: leaf})
	}
	if plan.differs(state) && plan.knownWith(config) {
		plan.material(config, r.now(), &resp.Diagnostics)
	}
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
	}
}

// addInvalid reports what is wrong with an argument.
func addInvalid(diags *diag.Diagnostics, attribute, summary string, err error) {
	diags.AddAttributeError(path.Root(attribute), summary, sentence(err))
}
