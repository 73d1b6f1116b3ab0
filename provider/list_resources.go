package provider

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/list"
	"github.com/hashicorp/terraform-plugin-framework/list/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

var _ list.ListResourceWithConfigure = (*listResource[client.User])(nil)

// listResource is what `terraform query` asks for the objects of a kind that
// there are: those of its resource, so that they can be imported.
type listResource[T any] struct {
	conn *connection

	resource string // its type name, which is the list's, too
	all      string // "users"
	need     string // the right that reading them takes
	glob     string // how name_glob is written
	rule     validator.String
	// items yields those that the glob matches, or all if it is null, and that a
	// resource can have.
	items    func(ctx context.Context, api *client.Client, glob types.String) iter.Seq2[T, error]
	name     func(T) string
	identity func(T) any
	model    func(ctx context.Context, item T, diags *diag.Diagnostics) any
}

type listModel struct {
	NameGlob types.String `tfsdk:"name_glob"`
}

const nameGlobSyntax = "Pattern of names: `*` stands for any run of characters, `?` for one, `[a-z]` for one of a set. Defaults to all."

func userList() list.ListResource {
	name := func(u client.User) string { return u.Username }
	return &listResource[client.User]{
		resource: "registry_user", all: "users", need: needUsers, glob: nameGlobSyntax, rule: nameGlobRule(),
		items: func(ctx context.Context, api *client.Client, glob types.String) iter.Seq2[client.User, error] {
			return chosen(api.ListUsers(ctx), func(u client.User) bool { return nameMatches(glob, name(u)) })
		},
		name:     name,
		identity: func(u client.User) any { return userIdentity{types.StringValue(u.Username)} },
		model: func(ctx context.Context, u client.User, diags *diag.Diagnostics) any {
			var m userModel
			m.observe(ctx, u, diags)
			return &m
		},
	}
}

func policyList() list.ListResource {
	name := func(p client.Policy) string { return p.Name }
	return &listResource[client.Policy]{
		resource: "registry_policy", all: "policies", need: needPolicies, glob: nameGlobSyntax, rule: nameGlobRule(),
		items: func(ctx context.Context, api *client.Client, glob types.String) iter.Seq2[client.Policy, error] {
			return chosen(api.ListPolicies(ctx), func(p client.Policy) bool { return !p.BuiltIn && nameMatches(glob, name(p)) })
		},
		name:     name,
		identity: func(p client.Policy) any { return policyIdentity{types.StringValue(p.Name)} },
		model: func(ctx context.Context, p client.Policy, diags *diag.Diagnostics) any {
			m := policyModel{Rules: types.ListNull(ruleType())}
			m.observe(ctx, p, diags)
			return &m
		},
	}
}

func webhookList() list.ListResource {
	name := func(h client.Webhook) string { return h.Name }
	return &listResource[client.Webhook]{
		resource: "registry_webhook", all: "webhooks", need: needWebhooks, glob: nameGlobSyntax, rule: nameGlobRule(),
		items: func(ctx context.Context, api *client.Client, glob types.String) iter.Seq2[client.Webhook, error] {
			return chosen(api.ListWebhooks(ctx), func(h client.Webhook) bool { return nameMatches(glob, name(h)) })
		},
		name:     name,
		identity: func(h client.Webhook) any { return webhookIdentity{types.StringValue(h.Name)} },
		model: func(ctx context.Context, h client.Webhook, diags *diag.Diagnostics) any {
			var m webhookModel
			m.observe(ctx, h, diags)
			return &m
		},
	}
}

func repositoryList() list.ListResource {
	return &listResource[client.Repository]{
		resource: "registry_repository", all: "repositories", need: needRepositories, rule: globRule(),
		glob:     "Glob of repository names: `*` stands for anything within one part of a name, `**` for anything, `/` included. Defaults to all.",
		items:    matching,
		name:     func(r client.Repository) string { return r.Name },
		identity: func(r client.Repository) any { return repositoryIdentity{types.StringValue(r.Name)} },
		model: func(ctx context.Context, r client.Repository, diags *diag.Diagnostics) any {
			var m repositoryModel
			m.observe(ctx, r, diags)
			return &m
		},
	}
}

// chosen yields the items that are wanted, and ends at the first error.
func chosen[T any](all iter.Seq2[T, error], want func(T) bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for item, err := range all {
			if (err != nil || want(item)) && !yield(item, err) {
				return
			}
		}
	}
}

// nameMatches reports whether a glob matches a name; null matches every one.
func nameMatches(glob types.String, name string) bool {
	matches, err := path.Match(glob.ValueString(), name)
	return glob.IsNull() || err == nil && matches
}

func (l *listResource[T]) Metadata(_ context.Context, _ resource.MetadataRequest, resp *resource.MetadataResponse) {
	resp.TypeName = l.resource
}

func (l *listResource[T]) ListResourceConfigSchema(_ context.Context, _ list.ListResourceSchemaRequest, resp *list.ListResourceSchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: fmt.Sprintf("The %s of the registry server that `%s` can manage, for `terraform query`.", l.all, l.resource),
		Attributes: map[string]schema.Attribute{
			"name_glob": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: l.glob,
				Validators:          []validator.String{l.rule},
			},
		},
	}
}

func (l *listResource[T]) Configure(_ context.Context, req resource.ConfigureRequest, resp *resource.ConfigureResponse) {
	l.conn = connect(req.ProviderData, &resp.Diagnostics)
}

// List streams what there is, up to the limit.
func (l *listResource[T]) List(ctx context.Context, req list.ListRequest, stream *list.ListResultsStream) {
	var m listModel
	diags := req.Config.Get(ctx, &m)
	api := l.conn.api(&diags)
	if diags.HasError() {
		stream.Results = list.ListResultsStreamDiagnostics(diags)
		return
	}
	stream.Results = func(push func(list.ListResult) bool) {
		var pushed int64
		for item, err := range l.items(ctx, api, m.NameGlob) {
			if err != nil {
				var diags diag.Diagnostics
				l.conn.addAPIError(&diags, "list the "+l.all, l.need, err)
				push(list.ListResult{Diagnostics: diags})
				return
			}
			if req.Limit > 0 && pushed >= req.Limit || !push(l.result(ctx, req, item)) {
				return
			}
			pushed++
		}
	}
}

func (l *listResource[T]) result(ctx context.Context, req list.ListRequest, item T) list.ListResult {
	result := req.NewListResult(ctx)
	result.DisplayName = l.name(item)
	result.Diagnostics.Append(result.Identity.Set(ctx, l.identity(item))...)
	if req.IncludeResource {
		model := l.model(ctx, item, &result.Diagnostics)
		result.Diagnostics.Append(result.Resource.Set(ctx, model)...)
	}
	return result
}

// nameGlobRule checks a pattern of names.
func nameGlobRule() stringRule {
	return stringRule{"must be a pattern of names", "Invalid pattern", func(s string) error {
		if _, err := path.Match(s, ""); err != nil || s == "" {
			return errors.New("the pattern is malformed; write * for any run of characters, ? for one, and [a-z] for one of a set, with a closing bracket")
		}
		return nil
	}}
}
