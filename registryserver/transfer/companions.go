package transfer

import (
	"context"
	"slices"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/archive"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// isCompanion reports whether a tag is made of the digest of what it belongs to:
// sha256-<hex>, or that with .sig, .att or .sbom behind it, as cosign writes.
func isCompanion(tag oci.Tag) bool {
	text, _, _ := strings.Cut(tag.String(), ".")
	algorithm, hex, ok := strings.Cut(text, "-")
	return ok && (algorithm == "sha256" || algorithm == "sha512") && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// belongs reports whether a tag is a companion of one of the digests.
func belongs(tag oci.Tag, to map[string]bool) bool {
	base, _, _ := strings.Cut(tag.String(), ".")
	return to[base]
}

// split parts the tags of a repository into those of images and those that
// belong to images.
func split(tags []oci.Tag) (images, others []oci.Tag) {
	for _, t := range tags {
		if isCompanion(t) {
			others = append(others, t)
		} else {
			images = append(images, t)
		}
	}
	return images, others
}

// family returns a manifest and those in it, each once.
func family(ctx context.Context, from archive.Source, d oci.Digest) ([]oci.Digest, error) {
	all := []oci.Digest{d}
	for at, depth := 0, 0; at < len(all) && depth <= maxManifests; at, depth = at+1, depth+1 {
		_, m, err := readManifest(ctx, from, all[at])
		if err != nil {
			return nil, err
		}
		for _, child := range m.Manifests {
			if !slices.Contains(all, child.Digest) {
				all = append(all, child.Digest)
			}
		}
	}
	return all, nil
}

// maxManifests bounds the manifests of one image.
const maxManifests = 10_000
