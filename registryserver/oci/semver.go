package oci

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// Semver is a version of Semantic Versioning 2.0.0, perhaps with the v that
// many write before it. Its numbers stay text, so that none is too large.
type Semver struct {
	prefix              string // "v" or ""
	major, minor, patch string
	prerelease          []string // its identifiers; none for a release
	build               string
}

// semverRE is the grammar of semver.org.
var semverRE = regexp.MustCompile(`^(v?)(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)` +
	`(?:-((?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*))?` +
	`(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?$`)

// ParseSemver parses a version of three numbers.
func ParseSemver(s string) (Semver, error) {
	m := semverRE.FindStringSubmatch(s)
	if m == nil {
		if len(s) > MaxTagLength {
			s = strings.ToValidUTF8(s[:MaxTagLength], "") + "…"
		}
		return Semver{}, fmt.Errorf("%q is not a semantic version; write three numbers such as 1.4.2, perhaps with a pre-release as in 1.5.0-rc.1", s)
	}
	v := Semver{prefix: m[1], major: m[2], minor: m[3], patch: m[4], build: m[6]}
	if m[5] != "" {
		v.prerelease = strings.Split(m[5], ".")
	}
	return v, nil
}

// TagSemver parses a tag that is a semantic version. A tag cannot hold a plus;
// an underscore stands for it, as helm does it.
func TagSemver(tag string) (Semver, error) { return ParseSemver(strings.Replace(tag, "_", "+", 1)) }

// Prerelease reports whether the version is one.
func (v Semver) Prerelease() bool { return len(v.prerelease) > 0 }

// Tags returns the tags of an image of this version, the widest first.
func (v Semver) Tags() []string {
	patch := v.prefix + v.major + "." + v.minor + "." + v.patch
	if len(v.prerelease) > 0 {
		patch += "-" + strings.Join(v.prerelease, ".")
	}
	var tags []string
	if len(v.prerelease) == 0 && v.major != "0" {
		tags = append(tags, v.prefix+v.major)
	}
	if len(v.prerelease) == 0 {
		tags = append(tags, v.prefix+v.major+"."+v.minor)
	}
	tags = append(tags, patch)
	if v.build != "" {
		tags = append(tags, patch+"_"+v.build)
	}
	return tags
}

// Compare orders by precedence (semver.org section 11), which knows no build
// metadata.
func (v Semver) Compare(w Semver) int {
	if c := cmp.Or(compareNumbers(v.major, w.major), compareNumbers(v.minor, w.minor), compareNumbers(v.patch, w.patch)); c != 0 {
		return c
	}
	if len(v.prerelease) == 0 || len(w.prerelease) == 0 {
		return cmp.Compare(len(w.prerelease), len(v.prerelease)) // a release is above its pre-releases
	}
	for i := range min(len(v.prerelease), len(w.prerelease)) {
		if c := compareIdentifiers(v.prerelease[i], w.prerelease[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(v.prerelease), len(w.prerelease))
}

// compareNumbers compares decimal numbers without leading zeros.
func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func compareIdentifiers(a, b string) int {
	switch {
	case numeric(a) && numeric(b):
		return compareNumbers(a, b)
	case numeric(a):
		return -1
	case numeric(b):
		return 1
	}
	return cmp.Compare(a, b)
}

func numeric(s string) bool { return strings.Trim(s, "0123456789") == "" }
