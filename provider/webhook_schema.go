package provider

import (
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/int64validator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/stringvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
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

func webhookNameRule() stringRule { return ofOCI("webhook name", oci.ParseWebhookName) }

func webhookSecretRule() stringRule {
	return stringRule{"must be 16 to 4096 bytes long", "Invalid secret", oci.CheckWebhookSecret}
}

func webhookAuthorizationRule() stringRule {
	return stringRule{"must be the value of a header", "Invalid authorization", oci.CheckWebhookAuthorization}
}

func webhookSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "A webhook: the server sends a POST for what happens to images, to an URL of your choice. " +
			"Events of pushes and deletions wait in the storage until the receiver answers with a status of 2xx, also through restarts of the server; a failure is tried again after 1 second, later after up to 5 minutes, for a day. A receiver may get an event more than once; the header `Webhook-Id` tells.\n\n" +
			"With a secret, deliveries are signed as [Standard Webhooks](https://www.standardwebhooks.com) has it, in the header `Webhook-Signature`. The server needs an `http.secret` to seal `secret` and `authorization` with; it never shows them again. " +
			"One that somebody else has changed shows in the next plan, which sets it again.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the webhook: 1 to 64 lower-case letters, digits, `.`, `_` and `-`, beginning and ending with a letter or digit. A change makes another webhook.",
				Validators:          []validator.String{webhookNameRule()},
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"url": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Where events are sent to: an absolute `https` or `http` URL without user name, password and fragment. Redirects are not followed. Whoever may manage webhooks sees it; a token belongs into `authorization_wo`.",
				Validators:          []validator.String{ofOCI("URL of a webhook", oci.ParseWebhookURL)},
			},
			"format": schema.StringAttribute{
				Optional: true, Computed: true,
				Default:             stringdefault.StaticString("distribution"),
				MarkdownDescription: "How an event is written: `distribution`, the notifications of CNCF distribution (`application/vnd.docker.distribution.events.v2+json`), or `cloudevents`, CloudEvents 1.0 in structured JSON. Defaults to `distribution`.",
				Validators:          []validator.String{ofOCI("format", oci.ParseWebhookFormat)},
			},
			"repositories": schema.SetAttribute{
				Optional: true, Computed: true,
				ElementType:         types.StringType,
				Default:             setdefault.StaticValue(types.SetValueMust(types.StringType, nil)),
				MarkdownDescription: fmt.Sprintf("Globs of the repositories to tell of, at most %d, as in `registry_policy`. Defaults to none, which is all.", oci.MaxWebhookGlobs),
				Validators: []validator.Set{
					setvalidator.SizeAtMost(oci.MaxWebhookGlobs),
					setvalidator.ValueStringsAre(globRule()),
					setvalidator.NoNullValues(),
				},
			},
			"actions": schema.SetAttribute{
				Optional: true, Computed: true,
				ElementType:         types.StringType,
				Default:             setdefault.StaticValue(types.SetValueMust(types.StringType, []attr.Value{types.StringValue("push"), types.StringValue("delete")})),
				MarkdownDescription: "What to tell of: `push` and `delete` of manifests and tags, and of whole repositories; `pull` of manifests; `mount` of blobs from another repository. Pulls and mounts wait in the memory of a server only. Defaults to `push` and `delete`.",
				Validators: []validator.Set{
					setvalidator.SizeAtLeast(1),
					setvalidator.ValueStringsAre(ofOCI("action", oci.ParseWebhookAction)),
					setvalidator.NoNullValues(),
				},
			},
			"blobs": schema.BoolAttribute{
				Optional: true, Computed: true,
				Default:             booldefault.StaticBool(false),
				MarkdownDescription: "Whether to tell of pushes, pulls and deletions of blobs as well, from the memory of a server only. Defaults to `false`.",
			},
			"enabled": schema.BoolAttribute{
				Optional: true, Computed: true,
				Default:             booldefault.StaticBool(true),
				MarkdownDescription: "Whether events are sent. Those of a time when it is `false`, and those that wait then, are not delivered later. Defaults to `true`.",
			},
			"description": schema.StringAttribute{
				Optional: true, Computed: true,
				Default:             stringdefault.StaticString(""),
				MarkdownDescription: "What the webhook is for, for people who read it, in at most " + fmt.Sprint(oci.MaxDescriptionBytes) + " bytes. Defaults to empty.",
				Validators:          []validator.String{descriptionRule()},
			},
			"secret": schema.StringAttribute{
				Optional: true, Sensitive: true,
				MarkdownDescription: "Secret that signs deliveries: 16 bytes or more of any text, or `whsec_` and base64. It is kept in the state; prefer `secret_wo`. With neither, deliveries are not signed.",
				Validators:          []validator.String{webhookSecretRule(), stringvalidator.ConflictsWith(path.MatchRoot("secret_wo"))},
			},
			"secret_wo": schema.StringAttribute{
				Optional: true, Sensitive: true, WriteOnly: true,
				MarkdownDescription: "The same as `secret`, but never kept in plan or state; it may be ephemeral. It is sent when `secret_wo_version` changes.",
				Validators:          []validator.String{webhookSecretRule(), stringvalidator.AlsoRequires(path.MatchRoot("secret_wo_version"))},
			},
			"secret_wo_version": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "Version of `secret_wo`: any number; change it to set the secret again.",
				Validators:          []validator.Int64{int64validator.AlsoRequires(path.MatchRoot("secret_wo"))},
			},
			"authorization": schema.StringAttribute{
				Optional: true, Sensitive: true,
				MarkdownDescription: "Value of the header `Authorization` of deliveries, such as `Bearer TOKEN`. It is kept in the state; prefer `authorization_wo`. With neither, there is no such header.",
				Validators:          []validator.String{webhookAuthorizationRule(), stringvalidator.ConflictsWith(path.MatchRoot("authorization_wo"))},
			},
			"authorization_wo": schema.StringAttribute{
				Optional: true, Sensitive: true, WriteOnly: true,
				MarkdownDescription: "The same as `authorization`, but never kept in plan or state; it may be ephemeral. It is sent when `authorization_wo_version` changes.",
				Validators:          []validator.String{webhookAuthorizationRule(), stringvalidator.AlsoRequires(path.MatchRoot("authorization_wo_version"))},
			},
			"authorization_wo_version": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "Version of `authorization_wo`: any number; change it to set the header again.",
				Validators:          []validator.Int64{int64validator.AlsoRequires(path.MatchRoot("authorization_wo"))},
			},
			"has_secret": schema.BoolAttribute{
				Computed:            true,
				MarkdownDescription: "Whether deliveries are signed. It follows `secret` and `secret_wo`; where somebody else has set or removed the secret, the plan shows it.",
			},
			"has_authorization": schema.BoolAttribute{
				Computed:            true,
				MarkdownDescription: "Whether deliveries have an `Authorization` header, as `has_secret`.",
			},
		},
	}
}
