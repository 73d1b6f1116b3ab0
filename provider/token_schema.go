package provider

import (
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework/ephemeral/schema"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func tokenSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "A short-lived token of a user, which Terraform gets when it needs one and revokes when it does not any more. It is never kept in plan or state. " +
			"It is the user's password wherever one is asked for (`docker login`), or a bearer token, and may do what the user's policies allow at the time. Any other token or password of the user stays as it is.\n\n" +
			"It does not outlive the run: it is for providers that pull or push meanwhile. What goes on later, such as a pull secret in Kubernetes, needs a user with a password.\n\n" +
			"Terraform opens ephemeral resources during plan as well as during apply, each time with another token. Where the same run makes the user, take `username` from something that is known only once the user is there, as the example does.",
		Attributes: map[string]schema.Attribute{
			"username": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the user, one that the server keeps and that is enabled. It needs no password.",
				Validators:          []validator.String{usernameRule()},
			},
			"ttl": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "For how long the token is good if Terraform does not come to revoke it, as a duration such as `15m`, from `1m` to `2160h` (90 days). It cannot be renewed: it has to be longer than the run. Defaults to `1h`.",
				Validators: []validator.String{stringRule{"must be a duration from 1m to 2160h", "Invalid duration", func(s string) error {
					_, err := parseTokenTTL(s)
					return err
				}}},
			},
			"description": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "What the token is for, for people who read the list of tokens. Defaults to a text that names Terraform.",
				Validators:          []validator.String{descriptionRule()},
			},
			"access": schema.ListNestedAttribute{
				Optional:            true,
				MarkdownDescription: fmt.Sprintf("What the token is narrowed to, within what the user may do: 1 to %d rules. Without it, the token may do all that the user may.", oci.MaxRules),
				Validators:          []validator.List{listvalidator.SizeBetween(1, oci.MaxRules), listvalidator.NoNullValues()},
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"repositories": schema.SetAttribute{
						Required:            true,
						ElementType:         types.StringType,
						MarkdownDescription: fmt.Sprintf("Globs of repository names, 1 to %d, as in a policy.", oci.MaxGlobsPerRule),
						Validators: []validator.Set{
							setvalidator.SizeBetween(1, oci.MaxGlobsPerRule),
							setvalidator.ValueStringsAre(globRule()),
							setvalidator.NoNullValues(),
						},
					},
					"actions": schema.SetAttribute{
						Required:            true,
						ElementType:         types.StringType,
						MarkdownDescription: "What is allowed there: `pull`, `push`, `delete`.",
						Validators: []validator.Set{
							setvalidator.SizeAtLeast(1),
							setvalidator.ValueStringsAre(actionRule()),
							setvalidator.NoNullValues(),
						},
					},
				}},
			},
			"id":         schema.StringAttribute{Computed: true, MarkdownDescription: "Id of the token in the server's list and log. It is not secret."},
			"token":      schema.StringAttribute{Computed: true, Sensitive: true, MarkdownDescription: "The token."},
			"expires_at": schema.StringAttribute{Computed: true, MarkdownDescription: "When the token ends at the latest, as RFC 3339 in UTC."},
			"docker_config_json": schema.StringAttribute{
				Computed: true, Sensitive: true,
				MarkdownDescription: "Content of a `config.json` of docker that logs in to the provider's endpoint with the token, for programs that the run starts.",
			},
		},
	}
}
