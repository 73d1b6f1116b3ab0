package archive

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// What a platform may be besides os/architecture[/variant].
const (
	AllPlatforms    = "all"         // the index as it is
	DefaultPlatform = "linux/amd64" // what is taken of an index if nothing is said
)

var platformRE = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9._]+)?$`)

// Choose returns the image of an index for a platform, or d itself if it is an
// image. "" is DefaultPlatform where there is a choice. INVALID for what is no
// platform, MANIFEST_UNKNOWN for one that the index does not have.
func Choose(ctx context.Context, from Source, d oci.Digest, platform string) (oci.Digest, error) {
	if platform != "" && platform != AllPlatforms && !platformRE.MatchString(platform) {
		return d, oci.Errorf(oci.CodeInvalid, "platform %q is not one; write os/architecture or os/architecture/variant, such as linux/arm64, or all", clip(platform))
	}
	if platform == AllPlatforms {
		return d, nil
	}
	content, err := from.Manifest(ctx, d)
	if err != nil {
		return d, err
	}
	m, err := oci.ParseManifest("", content)
	if err != nil {
		return d, err
	}
	if !m.Index() {
		return d, nil // docker pull --platform warns; whoever asked by tag wants this
	}
	if platform == "" {
		platform = DefaultPlatform
	}
	var has []string
	for _, child := range m.Manifests {
		if child.Platform == nil || child.Platform.OS == "" || child.Platform.OS == "unknown" {
			continue // an attestation, or an index in an index
		}
		if takes(platform, child) {
			return child.Digest, nil
		}
		has = append(has, platformText(child))
	}
	return d, oci.Errorf(oci.CodeManifestUnknown, "the image has no %s; %s", platform, choices(has))
}

// takes reports whether a child of an index is for a platform. Without a variant
// any will do; that of arm64 is v8 also if it is not written.
func takes(platform string, d oci.Descriptor) bool {
	text := platformText(d)
	return text == platform || strings.HasPrefix(text, platform+"/") ||
		strings.TrimSuffix(platform, "/v8") == text && d.Platform.Architecture == "arm64"
}

func choices(has []string) string {
	if len(has) == 0 {
		return "it names no platforms, so choose the platform all, which gives an OCI layout of everything"
	}
	const most = 20
	slices.Sort(has)
	has = slices.Compact(has)
	more := ""
	if len(has) > most {
		more = fmt.Sprintf(" and %d more", len(has)-most)
		has = has[:most]
	}
	return "choose one of " + strings.Join(has, ", ") + more + ", or all for an OCI layout of everything"
}
