package provider

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// material is what ACM gets, checked; the key comes from the configuration,
// since it may be write-only. All of it is known.
func (m *acmCertificateModel) material(config acmCertificateModel, now time.Time, diags *diag.Diagnostics) (c loadBalancerCertificate, ok bool) {
	var err error
	if c.leaf, err = parseLeaf(m.CertificatePEM.ValueString()); err != nil {
		addInvalid(diags, "certificate_pem", "Invalid certificate", err)
		return c, false
	}
	if c.chain, err = parseChain(m.CertificateChainPEM.ValueString(), c.leaf); err != nil {
		addInvalid(diags, "certificate_chain_pem", "Invalid chain", err)
		return c, false
	}
	text, attribute := config.PrivateKeyPEM.ValueString(), "private_key_pem"
	if !config.PrivateKeyPEMWO.IsNull() {
		text, attribute = config.PrivateKeyPEMWO.ValueString(), "private_key_pem_wo"
	}
	if c.key, err = parsePrivateKey(text); err == nil {
		err = c.checkPair()
	}
	if err != nil {
		addInvalid(diags, attribute, "Invalid private key", err)
		return c, false
	}
	if err := c.checkNow(now); err != nil {
		addInvalid(diags, "certificate_pem", "The certificate cannot be used now", err)
		return c, false
	}
	return c, true
}

// knownWith reports whether all is known that ACM gets.
func (m *acmCertificateModel) knownWith(config acmCertificateModel) bool {
	return !slices.ContainsFunc([]types.String{m.CertificatePEM, m.CertificateChainPEM, config.PrivateKeyPEM, config.PrivateKeyPEMWO}, types.String.IsUnknown)
}

// differs reports whether anything is to be imported that is not.
func (m *acmCertificateModel) differs(state acmCertificateModel) bool {
	return !m.CertificatePEM.Equal(state.CertificatePEM) || !m.CertificateChainPEM.Equal(state.CertificateChainPEM) ||
		!m.PrivateKeyPEM.Equal(state.PrivateKeyPEM) || !m.PrivateKeyPEMWOVersion.Equal(state.PrivateKeyPEMWOVersion)
}

// keepSpelling takes the texts of the state where the new ones hold the same.
func (m *acmCertificateModel) keepSpelling(state acmCertificateModel) {
	same := func(plan *types.String, state types.String, equal bool) {
		if !plan.IsNull() && !plan.IsUnknown() && !state.IsNull() && equal {
			*plan = state
		}
	}
	same(&m.CertificatePEM, state.CertificatePEM, samePEM(m.CertificatePEM.ValueString(), state.CertificatePEM.ValueString()))
	same(&m.PrivateKeyPEM, state.PrivateKeyPEM, samePEM(m.PrivateKeyPEM.ValueString(), state.PrivateKeyPEM.ValueString()))
	same(&m.CertificateChainPEM, state.CertificateChainPEM, m.sameChain(state))
}

// sameChain reports whether the chains lead to the same; the certificate itself
// may begin them.
func (m *acmCertificateModel) sameChain(state acmCertificateModel) bool {
	leaf, err := parseLeaf(m.CertificatePEM.ValueString())
	if err != nil {
		return false
	}
	ours, err := parseChain(m.CertificateChainPEM.ValueString(), leaf)
	if err != nil {
		return false
	}
	theirs, err := parseChain(state.CertificateChainPEM.ValueString(), leaf)
	return err == nil && string(chainPEM(ours)) == string(chainPEM(theirs))
}

// observe writes what ACM has into the model, in the words of the model where
// they say the same.
func (m *acmCertificateModel) observe(there loadBalancerCertificate) {
	m.describe(there)
	had, err := parseLeaf(m.CertificatePEM.ValueString())
	if err != nil || !had.Equal(there.leaf) {
		m.CertificatePEM = types.StringValue(encodePEM("CERTIFICATE", there.leaf.Raw))
	}
	chain, err := parseChain(m.CertificateChainPEM.ValueString(), there.leaf)
	if found := string(chainPEM(there.chain)); err != nil || string(chainPEM(chain)) != found {
		m.CertificateChainPEM = types.StringNull()
		if found != "" {
			m.CertificateChainPEM = types.StringValue(found)
		}
	}
}

// describe fills in what follows from the certificate.
func (m *acmCertificateModel) describe(c loadBalancerCertificate) {
	m.FingerprintSHA256 = types.StringValue(fingerprint(c.leaf))
	m.ValidityEndTime = types.StringValue(c.leaf.NotAfter.UTC().Format(time.RFC3339))
}

func (m *acmCertificateModel) tags(ctx context.Context, diags *diag.Diagnostics) map[string]string {
	tags := map[string]string{}
	diags.Append(m.Tags.ElementsAs(ctx, &tags, false)...)
	return tags
}

func (m *acmCertificateModel) setTags(ctx context.Context, tags map[string]string, diags *diag.Diagnostics) {
	value, more := types.MapValueFrom(ctx, types.StringType, tags)
	diags.Append(more...)
	m.Tags = value
}
