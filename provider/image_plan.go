package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// lookTimeout bounds how long a plan or refresh looks at a registry.
const lookTimeout = time.Minute

// copiedKey is where the digest that was last copied is kept out of sight: what
// the tag points at now is in the state.
const copiedKey = "copied"

// ModifyPlan finds out whether there is something to copy.
//
// The plan is made twice, before and during apply, and what was known in the
// first must come out the same in the second, although the tag at the source may
// have moved in between. So a digest is known only if the source is pinned to
// it, or where nothing is to be copied; and the source is looked at only where
// nothing else is to be done.
func (r *imageResource) ModifyPlan(ctx context.Context, req resource.ModifyPlanRequest, resp *resource.ModifyPlanResponse) {
	if req.Plan.Raw.IsNull() {
		return
	}
	var plan, state, config imageModel
	resp.Diagnostics.Append(req.Plan.Get(ctx, &plan)...)
	resp.Diagnostics.Append(req.Config.Get(ctx, &config)...)
	create := req.State.Raw.IsNull()
	if !create {
		resp.Diagnostics.Append(req.State.Get(ctx, &state)...)
	}
	if resp.Diagnostics.HasError() {
		return
	}
	copied := recall(ctx, req.Private, copiedKey, &resp.Diagnostics)
	again := create || !plan.sameContent(state) || !plan.name().equal(state.name()) || copied == "" || copied != state.Digest.ValueString()
	if !again && plan.sameManner(state) {
		again = r.moved(ctx, config, state, &resp.Diagnostics)
	}
	if again {
		plan.forget()
	} else {
		plan.keep(state)
	}
	resp.Diagnostics.Append(resp.Plan.Set(ctx, &plan)...)
	plan.warn(&resp.Diagnostics)
	if create {
		r.look(ctx, config, &resp.Diagnostics) // so that the plan says what an apply would run into
	}
}

// warn points at what lets others read the password and change the image.
func (m *imageModel) warn(diags *diag.Diagnostics) {
	s, err := parseImageSource(m.Source.ValueString(), true)
	if err == nil && s.ref != nil && m.SourceInsecure.ValueBool() && !loopback(strings.Split(s.ref.Context().RegistryStr(), ":")[0]) {
		diags.AddAttributeWarning(path.Root("source_insecure"), "The source of the image is not verified",
			"With source_insecure = true anyone between here and the source can read source_auth and change the image. Set source_ca_certificate instead, or name the image by its digest.")
	}
}

// sameContent reports whether the model asks for what the state was copied from.
func (m *imageModel) sameContent(state imageModel) bool {
	return m.Source.Equal(state.Source) && m.Platforms.Equal(state.Platforms)
}

// sameManner reports whether everything else is as in the state, too.
func (m *imageModel) sameManner(state imageModel) bool {
	return m.SourceAuth.Equal(state.SourceAuth) && m.SourceInsecure.Equal(state.SourceInsecure) && m.SourceCACertificate.Equal(state.SourceCACertificate) &&
		m.Parallel.Equal(state.Parallel) && m.OnDestroy.Equal(state.OnDestroy) && m.Timeouts.Equal(state.Timeouts)
}

// forget makes every output unknown but for what a pinned source says.
func (m *imageModel) forget() {
	m.Digest, m.SourceDigest = types.StringUnknown(), types.StringUnknown()
	m.SizeBytes, m.PlatformsCopied = types.Int64Unknown(), types.SetUnknown(types.StringType)
	if m.Source.IsUnknown() {
		return
	}
	s, err := parseImageSource(m.Source.ValueString(), false)
	if err != nil || s.pinned() == "" {
		return
	}
	m.SourceDigest = types.StringValue(s.pinned())
	if m.Platforms.IsNull() {
		m.Digest = m.SourceDigest
	}
}

// keep takes the outputs over from the state.
func (m *imageModel) keep(state imageModel) {
	m.Digest, m.SourceDigest = state.Digest, state.SourceDigest
	m.SizeBytes, m.PlatformsCopied = state.SizeBytes, state.PlatformsCopied
}

