package provider

import (
	"context"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
)

// ValidateConfig checks what the schema cannot say.
func (r *certificateResource) ValidateConfig(ctx context.Context, req resource.ValidateConfigRequest, resp *resource.ValidateConfigResponse) {
	var config certificateModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	m := config
	m.fillDefaults(ctx, config, &resp.Diagnostics)
	m.check(ctx, config, &resp.Diagnostics)
}

// check holds a certificate whose defaults are filled in to the rules that
// involve more than one value. Each rule waits until its values are known.
// The configuration is needed for the issuer's key, which may be write-only.
func (m *certificateModel) check(ctx context.Context, config certificateModel, diags *diag.Diagnostics) {
	m.checkPeriods(diags)
	m.checkKey(ctx, diags)
	m.checkUses(ctx, diags)
	m.checkNames(ctx, diags)
	config.checkIssuer(ctx, diags)
}

func (m *certificateModel) checkPeriods(diags *diag.Diagnostics) {
	validity, early := m.ValidityPeriodHours, m.EarlyRenewalHours
	if !validity.IsUnknown() && !early.IsUnknown() && early.ValueInt64() >= validity.ValueInt64() {
		diags.AddAttributeError(path.Root("early_renewal_hours"), "The certificate would always be due for renewal",
			"early_renewal_hours must be less than validity_period_hours, or every plan would renew the certificate.")
	}
}

func (m *certificateModel) checkKey(ctx context.Context, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags}
	var k keyModel
	v.object(m.Key, &k)
	algorithm := m.key(&v).algorithm
	if k.Algorithm.IsUnknown() || m.Key.IsUnknown() {
		return
	}
	at := path.Root("key")
	if algorithm != algorithmRSA && !k.RSABits.IsNull() {
		diags.AddAttributeError(at.AtName("rsa_bits"), "Invalid key", "rsa_bits is for RSA keys; the algorithm is "+algorithm+".")
	}
	if algorithm != algorithmECDSA && !k.ECDSACurve.IsNull() {
		diags.AddAttributeError(at.AtName("ecdsa_curve"), "Invalid key", "ecdsa_curve is for ECDSA keys; the algorithm is "+algorithm+".")
	}
}

func (m *certificateModel) checkUses(ctx context.Context, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags, unknown: m.IsCACertificate.IsUnknown()}
	uses := v.set(m.AllowedUses)
	if v.unknown {
		return
	}
	at := path.Root("allowed_uses")
	ca, signs := m.IsCACertificate.ValueBool(), slices.Contains(uses, "cert_signing")
	switch {
	case ca && !signs:
		diags.AddAttributeError(at, "Invalid allowed uses", "The certificate of a CA needs cert_signing, or it could sign nothing.")
	case !ca && signs:
		diags.AddAttributeError(at, "Invalid allowed uses", "cert_signing is for CAs; set is_ca_certificate = true, or leave cert_signing out.")
	}
	algorithm := m.key(&v).algorithm
	if !v.unknown && algorithm != algorithmRSA && (slices.Contains(uses, "key_encipherment") || slices.Contains(uses, "data_encipherment")) {
		diags.AddAttributeError(at, "Invalid allowed uses",
			"key_encipherment and data_encipherment need an RSA key (RFC 8813); the algorithm is "+algorithm+". Leave them out: digital_signature is what TLS uses.")
	}
}

func (m *certificateModel) checkNames(ctx context.Context, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags, unknown: m.IsCACertificate.IsUnknown()}
	subject, uses := m.subject(&v), v.set(m.AllowedUses)
	names := len(v.set(m.DNSNames)) + len(v.set(m.IPAddresses))
	if v.unknown {
		return
	}
	switch {
	case m.IsCACertificate.ValueBool() && subject.empty():
		diags.AddAttributeError(path.Root("subject"), "A CA needs a subject",
			`Clients find the certificate of a CA by its subject; set for example subject = { common_name = "Example CA" }.`)
	case names == 0 && !m.IsCACertificate.ValueBool() && slices.Contains(uses, "server_auth"):
		diags.AddAttributeError(path.Root("dns_names"), "No name for the server",
			"Clients look for the server's name in dns_names and ip_addresses only, never in common_name, and there is none. "+
				`Set for example dns_names = ["registry.example.com"]; a common_name that is a host name or an IP address is taken over by itself.`)
	case names == 0 && subject.empty():
		diags.AddAttributeError(path.Root("subject"), "A certificate for nobody",
			"Set a subject, dns_names or ip_addresses.")
	}
}

func (s subject) empty() bool { return s == subject{} }

// checkIssuer checks that the issuer is a CA and that there is one key, which
// belongs to it, as far as all that is known.
func (m *certificateModel) checkIssuer(ctx context.Context, diags *diag.Diagnostics) {
	issuer, known := m.issuer(ctx, diags)
	if m.Issuer.IsNull() || m.Issuer.IsUnknown() {
		return
	}
	at := path.Root("issuer")
	inState, writeOnly := issuer.PrivateKeyPEM, issuer.PrivateKeyPEMWO
	switch {
	case inState.IsNull() && writeOnly.IsNull():
		diags.AddAttributeError(at, "The issuer has no key", "Set private_key_pem or private_key_pem_wo: without its key, an issuer cannot sign.")
		return
	case !inState.IsNull() && !writeOnly.IsNull() && !inState.IsUnknown() && !writeOnly.IsUnknown():
		diags.AddAttributeError(at, "The issuer has two keys", "Set either private_key_pem or private_key_pem_wo.")
		return
	case known && !inState.IsUnknown() && !writeOnly.IsUnknown():
		m.authority(ctx, diags)
		return
	case known:
		if _, err := parseIssuer(issuer.CertificatePEM.ValueString()); err != nil {
			diags.AddAttributeError(at.AtName("certificate_pem"), "Invalid issuer", sentence(err))
		}
	}
}
