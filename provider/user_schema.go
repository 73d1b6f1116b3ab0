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

func userSchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "A user that the registry server keeps. It logs in with a password (`docker login`) and may do what its policies allow, and nothing else.\n\n" +
			"Give the password in one of three ways: `password_wo`, which never reaches plan or state; `password`, which is kept in the state; or `password_hash`, so that not even Terraform knows it. " +
			"A password that somebody else has changed shows in the next plan, which sets it again. With none of the three, Terraform leaves the password alone, and a new user cannot log in until it has one.",
		Attributes: map[string]schema.Attribute{
			"username": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the user: 1 to 128 letters, digits, `.`, `_`, `@`, `+` and `-`, beginning with a letter or digit and ending with one or `_`. A change makes another user.",
				Validators:          []validator.String{usernameRule()},
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"password": schema.StringAttribute{
				Optional: true, Sensitive: true,
				MarkdownDescription: "Password, of 8 to 72 bytes (bcrypt reads no more). It is kept in the state; prefer `password_wo`. At most one of `password`, `password_wo` and `password_hash` may be set.",
				Validators: []validator.String{
					passwordRule(),
					stringvalidator.ConflictsWith(path.MatchRoot("password_wo"), path.MatchRoot("password_hash")),
				},
			},
			"password_wo": schema.StringAttribute{
				Optional: true, Sensitive: true, WriteOnly: true,
				MarkdownDescription: "Password as for `password`, but never kept in plan or state; it may be ephemeral. It is sent when `password_wo_version` changes.",
				Validators: []validator.String{
					passwordRule(),
					stringvalidator.ConflictsWith(path.MatchRoot("password_hash")),
					stringvalidator.AlsoRequires(path.MatchRoot("password_wo_version")),
				},
			},
			"password_wo_version": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "Version of `password_wo`: any number; change it to set the password again.",
				Validators:          []validator.Int64{int64validator.AlsoRequires(path.MatchRoot("password_wo"))},
			},
			"password_hash": schema.StringAttribute{
				Optional: true, Sensitive: true,
				MarkdownDescription: "bcrypt hash of the password, of cost 4 to 15, as `htpasswd -nBC 10 USER` makes: neither Terraform nor the server sees the password itself.",
				Validators:          []validator.String{passwordHashRule()},
			},
			"policies": schema.SetAttribute{
				Optional: true, Computed: true,
				ElementType:         types.StringType,
				Default:             setdefault.StaticValue(types.SetValueMust(types.StringType, nil)),
				MarkdownDescription: "Names of the policies that say what the user may do: `registry_policy` resources, or the built-in `admin` (everything, also managing users), `read-write` (pull, push and delete everywhere) and `read-only` (pull everywhere). Defaults to none: the user may do nothing.",
				Validators: []validator.Set{
					setvalidator.SizeAtMost(oci.MaxPoliciesPerUser),
					setvalidator.ValueStringsAre(policyNameRule()),
					setvalidator.NoNullValues(),
				},
			},
			"enabled": schema.BoolAttribute{
				Optional: true, Computed: true,
				Default:             booldefault.StaticBool(true),
				MarkdownDescription: "Whether the user can log in. Defaults to `true`.",
			},
			"description": schema.StringAttribute{
				Optional: true, Computed: true,
				Default:             stringdefault.StaticString(""),
				MarkdownDescription: "What the user is for, for people who read it, in at most " + fmt.Sprint(oci.MaxDescriptionBytes) + " bytes. Defaults to empty.",
				Validators:          []validator.String{descriptionRule()},
			},
		},
	}
}
