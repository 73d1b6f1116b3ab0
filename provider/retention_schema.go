package provider

import (
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework-validators/listvalidator"
	"github.com/hashicorp/terraform-plugin-framework-validators/setvalidator"
	datasource "github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/planmodifier"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringdefault"
	"github.com/hashicorp/terraform-plugin-framework/resource/schema/stringplanmodifier"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// What the resource and the data source say of the same things.
const (
	retentionNameText = "Name of the retention policy: 1 to 64 lower-case letters, digits, `.`, `_` and `-`, beginning and ending with a letter or digit."
	retentionGlobText = "Globs of the repositories that the policy is about, 1 to %d: `*` stands for anything within one part of a name, `**` for anything, `/` included."
	retentionRuleText = "The rules, 1 to %d. All that a rule says must hold. A rule that deletes needs `except_newest`, `not_pushed_for_days` or `not_pulled_for_days`."
)

func retentionPolicySchema() schema.Schema {
	return schema.Schema{
		MarkdownDescription: "A retention policy: rules by which garbage collections of the server delete tags, and manifests without one. " +
			"A tag goes if a rule of any policy whose globs match its repository deletes it, and no rule of any of them keeps it. Immutable tags (`registry_repository`) always stay, and so does what was pushed within the grace period of collections.\n\n" +
			"Collections run on a schedule where the server has `gc.enabled`, or when somebody starts one, and only on storage that is marked as exclusive to Registry Kit. Their reports name the rule that deleted each tag. " +
			"The data source `registry_retention_preview` shows what a policy would delete, before it is applied.\n\n" +
			"Deleting a tag keeps its manifest, unless `gc.deleteuntagged` or a rule with `untagged` deletes that, too.",
		Attributes: map[string]schema.Attribute{
			"name": schema.StringAttribute{
				Required:            true,
				MarkdownDescription: retentionNameText + " A change makes another policy.",
				Validators:          []validator.String{policyNameRule()},
				PlanModifiers:       []planmodifier.String{stringplanmodifier.RequiresReplace()},
			},
			"description": schema.StringAttribute{
				Optional: true, Computed: true,
				Default:             stringdefault.StaticString(""),
				MarkdownDescription: "What the policy is for, for people who read it, in at most " + fmt.Sprint(oci.MaxDescriptionBytes) + " bytes. Defaults to empty.",
				Validators:          []validator.String{descriptionRule()},
			},
			"repositories": schema.SetAttribute{
				Required: true, ElementType: types.StringType,
				MarkdownDescription: fmt.Sprintf(retentionGlobText, oci.MaxGlobsPerRule),
				Validators:          retentionGlobs(),
			},
			"rules": schema.ListNestedAttribute{
				Required:            true,
				MarkdownDescription: fmt.Sprintf(retentionRuleText, oci.MaxRetentionRules),
				Validators:          retentionRuleList(),
				NestedObject:        schema.NestedAttributeObject{Attributes: retentionRuleAttributes()},
			},
		},
	}
}

func retentionGlobs() []validator.Set {
	return []validator.Set{setvalidator.SizeBetween(1, oci.MaxGlobsPerRule), setvalidator.NoNullValues(), setvalidator.ValueStringsAre(globRule())}
}

func retentionRuleList() []validator.List {
	return []validator.List{listvalidator.SizeBetween(1, oci.MaxRetentionRules), listvalidator.NoNullValues()}
}

func retentionPatterns() []validator.Set {
	return []validator.Set{setvalidator.SizeBetween(1, oci.MaxTagPatterns), setvalidator.NoNullValues(), setvalidator.ValueStringsAre(tagPatternRule())}
}

func retentionRuleAttributes() map[string]schema.Attribute {
	attributes := map[string]schema.Attribute{}
	for name, f := range retentionRuleFields() {
		required := name == "action"
		switch {
		case f.kind.Equal(types.SetType{ElemType: types.StringType}):
			attributes[name] = schema.SetAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: f.description, Validators: retentionPatterns()}
		case f.kind == types.BoolType:
			attributes[name] = schema.BoolAttribute{Optional: true, MarkdownDescription: f.description}
		case f.kind == types.Int64Type:
			attributes[name] = schema.Int64Attribute{Optional: true, MarkdownDescription: f.description}
		default:
			attributes[name] = schema.StringAttribute{Required: required, Optional: !required, MarkdownDescription: f.description}
		}
	}
	return attributes
}

// retentionRuleSource is retentionRuleAttributes for a data source, whose schema is
// of other types.
func retentionRuleSource() map[string]datasource.Attribute {
	attributes := map[string]datasource.Attribute{}
	for name, f := range retentionRuleFields() {
		required := name == "action"
		switch {
		case f.kind.Equal(types.SetType{ElemType: types.StringType}):
			attributes[name] = datasource.SetAttribute{Optional: true, ElementType: types.StringType, MarkdownDescription: f.description, Validators: retentionPatterns()}
		case f.kind == types.BoolType:
			attributes[name] = datasource.BoolAttribute{Optional: true, MarkdownDescription: f.description}
		case f.kind == types.Int64Type:
			attributes[name] = datasource.Int64Attribute{Optional: true, MarkdownDescription: f.description}
		default:
			attributes[name] = datasource.StringAttribute{Required: required, Optional: !required, MarkdownDescription: f.description}
		}
	}
	return attributes
}