// moved reports whether the source has something else than what was copied. A
// source that does not answer has not moved, as far as anybody knows.
func (r *imageResource) moved(ctx context.Context, config, state imageModel, diags *diag.Diagnostics) bool {
	now, ok := r.look(ctx, config, diags)
	if !ok || now == state.SourceDigest.ValueString() {
		return false
	}
	diags.AddAttributeWarning(path.Root("source"), "The image has changed at its source", fmt.Sprintf(
		"%s is %s now; %s was copied. The copy is made anew.", state.Source.ValueString(), now, state.SourceDigest.ValueString()))
	return true
}

// look returns what the source has now, if that can be found out; else it warns.
func (r *imageResource) look(ctx context.Context, config imageModel, diags *diag.Diagnostics) (digest string, ok bool) {
	source, from, known := r.source(ctx, config, diags)
	if !known || diags.HasError() {
		return "", false
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	digest, err := source.current(ctx, from)
	if err != nil {
		diags.AddAttributeWarning(path.Root("source"), "The source of the image cannot be looked at", fmt.Sprintf(
			"Whether %s has changed is not known: %s\n\n%s", source.text, sentence(err), sourceAdvice(err)))
		return "", false
	}
	return digest, true
}

// source returns the source of a configuration and how to speak to it, and
// whether all that is known.
func (r *imageResource) source(ctx context.Context, config imageModel, diags *diag.Diagnostics) (imageSource, *ociAccess, bool) {
	v := values{ctx: ctx, diags: diags, unknown: config.SourceInsecure.IsUnknown()}
	var login sourceAuthModel
	v.object(config.SourceAuth, &login)
	settings := sourceSettings{
		username: v.text(login.Username), password: v.text(login.PasswordWO),
		insecure: config.SourceInsecure.ValueBool(), caCertificate: v.text(config.SourceCACertificate),
	}
	text := v.text(config.Source)
	if v.unknown || diags.HasError() || r.conn == nil {
		return imageSource{}, nil, false
	}
	source, err := parseImageSource(text, settings.insecure)
	if err != nil {
		diags.AddAttributeError(path.Root("source"), "Invalid source of an image", sentence(err))
		return source, nil, false
	}
	if source.ref == nil {
		return source, nil, true
	}
	registry := source.ref.Context().Registry
	if own := r.conn.images; own != nil && own.registry.Name() == registry.Name() {
		if settings.username != "" {
			own = own.as(settings.username, settings.password)
		}
		return source.at(own.registry), own, true
	}
	from, err := newSourceAccess(registry, settings, r.conn.userAgent, r.conn.maxRetries)
	if err != nil {
		diags.AddAttributeError(path.Root("source_ca_certificate"), "Invalid certificate", sentence(err))
		return source, nil, false
	}
	return source, from, true
}

// sourceAdvice says what can be done about a source that does not give what it
// is asked for.
func sourceAdvice(err error) string {
	var answer *transport.Error
	text := err.Error()
	switch {
	case errors.Is(err, errNoTLS) || strings.Contains(text, http.ErrSchemeMismatch.Error()):
		return "It speaks HTTP without TLS. If that is meant, set source_insecure = true."
	case strings.Contains(text, "x509:") && strings.Contains(text, "unknown authority"):
		return "Its certificate is not signed by an authority that this machine trusts. Set source_ca_certificate to the certificate of the authority that signed it."
	case !errors.As(err, &answer):
		return ""
	case answer.StatusCode == http.StatusUnauthorized || answer.StatusCode == http.StatusForbidden:
		return "Either there is no such image, or it takes a login: set source_auth, with a user who may pull it."
	case answer.StatusCode == http.StatusNotFound:
		return "There is no such image."
	case answer.StatusCode == http.StatusTooManyRequests:
		return "The source limits pulls. Log in with source_auth, or try later."
	}
	return ""
}
