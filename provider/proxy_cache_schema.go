package provider

import (
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64default"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// defaultRevalidation is after how many seconds a tag is looked at again.
const defaultRevalidation = 600

func proxyCacheSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "A pull-through cache: repositories whose names begin with a prefix are fetched from another registry when they are pulled, once for all who pull them, and served while that registry is down or limits pulls. They take no pushes. " +
			"Who may pull them is said by policies (`registry_policy`), as for any repository.\n\n" +
			"Removing the resource leaves what was fetched, as ordinary repositories.",
		Attributes: map[string]schema.Attribute{
			"prefix": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "What the names of the repositories begin with, without the slash that follows, such as `docker.io`: `docker.io/team/app` is then `team/app` of the upstream. Of several caches, the longest prefix counts. A change makes another cache.",
				Validators:          []validator.String{proxyPrefixRule()},
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"upstream_url": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "The registry that is cached, such as `https://registry-1.docker.io`. What follows the host is put before the names of repositories. `docker.io` stands for `registry-1.docker.io`, whose official images are found without `library/`, too. Over `http://`, nobody can log in, except on the machine of the server.",
				Validators:          []validator.String{upstreamRule()},
			},
			"username": schema.StringAttribute{
				Optional: true, Computed: true,
				Default:             stringdefault.StaticString(""),
				MarkdownDescription: "Whom the server logs in as at the upstream. Defaults to empty: it does not log in.",
			},
			"password_wo": schema.StringAttribute{
				Optional: true, Sensitive: true, WriteOnly: true,
				MarkdownDescription: "Password or access token of `username`, never kept in plan or state; it may be ephemeral. It is sent when `password_wo_version`, `username` or `upstream_url` changes, and goes to the upstream alone. The server keeps it sealed, and needs an `http.secret` for that.",
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
			"revalidate_after_seconds": schema.Int64Attribute{
				Optional: true, Computed: true,
				Default:             int64default.StaticInt64(defaultRevalidation),
				MarkdownDescription: fmt.Sprintf("After what time a tag that is pulled is looked at again in the upstream, up to a year; `0` looks each time. What is pulled by digest never is. Defaults to `%d`.", defaultRevalidation),
				Validators:          []validator.Int64{int64validator.Between(0, oci.MaxRevalidateAfterSeconds)},
			},
			"max_size_bytes": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "To how many bytes garbage collections hold what the cache keeps: they evict the images that were pulled longest ago, but for those stored within `gc.grace`. Layers that several images have count once. Between collections the cache may be larger. Without it, there is no bound.",
				Validators:          []validator.Int64{int64validator.AtLeast(1)},
			},
		},
	}
}

func proxyPrefixRule() stringRule { return ofOCI("prefix", oci.ParseProxyPrefix) }
func upstreamRule() stringRule    { return ofOCI("URL of an upstream", oci.ParseUpstream) }
