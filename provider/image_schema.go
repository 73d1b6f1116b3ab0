package provider

import (
	"context"

	"github.com/hashicorp/terraform-plugin-framework-timeouts/resource/timeouts"
	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/int64default"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// What becomes of an image when its resource is destroyed.
const (
	destroyUntag    = "untag"
	destroyManifest = "delete_manifest"
	destroyKeep     = "keep"
)

const defaultParallel = 4

func imageSchema(ctx context.Context) schema.Schema {
	return schema.Schema{
		MarkdownDescription: "An image, or an index of images for several platforms, that is copied into the registry from another one, or from a folder or file on this machine. No Docker daemon is needed.\n\n" +
			"Layers that are there already are not sent again, and what another repository of this registry has is mounted from there. Every byte is verified by its digest. " +
			"When the tag at the source moves, the next plan shows it and apply copies again; when somebody else moves the tag here, the plan shows that, and apply moves it back. " +
			"A source that cannot be reached is a warning in a plan, not an error.",
		Attributes: merge(imageInputs(ctx), imageOutputs()),
	}
}

func imageInputs(ctx context.Context) map[string]schema.Attribute {
	identifies := []planmodifier.String{stringplanmodifier.RequiresReplace()}
	return map[string]schema.Attribute{
		"source": schema.StringAttribute{
			Required: true,
			MarkdownDescription: "Where the image comes from:\n\n" +
				"  - a reference as `docker pull` takes it, such as `docker.io/library/nginx:1.27` or `registry.example.com/team/app@sha256:…`; one with a digest never changes\n" +
				"  - `oci:FOLDER` or `oci:FOLDER:NAME`: an OCI image layout, as `skopeo`, `crane` and `docker buildx` write it\n" +
				"  - `docker-archive:FILE` or `docker-archive:FILE:NAME`: what `docker save` wrote. Its layers are compressed on the way, so that the digest is another one than where it was built.\n\n" +
				"  FOLDER and FILE cannot hold a colon; `${path.module}` is of use. NAME is needed where there are several images.",
			Validators: []validator.String{imageSourceRule()},
		},
		"repository": schema.StringAttribute{
			Required:            true,
			MarkdownDescription: "Name of the repository to copy to, such as `mirror/nginx`. A change makes another copy.",
			Validators:          []validator.String{repositoryRule()},
			PlanModifiers:       identifies,
		},
		"tag": schema.StringAttribute{
			Required:            true,
			MarkdownDescription: "Tag to give it there. A change makes another copy.",
			Validators:          []validator.String{tagRule()},
			PlanModifiers:       identifies,
		},
		"platforms": schema.SetAttribute{
			Optional: true, ElementType: types.StringType,
			MarkdownDescription: "Which platforms to copy of an index, as `OS/ARCHITECTURE` or `OS/ARCHITECTURE/VARIANT`, such as `linux/amd64`; without a variant, every variant. All must be there. " +
				"What remains is an index, also with one platform left, with the attestations of the images that remain; its digest is another one than at the source unless nothing was left out. For a single image, its one platform. Defaults to all.",
			Validators: []validator.Set{
				setvalidator.SizeAtLeast(1),
				setvalidator.NoNullValues(),
				setvalidator.ValueStringsAre(stringRule{"must be OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT", "Invalid platform", func(s string) error {
					_, err := parsePlatform(s)
					return err
				}}),
			},
		},
		"source_auth": sourceAuthSchema(),
		"source_insecure": schema.BoolAttribute{
			Optional: true, Computed: true,
			Default:             booldefault.StaticBool(false),
			MarkdownDescription: "Whether to speak to the source's registry without TLS, or without verifying its certificate. Anyone on the way can then read `source_auth` and change the image. A registry on this machine needs no TLS. Defaults to `false`.",
		},
		"source_ca_certificate": schema.StringAttribute{
			Optional:            true,
			MarkdownDescription: "Certificates in PEM that are trusted for the source's registry besides the system's.",
			Validators:          []validator.String{caBundleRule()},
		},
		"parallel": schema.Int64Attribute{
			Optional: true, Computed: true,
			Default:             int64default.StaticInt64(defaultParallel),
			MarkdownDescription: "How many layers are copied at a time, from 1 to 16. Defaults to `4`.",
			Validators:          []validator.Int64{int64validator.Between(1, 16)},
		},
		"on_destroy": schema.StringAttribute{
			Optional: true, Computed: true,
			Default: stringdefault.StaticString(destroyUntag),
			MarkdownDescription: "What a destroy removes:\n\n" +
				"  - `untag`: the tag; the image stays under its digest, and under other tags\n" +
				"  - `delete_manifest`: the image by its digest. **Every other tag of the repository that points at it goes, too**\n" +
				"  - `keep`: nothing.\n\n" +
				"  It counts as it was last applied. Defaults to `untag`.",
			Validators: []validator.String{stringvalidator.OneOf(destroyUntag, destroyManifest, destroyKeep)},
		},
		"timeouts": copyTimeouts(ctx),
	}
}

func sourceAuthSchema() schema.SingleNestedAttribute {
	return schema.SingleNestedAttribute{
		Optional:            true,
		MarkdownDescription: "How to log in to the source's registry; only that one, and the token service that it names, ever sees it. Defaults to no login, or, where the source is the provider's own registry, to the provider's.",
		Attributes: map[string]schema.Attribute{
			"username": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the user.",
				Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"password_wo": schema.StringAttribute{
				Required: true, Sensitive: true, WriteOnly: true,
				MarkdownDescription: "Password or access token. It is never kept in plan or state and may be ephemeral. It is used whenever the source is looked at.",
				Validators:          []validator.String{stringvalidator.LengthAtLeast(1)},
			},
			"password_wo_version": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "Version of `password_wo`: any number, to note a change of it. It copies nothing.",
				Validators:          []validator.Int64{int64validator.AlsoRequires(path.MatchRelative().AtParent().AtName("password_wo"))},
			},
		},
	}
}

func copyTimeouts(ctx context.Context) schema.Attribute {
	const most = "How long the copy may take, as a duration such as `90s` or `2h`. Defaults to `1h`."
	attribute := timeouts.Attributes(ctx, timeouts.Opts{Create: true, Update: true, CreateDescription: most, UpdateDescription: most})
	if nested, ok := attribute.(schema.SingleNestedAttribute); ok {
		nested.MarkdownDescription = "How long Terraform waits."
		return nested
	}
	return attribute
}

func imageOutputs() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"digest": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "Digest that the tag points at here.",
		},
		"source_digest": schema.StringAttribute{
			Computed:            true,
			MarkdownDescription: "Digest at the source of what was copied; for `docker-archive:`, which has none, the image's id.",
		},
		"size_bytes": schema.Int64Attribute{
			Computed:            true,
			MarkdownDescription: "Size of manifests, configurations and layers together, each counted once.",
		},
		"platforms_copied": schema.SetAttribute{
			Computed: true, ElementType: types.StringType,
			MarkdownDescription: "Platforms of the copy, as in `platforms`.",
		},
	}
}
