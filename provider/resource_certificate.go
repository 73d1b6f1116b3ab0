package provider

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var (
	_ resource.ResourceWithImportState    = (*certificateResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*certificateResource)(nil)
	_ resource.ResourceWithValidateConfig = (*certificateResource)(nil)
)

// certificateResource is registry_certificate: a key and a certificate, made
// here and kept in the state. No server is asked.
type certificateResource struct{ now func() time.Time }

type certificateModel struct {
	Subject             types.Object `tfsdk:"subject"`
	DNSNames            types.Set    `tfsdk:"dns_names"`
	IPAddresses         types.Set    `tfsdk:"ip_addresses"`
	Key                 types.Object `tfsdk:"key"`
	ValidityPeriodHours types.Int64  `tfsdk:"validity_period_hours"`
	EarlyRenewalHours   types.Int64  `tfsdk:"early_renewal_hours"`
	IsCACertificate     types.Bool   `tfsdk:"is_ca_certificate"`
	AllowedUses         types.Set    `tfsdk:"allowed_uses"`
	Issuer              types.Object `tfsdk:"issuer"`

	CertificatePEM    types.String `tfsdk:"certificate_pem"`
	ChainPEM          types.String `tfsdk:"chain_pem"`
	PrivateKeyPEM     types.String `tfsdk:"private_key_pem"`
	FingerprintSHA256 types.String `tfsdk:"fingerprint_sha256"`
	SerialNumber      types.String `tfsdk:"serial_number"`
	ValidityStartTime types.String `tfsdk:"validity_start_time"`
	ValidityEndTime   types.String `tfsdk:"validity_end_time"`
	RenewalTime       types.String `tfsdk:"renewal_time"`
}

type subjectModel struct {
	CommonName         types.String `tfsdk:"common_name"`
	Organization       types.String `tfsdk:"organization"`
	OrganizationalUnit types.String `tfsdk:"organizational_unit"`
	Locality           types.String `tfsdk:"locality"`
	Province           types.String `tfsdk:"province"`
	Country            types.String `tfsdk:"country"`
}

type keyModel struct {
	Algorithm  types.String `tfsdk:"algorithm"`
	RSABits    types.Int64  `tfsdk:"rsa_bits"`
	ECDSACurve types.String `tfsdk:"ecdsa_curve"`
}

type issuerModel struct {
	CertificatePEM  types.String `tfsdk:"certificate_pem"`
	PrivateKeyPEM   types.String `tfsdk:"private_key_pem"`
	PrivateKeyPEMWO types.String `tfsdk:"private_key_pem_wo"`
}

func (r *certificateResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_certificate"
}

func (r *certificateResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = certificateSchema()
}

// Create issues the first certificate.
func (r *certificateResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan, config certificateModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	spec := plan.complete(ctx, config, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	r.issue(ctx, &plan, config, spec, &resp.Diagnostics)
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	}
}

// Read has nobody to ask: the state is the only place that keeps the
// certificate. It notes out of sight whether it is time to renew it: the plan
// is made twice, before and during apply, and must not come out differently
// because the hour struck in between.
func (r *certificateResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state certificateModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	early := time.Duration(state.EarlyRenewalHours.ValueInt64()) * time.Hour
	if due := r.due(state, early); due != (recall(ctx, req.Private, dueKey, &resp.Diagnostics) != "") {
		note(ctx, resp.Private, due, &resp.Diagnostics)
	}
}

// Update issues another certificate where the plan foresaw one and there is
// still a reason for it.
func (r *certificateResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, config, state certificateModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	if resp.Diagnostics.HasError() {
		return
	}
	foreseen := plan.CertificatePEM.IsUnknown()
	spec := plan.complete(ctx, config, &resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	if foreseen && (r.reissue(ctx, spec, state, req.Private, &resp.Diagnostics) || r.due(state, spec.early)) {
		r.issue(ctx, &plan, config, spec, &resp.Diagnostics)
		note(ctx, resp.Private, false, &resp.Diagnostics)
	} else {
		plan.keep(state, spec.early)
	}
	if !resp.Diagnostics.HasError() {
		resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	}
}

// Delete forgets the certificate; there is no place to revoke it.
func (r *certificateResource) Delete(context.Context, resource.DeleteRequest, *resource.DeleteResponse) {
}

func (r *certificateResource) ImportState(_ context.Context, _ resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	resp.Diagnostics.AddError("A certificate cannot be imported",
		"registry_certificate makes keys, and keeps certificate and key in the state; there is no other place to read them from.\n\n"+
			`Use an existing certificate where it is needed with file("server.crt") and file("server.key"). `+
			"To go on with an existing CA, give its certificate and key as issuer of new certificates.")
}

// complete fills in the defaults that depend on other values, checks the rules,
// and returns what to issue. At this point everything is known.
func (m *certificateModel) complete(ctx context.Context, config certificateModel, diags *diag.Diagnostics) certificateSpec {
	m.fillDefaults(ctx, config, diags)
	m.check(ctx, config, diags)
	if diags.HasError() {
		return certificateSpec{}
	}
	spec, _ := m.spec(ctx, diags)
	return spec
}

// issue makes a key and a certificate and writes them into the model.
func (r *certificateResource) issue(ctx context.Context, m *certificateModel, config certificateModel, spec certificateSpec, diags *diag.Diagnostics) {
	ca := config.authority(ctx, diags)
	if diags.HasError() {
		return
	}
	now := r.now()
	made, err := spec.issue(ca, now)
	if err != nil {
		diags.AddError("Could not issue the certificate", sentence(err))
		return
	}
	c := made.certificate
	if lost := now.Add(spec.validity).Sub(c.NotAfter); lost > time.Hour {
		diags.AddAttributeWarning(path.Root("validity_period_hours"), "The certificate ends with its issuer", fmt.Sprintf(
			"A certificate cannot outlive its issuer, so that this one ends on %s, %d hours before validity_period_hours are over. "+
				"Renew the issuer early enough: give it an early_renewal_hours of at least the validity_period_hours of what it signs.",
			c.NotAfter.Format(time.RFC3339), int64(lost/time.Hour)))
	}
	m.CertificatePEM = types.StringValue(encodePEM("CERTIFICATE", c.Raw))
	m.ChainPEM = types.StringValue(made.chainPEM)
	m.PrivateKeyPEM = types.StringValue(made.keyPEM)
	m.FingerprintSHA256 = types.StringValue(fingerprint(c))
	m.SerialNumber = types.StringValue(fmt.Sprintf("%032x", c.SerialNumber))
	m.ValidityStartTime = types.StringValue(c.NotBefore.Format(time.RFC3339))
	m.ValidityEndTime = types.StringValue(c.NotAfter.Format(time.RFC3339))
	m.RenewalTime = types.StringValue(c.NotAfter.Add(-spec.early).Format(time.RFC3339))
}

// keep takes over the certificate that the state has.
func (m *certificateModel) keep(state certificateModel, early time.Duration) {
	m.CertificatePEM, m.ChainPEM, m.PrivateKeyPEM = state.CertificatePEM, state.ChainPEM, state.PrivateKeyPEM
	m.FingerprintSHA256, m.SerialNumber = state.FingerprintSHA256, state.SerialNumber
	m.ValidityStartTime, m.ValidityEndTime = state.ValidityStartTime, state.ValidityEndTime
	if end, err := time.Parse(time.RFC3339, state.ValidityEndTime.ValueString()); err == nil {
		m.RenewalTime = types.StringValue(end.Add(-early).Format(time.RFC3339))
	}
}
