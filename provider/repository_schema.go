package provider

import (
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	"github.com/hashicorp/terraform-plugin-framework/attr"
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

func repositorySchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "A repository and its settings. It is there before the first push. A push makes a repository, too, with the settings that are the defaults here; to manage one of those, import it.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: fmt.Sprintf("Name of the repository, such as `team/app`, in at most %d bytes: lower-case letters and digits, separated by single `.` or `_`, by `__` or dashes, in parts separated by `/`. A change makes another repository, and moves no images.", oci.MaxRepositoryLength),
				Validators:          []validator.String{repositoryRule()},
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"description": schema.StringAttribute{
				Optional: true, Computed: true,
				Default:             stringdefault.StaticString(""),
				MarkdownDescription: fmt.Sprintf("What the repository is for, for people who read it, in at most %d bytes. Defaults to empty.", oci.MaxDescriptionBytes),
				Validators:          []validator.String{descriptionRule()},
			},
			"anonymous_pull": schema.BoolAttribute{
				Optional: true, Computed: true,
				Default:             booldefault.StaticBool(false),
				MarkdownDescription: "Whether anybody may pull, also without logging in and whatever the policies say. Taking it away takes about 5 seconds where servers share a bucket, until none goes on with it. Defaults to `false`.",
			},
			"immutable_tag_patterns": schema.SetAttribute{
				Optional: true, Computed: true,
				ElementType: types.StringType,
				Default:     setdefault.StaticValue(types.SetValueMust(types.StringType, []attr.Value{})),
				MarkdownDescription: fmt.Sprintf("Patterns of tags, at most %d, in which `*` stands for any run of characters: `v*` matches `v1` and `v1.2-rc`, `*` every tag. "+
					"A tag that matches one stays what it is once it is pushed: it can be neither moved nor deleted, and what it points at cannot be deleted. Pushing the same digest again succeeds. Defaults to none.", oci.MaxTagPatterns),
				Validators: []validator.Set{
					setvalidator.SizeAtMost(oci.MaxTagPatterns),
					setvalidator.ValueStringsAre(tagPatternRule()),
					setvalidator.NoNullValues(),
				},
			},
			"force_delete": schema.BoolAttribute{
				Optional: true, Computed: true,
				Default:             booldefault.StaticBool(false),
				MarkdownDescription: "Whether to delete the repository with all its tags and manifests, immutable ones too; otherwise one that has any is not deleted. What counts is the value that was applied last: set it, apply, and only then destroy. Defaults to `false`.",
			},
		},
	}
}
