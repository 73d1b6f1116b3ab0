package provider

import (
	"context"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// ModifyPlan decides whether another certificate is issued, and keeps the
// outputs known where none is.
func (r *certificateResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return
	}
	var plan, config certificateModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	if resp.Diagnostics.HasError() {
		return
	}
	plan.fillDefaults(ctx, config, &resp.Diagnostics)
	spec, known := plan.spec(ctx, &resp.Diagnostics)
	reissue := true
	if known && !req.State.Raw.IsNull() {
		var state certificateModel
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
		if reissue = r.reissue(ctx, spec, state, req.Private, &resp.Diagnostics); !reissue {
			plan.keep(state, spec.early)
		}
	}
	if resp.Diagnostics.HasError() {
		return
	}
	if reissue {
		plan.forget()
	}
	if reissue && known {
		r.checkIssuer(ctx, config, spec, &resp.Diagnostics)
	}
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
}

// reissue reports whether the certificate in the state no longer serves: it
// was made for other inputs, or it is time to renew it.
func (r *certificateResource) reissue(ctx context.Context, spec certificateSpec, state certificateModel, p private, diags *diag.Diagnostics) bool {
	had, _ := state.spec(ctx, diags)
	switch {
	case !spec.equal(had):
		return true
	case spec.early != had.early: // Read went by the old one
		return r.due(state, spec.early)
	}
	return recall(ctx, p, dueKey, diags) != ""
}

// due reports whether it is time to renew the certificate in the state.
func (r *certificateResource) due(state certificateModel, early time.Duration) bool {
	end, err := time.Parse(time.RFC3339, state.ValidityEndTime.ValueString())
	return err != nil || !r.now().Before(end.Add(-early))
}

// dueKey is where Read notes that it is time to renew the certificate.
const dueKey = "due"

func note(ctx context.Context, p private, due bool, diags *diag.Diagnostics) {
	text := ""
	if due {
		text = "yes"
	}
	keep(ctx, p, dueKey, text, diags)
}

// forget makes every output unknown.
func (m *certificateModel) forget() {
	for _, out := range []*types.String{
		&m.CertificatePEM, &m.ChainPEM, &m.PrivateKeyPEM, &m.FingerprintSHA256,
		&m.SerialNumber, &m.ValidityStartTime, &m.ValidityEndTime, &m.RenewalTime,
	} {
		*out = types.StringUnknown()
	}
}

// checkIssuer says at plan time what the issuer would refuse at apply time.
func (r *certificateResource) checkIssuer(ctx context.Context, config certificateModel, spec certificateSpec, diags *diag.Diagnostics) {
	issuer, known := config.issuer(ctx, diags)
	if !known || issuer.CertificatePEM.IsNull() {
		return
	}
	at := path.Root("issuer").AtName("certificate_pem")
	chain, err := parseIssuer(issuer.CertificatePEM.ValueString())
	if err == nil {
		err = checkIssuable(chain[0], spec, r.now())
	}
	if err != nil {
		diags.AddAttributeError(at, "The issuer cannot sign the certificate", sentence(err))
	}
}

// fillDefaults fills in what the configuration leaves open and other values
// decide: what the certificate is for, and its names.
func (m *certificateModel) fillDefaults(ctx context.Context, config certificateModel, diags *diag.Diagnostics) {
	v := values{ctx: ctx, diags: diags}
	ca := m.IsCACertificate.ValueBool()
	if config.AllowedUses.IsNull() {
		key := m.key(&v)
		m.AllowedUses = v.setOf(defaultUses(ca, key.algorithm), m.IsCACertificate.IsUnknown() || v.unknown)
	}
	name := m.subject(&v).commonName
	server := !ca && slices.Contains(v.set(m.AllowedUses), "server_auth")
	unknown := v.unknown || m.IsCACertificate.IsUnknown()
	if config.DNSNames.IsNull() {
		m.DNSNames = v.setOf(onlyIf(server && checkDNSName(name) == nil, name), unknown)
	}
	if config.IPAddresses.IsNull() {
		m.IPAddresses = v.setOf(onlyIf(server && checkIPAddress(name) == nil, name), unknown)
	}
}

func onlyIf(yes bool, s string) []string {
	if yes {
		return []string{s}
	}
	return nil
}
