package transfer

import (
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Filter says which repositories and tags are copied. The zero value takes all.
type Filter struct {
	Repositories, NotRepositories []oci.Glob
	Tags, NotTags                 []oci.TagPattern
	// Newest takes, of each repository, so many tags that are semantic versions,
	// from the newest on; 0 takes all tags.
	Newest int
}

// named returns the repositories if all patterns are names, so that nobody has
// to list what is there: there are registries that do not.
func (f Filter) named() ([]string, bool) {
	var names []string
	for _, g := range f.Repositories {
		if strings.Contains(g.String(), "*") {
			return nil, false
		}
		names = append(names, g.String())
	}
	return names, len(names) > 0
}

func (f Filter) takesRepository(r oci.Repository) bool {
	matches := func(g oci.Glob) bool { return g.Match(r) }
	return (len(f.Repositories) == 0 || slices.ContainsFunc(f.Repositories, matches)) && !slices.ContainsFunc(f.NotRepositories, matches)
}

// all reports whether no tag is left out.
func (f Filter) all() bool { return len(f.Tags) == 0 && len(f.NotTags) == 0 && f.Newest == 0 }

// take returns the tags that are copied, in byte order.
func (f Filter) take(tags []oci.Tag) []oci.Tag {
	var taken []oci.Tag
	for _, t := range tags {
		matches := func(p oci.TagPattern) bool { return p.Match(t) }
		if (len(f.Tags) == 0 || slices.ContainsFunc(f.Tags, matches)) && !slices.ContainsFunc(f.NotTags, matches) {
			taken = append(taken, t)
		}
	}
	if f.Newest > 0 {
		taken = slices.DeleteFunc(taken, func(t oci.Tag) bool { return !semver.IsValid(version(t)) })
		slices.SortFunc(taken, func(a, b oci.Tag) int {
			if c := semver.Compare(version(b), version(a)); c != 0 {
				return c
			}
			return strings.Compare(a.String(), b.String())
		})
		taken = taken[:min(len(taken), f.Newest)]
	}
	slices.SortFunc(taken, func(a, b oci.Tag) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(taken)
}

func version(t oci.Tag) string { return "v" + strings.TrimPrefix(t.String(), "v") }
