package provider

import (
	"context"
	"fmt"

	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

var _ function.Function = semverTagsFunction{}

// semverTagsFunction is provider::registry::semver_tags.
type semverTagsFunction struct{}

func (semverTagsFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "semver_tags"
}

func (semverTagsFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Lists the tags of an image of a semantic version",
		MarkdownDescription: "Lists the tags that an image of a [semantic version](https://semver.org) gets, the widest first: `1.4.2` gives `1`, `1.4` and `1.4.2`.\n\n" +
			"- A `v` before the version is kept: `v1.4.2` gives `v1`, `v1.4` and `v1.4.2`.\n" +
			"- A pre-release gives its own tag only, so that nobody who asks for `1` gets it: `1.5.0-rc.1` gives `1.5.0-rc.1`.\n" +
			"- Below `1.0.0` every minor version may break what was before, so there is no tag `0`: `0.3.1` gives `0.3` and `0.3.1`.\n" +
			"- Build metadata adds one more tag, with `_` for the `+` that a tag cannot hold, as helm does it: `1.4.2+b7` gives `1`, `1.4`, `1.4.2` and `1.4.2_b7`.",
		Parameters: []function.Parameter{function.StringParameter{
			Name:                "version",
			MarkdownDescription: "The version: three numbers, such as `1.4.2`, perhaps with a `v` before them, and a pre-release or build metadata after them.",
		}},
		Return: function.ListReturn{ElementType: types.StringType},
	}
}

func (semverTagsFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var version string
	resp.Error = req.Arguments.Get(ctx, &version)
	if resp.Error != nil {
		return
	}
	tags, err := semverTags(version)
	if err != nil {
		resp.Error = function.NewArgumentFuncError(0, phrase(err))
		return
	}
	resp.Error = resp.Result.Set(ctx, tags)
}

func semverTags(version string) ([]string, error) {
	v, err := oci.ParseSemver(version)
	if err != nil {
		return nil, err
	}
	tags := v.Tags()
	if longest := tags[len(tags)-1]; len(longest) > oci.MaxTagLength {
		return nil, fmt.Errorf("the version is %d bytes long; a tag can have %d", len(longest), oci.MaxTagLength)
	}
	return tags, nil
}
