package provider

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// parseServerChain parses what a server sends: its own certificate first, each
// signed by the next.
func parseServerChain(text string) ([]*x509.Certificate, error) {
	chain, err := parseCertificates(text)
	if err != nil {
		return nil, err
	}
	for i, c := range chain[1:] {
		if chain[i].CheckSignatureFrom(c) != nil {
			return nil, fmt.Errorf("the certificate of %s is not signed by the one that follows it, of %s; put the server's own first, and each before the one that signed it", nameOf(chain[i]), nameOf(c))
		}
	}
	if leaf := chain[0]; len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 {
		return nil, fmt.Errorf("the certificate of %s is for no DNS name and no IP address; clients do not look at its common name", nameOf(leaf))
	}
	return chain, nil
}

func checkServerChain(text string) error {
	_, err := parseServerChain(text)
	return err
}

// ValidateConfig checks that key and certificate belong together, as soon as
// both are known: that may be in a plan, and else the server says it.
func (r *serverCertificateResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var config serverCertificateModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	text, at := config.privateKey()
	if text.IsNull() || text.IsUnknown() {
		return
	}
	key, err := parsePrivateKey(text.ValueString())
	if err == nil && !config.CertificatePEM.IsUnknown() {
		err = checkServerKey(config.CertificatePEM.ValueString(), key)
	}
	if err != nil {
		resp.Diagnostics.AddAttributeError(at, "Invalid private key", sentence(err))
	}
}

func checkServerKey(certificatePEM string, key crypto.Signer) error {
	chain, err := parseServerChain(certificatePEM)
	if err == nil && !belongs(chain[0], key) {
		return errors.New("the private key does not belong to the first certificate of certificate_pem; both have to change together")
	}
	return nil // what is wrong with the certificate is said of certificate_pem
}

// privateKey returns the key of a configuration and where it is written.
func (m *serverCertificateModel) privateKey() (types.String, path.Path) {
	if !m.PrivateKeyPEMWO.IsNull() {
		return m.PrivateKeyPEMWO, path.Root("private_key_pem_wo")
	}
	return m.PrivateKeyPEM, path.Root("private_key_pem")
}

// ModifyPlan works out what follows from the certificate, and leaves the one in
// the state as it is where only its PEM is written differently.
func (r *serverCertificateResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return
	}
	var plan, state serverCertificateModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	if !req.State.Raw.IsNull() {
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	}
	if resp.Diagnostics.HasError() || plan.CertificatePEM.IsUnknown() {
		return
	}
	if !state.CertificatePEM.IsNull() && chainID(plan.CertificatePEM.ValueString()) == chainID(state.CertificatePEM.ValueString()) {
		plan.CertificatePEM = state.CertificatePEM
	}
	plan.describe(ctx, &resp.Diagnostics)
	if plan.asks(state) {
		plan.Served = state.Served
	}
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
}

// asks reports whether the plan asks for what the state has.
func (m *serverCertificateModel) asks(state serverCertificateModel) bool {
	return m.Name.Equal(state.Name) && m.CertificatePEM.Equal(state.CertificatePEM) &&
		m.PrivateKeyPEM.Equal(state.PrivateKeyPEM) && m.PrivateKeyPEMWOVersion.Equal(state.PrivateKeyPEMWOVersion)
}

// describe writes what the certificate says of itself.
func (m *serverCertificateModel) describe(ctx context.Context, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags}
	chain, err := parseCertificates(m.CertificatePEM.ValueString())
	if err != nil { // the validator has spoken, or there is none to be read
		m.FingerprintSHA256, m.SerialNumber = types.StringNull(), types.StringNull()
		m.ValidityStartTime, m.ValidityEndTime = types.StringNull(), types.StringNull()
		m.DNSNames, m.IPAddresses = types.SetNull(types.StringType), types.SetNull(types.StringType)
		return
	}
	leaf := chain[0]
	var ips []string
	for _, ip := range leaf.IPAddresses {
		ips = append(ips, ip.String())
	}
	m.FingerprintSHA256 = types.StringValue(fingerprint(leaf))
	m.SerialNumber = types.StringValue(fmt.Sprintf("%032x", leaf.SerialNumber))
	m.DNSNames, m.IPAddresses = v.setOf(leaf.DNSNames, false), v.setOf(ips, false)
	m.ValidityStartTime = types.StringValue(leaf.NotBefore.UTC().Format(time.RFC3339))
	m.ValidityEndTime = types.StringValue(leaf.NotAfter.UTC().Format(time.RFC3339))
}
