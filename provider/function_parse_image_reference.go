package provider

import (
	"context"
	"fmt"

	"github.com/distribution/reference"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var _ function.Function = parseImageReferenceFunction{}

// parseImageReferenceFunction is provider::registry::parse_image_reference.
type parseImageReferenceFunction struct{}

// imageReference is its result. Tag and digest are null where the reference
// has none.
type imageReference struct {
	Registry     types.String `tfsdk:"registry"`
	Repository   types.String `tfsdk:"repository"`
	Tag          types.String `tfsdk:"tag"`
	Digest       types.String `tfsdk:"digest"`
	FamiliarName types.String `tfsdk:"familiar_name"`
}

func (parseImageReferenceFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "parse_image_reference"
}

func (parseImageReferenceFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Takes an image reference apart",
		MarkdownDescription: "Takes an image reference apart as `docker pull` does: `nginx` is `docker.io/library/nginx`. Returns an object with\n\n" +
			"- `registry`: host and port of the registry, such as `docker.io` or `localhost:5000`\n" +
			"- `repository`: name of the repository there, such as `library/nginx`\n" +
			"- `tag`: the tag, or null where there is none; `docker` then takes `latest`, so `coalesce(….tag, \"latest\")`, unless there is a digest\n" +
			"- `digest`: the digest, such as `sha256:…`, or null\n" +
			"- `familiar_name`: registry and repository as people write them, such as `nginx` or `localhost:5000/team/app`",
		Parameters: []function.Parameter{function.StringParameter{
			Name:                "ref",
			MarkdownDescription: "The reference: a name with or without registry, tag and digest, such as `nginx`, `localhost:5000/team/app:v1` or `registry.example.com/team/app:v1@sha256:…`.",
		}},
		Return: function.ObjectReturn{AttributeTypes: map[string]attr.Type{
			"registry":      types.StringType,
			"repository":    types.StringType,
			"tag":           types.StringType,
			"digest":        types.StringType,
			"familiar_name": types.StringType,
		}},
	}
}

func (parseImageReferenceFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var ref string
	resp.Error = req.Arguments.Get(ctx, &ref)
	if resp.Error != nil {
		return
	}
	parsed, err := parseImageReference(ref)
	if err != nil {
		resp.Error = function.NewArgumentFuncError(0, phrase(err))
		return
	}
	resp.Error = resp.Result.Set(ctx, parsed)
}

func parseImageReference(ref string) (imageReference, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return imageReference{}, fmt.Errorf("%q is not an image reference: %w", ref, err)
	}
	parsed := imageReference{
		Registry:     types.StringValue(reference.Domain(named)),
		Repository:   types.StringValue(reference.Path(named)),
		Tag:          types.StringNull(),
		Digest:       types.StringNull(),
		FamiliarName: types.StringValue(reference.FamiliarName(named)),
	}
	if t, ok := named.(reference.Tagged); ok {
		parsed.Tag = types.StringValue(t.Tag())
	}
	if d, ok := named.(reference.Digested); ok {
		parsed.Digest = types.StringValue(d.Digest().String())
	}
	return parsed, nil
}
