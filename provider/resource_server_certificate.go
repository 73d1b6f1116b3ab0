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
	_ resource.ResourceWithConfigure      = (*serverCertificateResource)(nil)
	_ resource.ResourceWithIdentity       = (*serverCertificateResource)(nil)
	_ resource.ResourceWithImportState    = (*serverCertificateResource)(nil)
	_ resource.ResourceWithModifyPlan     = (*serverCertificateResource)(nil)
	_ resource.ResourceWithValidateConfig = (*serverCertificateResource)(nil)
)

// serverCertificateResource is registry_server_certificate.
type serverCertificateResource struct{ conn *connection }

type serverCertificateModel struct {
	Name                   types.String `tfsdk:"name"`
	CertificatePEM         types.String `tfsdk:"certificate_pem"`
	PrivateKeyPEM          types.String `tfsdk:"private_key_pem"`
	PrivateKeyPEMWO        types.String `tfsdk:"private_key_pem_wo"`
	PrivateKeyPEMWOVersion types.String `tfsdk:"private_key_pem_wo_version"`

	FingerprintSHA256 types.String `tfsdk:"fingerprint_sha256"`
	SerialNumber      types.String `tfsdk:"serial_number"`
	DNSNames          types.Set    `tfsdk:"dns_names"`
	IPAddresses       types.Set    `tfsdk:"ip_addresses"`
	ValidityStartTime types.String `tfsdk:"validity_start_time"`
	ValidityEndTime   types.String `tfsdk:"validity_end_time"`
	Served            types.Bool   `tfsdk:"served"`
}

type serverCertificateIdentity struct {
	Name types.String `tfsdk:"name"`
}

// needCertificates is the right that managing certificates takes.
const needCertificates = `the policy "admin", which managing certificates needs`

func (r *serverCertificateResource) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = "registry_server_certificate"
}

func (r *serverCertificateResource) Schema(_ context.Context, _ resource.SchemaRequest, resp *resource.SchemaResponse) {
	resp.Schema = serverCertificateSchema()
}

func (r *serverCertificateResource) IdentitySchema(_ context.Context, _ resource.IdentitySchemaRequest, resp *resource.IdentitySchemaResponse) {
	resp.IdentitySchema = nameIdentity("name", "Name of the certificate.")
}

func (r *serverCertificateResource) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	r.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// Create installs the certificate; one that is there already is not taken over.
// The server cannot tell a repeated request from another one for the same
// certificate, so it is asked first.
func (r *serverCertificateResource) Create(ctx context.Context, req resource.CreateRequest, resp *resource.CreateResponse) {
	var plan, config serverCertificateModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	spec := plan.spec(config)
	_, err := api.GetCertificate(ctx, spec.Name)
	if err == nil {
		addExists(&resp.Diagnostics, "certificate", "registry_server_certificate", spec.Name)
		return
	}
	var cert client.Certificate
	if client.IsNotFound(err) {
		cert, err = api.CreateCertificate(ctx, spec)
		if err != nil {
			// A server that fails may have done it all the same.
			now, again := api.GetCertificate(ctx, spec.Name)
			switch {
			case again == nil && chainID(now.CertificatePEM) == chainID(spec.CertificatePEM):
				cert, err = now, nil
			case again == nil && oci.ErrorCode(err) == oci.CodePreconditionFailed:
				addExists(&resp.Diagnostics, "certificate", "registry_server_certificate", spec.Name)
				return
			}
		}
	}
	if err != nil {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("install the certificate %q", spec.Name), needCertificates, err)
		return
	}
	plan.observe(ctx, cert, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, serverCertificateIdentity{plan.Name})...)
	keep(ctx, resp.Private, revisionKey, cert.Revision, &resp.Diagnostics)
}

// Read compares the certificate with the one that the server has. The key
// cannot be read; it belongs to the certificate, or the server would not have
// taken it.
func (r *serverCertificateResource) Read(ctx context.Context, req resource.ReadRequest, resp *resource.ReadResponse) {
	var state serverCertificateModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, serverCertificateIdentity{state.Name})...) // also before a removal
	name := state.Name.ValueString()
	if resp.Diagnostics.HasError() || r.conn.unreadable(fmt.Sprintf("the certificate %q", name), &resp.Diagnostics) {
		return
	}
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	cert, err := api.GetCertificate(ctx, name)
	switch {
	case client.IsNotFound(err):
		resp.State.RemoveResource(ctx)
		return
	case err != nil:
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("read the certificate %q", name), needCertificates, err)
		return
	}
	state.observe(ctx, cert, &resp.Diagnostics)
	keep(ctx, resp.Private, revisionKey, cert.Revision, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &state)...)
}

// Update installs certificate and key in place of those that are there, if
// nobody else has since Terraform read them.
func (r *serverCertificateResource) Update(ctx context.Context, req resource.UpdateRequest, resp *resource.UpdateResponse) {
	var plan, config serverCertificateModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	resp.Diagnostics.Append(resp.Identity.Set(ctx, serverCertificateIdentity{plan.Name})...)
	revision := recall(ctx, req.Private, revisionKey, &resp.Diagnostics)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	spec := plan.spec(config)
	cert, err := api.PutCertificate(ctx, spec, revision)
	if err != nil {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("install the certificate %q", spec.Name), needCertificates, err)
		return
	}
	plan.observe(ctx, cert, &resp.Diagnostics)
	resp.Diagnostics.Append(resp.State.Set(ctx, &plan)...)
	keep(ctx, resp.Private, revisionKey, cert.Revision, &resp.Diagnostics)
}

// Delete removes the certificate from the server; one that is gone already is
// fine.
func (r *serverCertificateResource) Delete(ctx context.Context, req resource.DeleteRequest, resp *resource.DeleteResponse) {
	var state serverCertificateModel
	resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	api := r.conn.api(&resp.Diagnostics)
	if resp.Diagnostics.HasError() {
		return
	}
	name := state.Name.ValueString()
	if err := api.DeleteCertificate(ctx, name, ""); err != nil && !client.IsNotFound(err) {
		r.conn.addAPIError(&resp.Diagnostics, fmt.Sprintf("delete the certificate %q", name), needCertificates, err)
	}
}

func (r *serverCertificateResource) ImportState(ctx context.Context, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	importByName(ctx, "name", certificateNameRule(), req, resp)
}

// spec is what is sent. The key is in the configuration, the only place that
// has a write-only one.
func (m *serverCertificateModel) spec(config serverCertificateModel) client.CertificateSpec {
	key, _ := config.privateKey()
	return client.CertificateSpec{Name: m.Name.ValueString(), CertificatePEM: m.CertificatePEM.ValueString(), PrivateKeyPEM: key.ValueString()}
}

// observe writes what the server has into the model. The PEM stays as it is
// written where it is the same certificate.
func (m *serverCertificateModel) observe(ctx context.Context, cert client.Certificate, diags *diag.Diagnostics) {
	m.Name = types.StringValue(cert.Name)
	switch {
	case cert.CertificatePEM == "":
		m.CertificatePEM = types.StringNull()
	case chainID(m.CertificatePEM.ValueString()) != chainID(cert.CertificatePEM):
		m.CertificatePEM = types.StringValue(cert.CertificatePEM)
	}
	m.describe(ctx, diags)
	m.Served = types.BoolValue(cert.Served)
	if !cert.Served {
		diags.AddAttributeWarning(path.Root("name"), "The certificate is not served", fmt.Sprintf("The server does not show the certificate %q to clients: %s.", cert.Name, cert.Problem))
	}
}
