package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/distribution/reference"
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/function"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

var _ function.Function = imageReferenceFunction{}

// imageReferenceFunction is provider::registry::image_reference, the inverse
// of parse_image_reference.
type imageReferenceFunction struct{}

// referenceParts is its argument.
type referenceParts struct {
	Registry   types.String `tfsdk:"registry"`
	Repository types.String `tfsdk:"repository"`
	Tag        types.String `tfsdk:"tag"`
	Digest     types.String `tfsdk:"digest"`
}

func (imageReferenceFunction) Metadata(_ context.Context, _ function.MetadataRequest, resp *function.MetadataResponse) {
	resp.Name = "image_reference"
}

func (imageReferenceFunction) Definition(_ context.Context, _ function.DefinitionRequest, resp *function.DefinitionResponse) {
	resp.Definition = function.Definition{
		Summary: "Puts an image reference together",
		MarkdownDescription: "Puts an image reference together, in full: `docker.io/library/nginx:1.27` rather than `nginx:1.27`. It is the inverse of `parse_image_reference`, and takes what that returns, " +
			"so that `merge` changes a part: `image_reference(merge(parse_image_reference(\"nginx:1.27\"), { registry = \"registry.example.com\" }))`.",
		Parameters: []function.Parameter{function.ObjectParameter{
			Name: "parts",
			MarkdownDescription: "Object of `registry` (host and, if needed, port), `repository`, and `tag` and `digest`, each of which may be null. " +
				"A `familiar_name` is ignored.",
			AttributeTypes: map[string]attr.Type{
				"registry":   types.StringType,
				"repository": types.StringType,
				"tag":        types.StringType,
				"digest":     types.StringType,
			},
		}},
		Return: function.StringReturn{},
	}
}

func (imageReferenceFunction) Run(ctx context.Context, req function.RunRequest, resp *function.RunResponse) {
	var parts referenceParts
	resp.Error = req.Arguments.Get(ctx, &parts)
	if resp.Error != nil {
		return
	}
	text, err := parts.join()
	if err != nil {
		resp.Error = function.NewArgumentFuncError(0, phrase(err))
		return
	}
	resp.Error = resp.Result.Set(ctx, text)
}

// join puts the parts together and takes them apart again: only what comes back
// as it was is a reference.
func (p referenceParts) join() (string, error) {
	registry, repository := p.Registry.ValueString(), p.Repository.ValueString()
	switch {
	case registry == "":
		return "", errors.New(`the registry is missing; write for example registry = "registry.example.com", or "docker.io" for Docker Hub`)
	case repository == "":
		return "", errors.New(`the repository is missing; write for example repository = "team/app"`)
	}
	text := registry + "/" + repository
	if !p.Tag.IsNull() {
		text += ":" + p.Tag.ValueString()
	}
	if !p.Digest.IsNull() {
		text += "@" + p.Digest.ValueString()
	}
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return "", fmt.Errorf("the parts do not make an image reference: %q: %w", text, err)
	}
	whole, err := parseImageReference(named.String())
	switch {
	case err != nil:
		return "", err
	case whole.Registry.ValueString() != registry && registry != "index.docker.io":
		return "", fmt.Errorf("%q is not a registry: without a dot or a port, or being localhost, docker takes it for a part of the repository's name", registry)
	case whole.Repository.ValueString() != repository && whole.Repository.ValueString() != "library/"+repository:
		return "", fmt.Errorf("%q is not the name of a repository", repository)
	case !whole.Tag.Equal(p.Tag):
		return "", fmt.Errorf("%q is not a tag", p.Tag.ValueString())
	case !whole.Digest.Equal(p.Digest):
		return "", fmt.Errorf("%q is not a digest", p.Digest.ValueString())
	}
	return named.String(), nil
}
