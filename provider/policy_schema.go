package provider

import (
	"fmt"
	"slices"

	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/booldefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func policySchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "A policy: a named list of rules, each of which allows actions on the repositories that its globs match. A user (`registry_user`) may do what any of its policies allows. " +
			"The policies `admin`, `read-write` and `read-only` are built in and need no resource.\n\n" +
			"A policy that a user has cannot be removed, so a rename, which makes another policy, needs `lifecycle { create_before_destroy = true }`.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: "Name of the policy: 1 to 64 lower-case letters, digits, `.`, `_` and `-`, beginning and ending with a letter or digit. A change makes another policy.",
				Validators:          []validator.String{policyNameRule(), ownPolicyRule()},
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"description": schema.StringAttribute{
				Optional: true, Computed: true,
				Default:             stringdefault.StaticString(""),
				MarkdownDescription: "What the policy is for, for people who read it, in at most " + fmt.Sprint(oci.MaxDescriptionBytes) + " bytes. Defaults to empty.",
				Validators:          []validator.String{descriptionRule()},
			},
			"rules": schema.ListNestedAttribute{
				Required:            true,
				MarkdownDescription: fmt.Sprintf("What the policy allows: 1 to %d rules, whose order does not matter.", oci.MaxRules),
				Validators:          []validator.List{listvalidator.SizeBetween(1, oci.MaxRules), listvalidator.NoNullValues()},
				NestedObject: schema.NestedAttributeObject{Attributes: map[string]schema.Attribute{
					"repositories": schema.SetAttribute{
						Required:            true,
						ElementType:         types.StringType,
						MarkdownDescription: fmt.Sprintf("Globs of repository names, 1 to %d: `*` stands for anything within one part of a name, `**` for anything, `/` included. `team/*` matches `team/app` but not `team/app/cache`; `team/**` matches both; `**` is every repository.", oci.MaxGlobsPerRule),
						Validators: []validator.Set{
							setvalidator.SizeBetween(1, oci.MaxGlobsPerRule),
							setvalidator.ValueStringsAre(globRule()),
							setvalidator.NoNullValues(),
						},
					},
					"actions": schema.SetAttribute{
						Required:            true,
						ElementType:         types.StringType,
						MarkdownDescription: "What is allowed there: `pull`, `push`, `delete`. They are separate: `push` alone does not allow `pull`, which most clients need to push.",
						Validators: []validator.Set{
							setvalidator.SizeAtLeast(1),
							setvalidator.ValueStringsAre(actionRule()),
							setvalidator.NoNullValues(),
						},
					},
				}},
			},
			"anonymous": schema.BoolAttribute{
				Optional: true, Computed: true,
				Default:             booldefault.StaticBool(false),
				MarkdownDescription: "Whether the policy also holds for callers without credentials: for images that anyone may pull. Defaults to `false`.",
			},
		},
	}
}

// ownPolicyRule refuses the names of the built-in policies.
func ownPolicyRule() stringRule {
	return stringRule{"must not be the name of a built-in policy", "Built-in policy", func(s string) error {
		if slices.Contains(oci.BuiltInPolicies(), s) {
			return fmt.Errorf("the policy %q is built in: every server has it, and it cannot be changed; use its name in policies, and choose another one here", s)
		}
		return nil
	}}
}
