package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// copy copies the image, points the tag at it, and fills in the outputs. was is
// where the tag points now; zero for nowhere.
func (r *imageResource) copy(ctx context.Context, plan *imageModel, config imageModel, was oci.Digest, diags *diag.Diagnostics) {
	c, digest := r.openSource(ctx, plan, config, diags)
	if diags.HasError() {
		return
	}
	action := fmt.Sprintf("copy %s to %q", plan.Source.ValueString(), plan.name())
	plan.Digest, plan.SourceDigest = types.StringValue(digest.String()), types.StringValue(c.source)
	if err := r.conn.images.copy(ctx, c, plan.Repository.ValueString(), int(plan.Parallel.ValueInt64())); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w; what was copied stays for the next apply, and timeouts allows for more time", err)
		}
		r.conn.addAPIError(diags, action, needPush, err)
		return
	}
	if err := r.tag(ctx, plan.name(), digest, was); err != nil {
		if oci.ErrorCode(err) == oci.CodePreconditionFailed && was.IsZero() {
			addExists(diags, "tag", "registry_image", plan.name().String())
			return
		}
		r.conn.addAPIError(diags, action, needPush, err)
		return
	}
}

// tag points the tag at the digest. A server that fails may have done it all
// the same.
func (r *imageResource) tag(ctx context.Context, n tagName, d, was oci.Digest) error {
	api, repository, tag := r.conn.client, n.Repository.ValueString(), n.Tag.ValueString()
	var err error
	if was.IsZero() {
		_, err = api.CreateTag(ctx, repository, tag, d)
	} else {
		_, err = api.PutTag(ctx, repository, tag, d, was)
	}
	if err != nil {
		if now, again := api.GetTag(ctx, repository, tag); again == nil && now.Digest == d {
			return nil
		}
	}
	return err
}

// openSource opens what is to be copied, cut down to the platforms, describes it
// in the plan, and returns its digest.
func (r *imageResource) openSource(ctx context.Context, plan *imageModel, config imageModel, diags *diag.Diagnostics) (content, oci.Digest) {
	source, from, known := r.source(ctx, config, diags)
	if !known && !diags.HasError() {
		diags.AddError("The source is not known", "A value that says where the image comes from is still unknown. This is a bug of the provider; please report it.")
	}
	if diags.HasError() {
		return content{}, oci.Digest{}
	}
	v := values{ctx: ctx, diags: diags}
	var wanted []platform
	for _, text := range v.set(plan.Platforms) {
		if p, err := parsePlatform(text); err == nil {
			wanted = append(wanted, p)
		}
	}
	var digest oci.Digest
	c, err := source.open(ctx, from, "")
	if err == nil {
		c, err = c.only(wanted)
	}
	if err == nil {
		digest, err = c.digest()
	}
	if err == nil { // before there is a tag that a failure would leave behind
		err = plan.describe(ctx, c, diags)
	}
	if err != nil {
		detail := fmt.Sprintf("%s: %s", source.text, phrase(err))
		if advice := sourceAdvice(err); advice != "" {
			detail += "\n\n" + advice
		}
		diags.AddAttributeError(path.Root("source"), "Could not read the source of the image", detail)
	}
	return c, digest
}

func (c content) digest() (oci.Digest, error) {
	hash, err := c.pushed().Digest()
	if err != nil {
		return oci.Digest{}, err
	}
	return oci.ParseDigest(hash.String())
}

// describe fills in what the manifests say.
func (m *imageModel) describe(ctx context.Context, c content, diags *diag.Diagnostics) error {
	facts, err := c.facts()
	if err != nil {
		return err
	}
	v := values{ctx: ctx, diags: diags}
	m.SizeBytes, m.PlatformsCopied = types.Int64Value(facts.size), v.setOf(facts.platforms, false)
	return nil
}
