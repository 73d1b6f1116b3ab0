package provider

import (
	"context"
	"encoding/json"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/resource/identityschema"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

// nameIdentity is the identity of a resource that its name alone identifies.
func nameIdentity(attribute, description string) identityschema.Schema {
	return identityschema.Schema{Attributes: map[string]identityschema.Attribute{
		attribute: identityschema.StringAttribute{RequiredForImport: true, Description: description},
	}}
}

// importByName takes the name from the id or the identity and leaves the rest
// to Read. What cannot be a name is refused here, so that the message is not
// about a missing object.
func importByName(ctx context.Context, attribute string, rule stringRule, req resource.ImportStateRequest, resp *resource.ImportStateResponse) {
	if req.ID != "" {
		if err := rule.check(req.ID); err != nil {
			resp.Diagnostics.AddError("Invalid import id", sentence(err))
			return
		}
	}
	at := path.Root(attribute)
	resource.ImportStatePassthroughWithIdentity(ctx, at, at, req, resp)
}

// The keys of what a resource keeps beside its state, out of sight: which
// revision of the object, and of its password, Terraform has last seen or set.
const (
	revisionKey   = "revision"
	credentialKey = "credential_revision"
)

// private is the private state of a resource.
type private interface {
	GetKey(ctx context.Context, key string) ([]byte, diag.Diagnostics)
	SetKey(ctx context.Context, key string, value []byte) diag.Diagnostics
}

func recall(ctx context.Context, p private, key string, diags *diag.Diagnostics) string {
	value, more := p.GetKey(ctx, key)
	diags.Append(more...)
	var text string
	if value != nil && json.Unmarshal(value, &text) != nil {
		return ""
	}
	return text
}

func keep(ctx context.Context, p private, key, text string, diags *diag.Diagnostics) {
	value, err := json.Marshal(text)
	if err != nil {
		diags.AddError("Could not encode private state", sentence(err))
		return
	}
	diags.Append(p.SetKey(ctx, key, value)...)
}

func remember(ctx context.Context, p private, user client.User, diags *diag.Diagnostics) {
	keep(ctx, p, revisionKey, user.Revision, diags)
	keep(ctx, p, credentialKey, user.CredentialRevision, diags)
}
