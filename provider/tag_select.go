package provider

import (
	"cmp"
	"path"
	"slices"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// matchesAny reports whether a tag matches one of the globs; no glob matches
// everything.
func matchesAny(globs []string, tag string) bool {
	return len(globs) == 0 || slices.ContainsFunc(globs, func(glob string) bool {
		ok, err := path.Match(glob, tag)
		return ok && err == nil
	})
}

func tagGlobRule() stringRule {
	return stringRule{"must be a glob of tags", "Invalid glob", func(s string) error {
		_, err := path.Match(s, "")
		return err
	}}
}

// versions returns the tags that are semantic versions, the highest first, and
// of one version in byte order. Pre-releases are left out unless they are wanted.
func versions(tags []string, prereleases bool) []string {
	type version struct {
		oci.Semver
		tag string
	}
	var found []version
	for _, tag := range tags {
		if v, err := oci.TagSemver(tag); err == nil && (prereleases || !v.Prerelease()) {
			found = append(found, version{v, tag})
		}
	}
	slices.SortFunc(found, func(a, b version) int { return cmp.Or(b.Compare(a.Semver), cmp.Compare(a.tag, b.tag)) })
	sorted := make([]string, len(found))
	for i, v := range found {
		sorted[i] = v.tag
	}
	return sorted
}
