package provider

import (
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/setdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func replicationNameRule() stringRule {
	return ofOCI("replication name", oci.ParseReplicationName)
}

// destinationRule leaves it to ValidateConfig what insecure forbids.
func destinationRule() stringRule {
	return ofOCI("URL of a destination", func(s string) (oci.Upstream, error) { return oci.ParseDestination(s, true) })
}

func replicationSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "Replication to another registry: what is pushed from then on is copied there under the same name and tag, images and indexes with all that is in them, and what refers to them, such as signatures. " +
			"What waits to be copied lies in the storage and is tried for 24 hours, whatever happens to the server or the destination. A tag that moves meanwhile arrives as what it is by then. Deletions are not replicated, and neither is what was there before: `registryserver copy` copies that once.\n\n" +
			"Removing the resource leaves at the destination what was copied.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the replication: 1 to 64 lower-case letters, digits, `.`, `_` and `-`. A change makes another replication.",
				Validators:          []validator.String{replicationNameRule()},
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"url": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "The registry that is copied to, such as `https://registry.example.com`. What follows the host is put before the names of repositories: with `https://registry.example.com/mirror`, `team/app` arrives as `mirror/team/app`.",
				Validators:          []validator.String{destinationRule()},
			},
			"insecure": schema.BoolAttribute{
				Optional: true, Computed: true,
				Default:             booldefault.StaticBool(false),
				MarkdownDescription: "Whether `url` may be `http://` to another machine than the server's, so that images and the login travel in the clear. Defaults to `false`.",
			},
			"repositories": schema.SetAttribute{
				Optional: true, Computed: true,
				ElementType:         types.StringType,
				Default:             setdefault.StaticValue(types.SetValueMust(types.StringType, nil)),
				MarkdownDescription: fmt.Sprintf("Globs of the repositories to copy, at most %d, as in `registry_policy`. Defaults to none, which is all.", oci.MaxReplicationGlobs),
				Validators: []validator.Set{
					setvalidator.SizeAtMost(oci.MaxReplicationGlobs),
					setvalidator.ValueStringsAre(globRule()),
					setvalidator.NoNullValues(),
				},
			},
			"tags": schema.SetAttribute{
				Optional: true, Computed: true,
				ElementType:         types.StringType,
				Default:             setdefault.StaticValue(types.SetValueMust(types.StringType, nil)),
				MarkdownDescription: fmt.Sprintf("Patterns of the tags to copy, at most %d, in which `*` stands for any run of characters. What refers to an image that is copied is copied, too; tags that are made of digests, as cosign's, need the pattern `sha256-*`. Defaults to none, which is every tag, and what is pushed without one.", oci.MaxTagPatterns),
				Validators: []validator.Set{
					setvalidator.SizeAtMost(oci.MaxTagPatterns),
					setvalidator.ValueStringsAre(tagPatternRule()),
					setvalidator.NoNullValues(),
				},
			},
			"username": schema.StringAttribute{
				Optional: true, Computed: true,
				Default:             stringdefault.StaticString(""),
				MarkdownDescription: "Whom the server logs in as at the destination. Defaults to empty: it does not log in.",
			},
			"password_wo": schema.StringAttribute{
				Optional: true, Sensitive: true, WriteOnly: true,
				MarkdownDescription: "Password or access token of `username`, never kept in plan or state; it may be ephemeral. It is sent when `password_wo_version`, `username` or `url` changes, and goes to the destination alone. The server keeps it sealed, and needs an `http.secret` for that.",
				Validators: []validator.String{
					stringvalidator.LengthAtLeast(1),
					stringvalidator.AlsoRequires(path.MatchRoot("password_wo_version"), path.MatchRoot("username")),
				},
			},
			"password_wo_version": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "Version of `password_wo`: any number; change it to set the password again.",
				Validators:          []validator.Int64{int64validator.AlsoRequires(path.MatchRoot("password_wo"))},
			},
			"enabled": schema.BoolAttribute{
				Optional: true, Computed: true,
				Default:             booldefault.StaticBool(true),
				MarkdownDescription: "Whether anything is copied. What is pushed while it is off never is, and what waited when it is switched off is not, either. Defaults to `true`.",
			},
		},
	}
}
