package oci

import (
	"regexp"
	"strings"
)

// The limits of names. The spec leaves the length of a repository name to the
// registry; 255 is what distribution and every client accept.
const (
	MaxRepositoryLength = 255
	MaxTagLength        = 128
)

var (
	repositoryRE = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagRE        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// Repository is a valid repository name, such as "team/app". The zero value
// is no repository.
type Repository struct{ name string }

// ParseRepository parses a repository name (distribution-spec "Pulling
// manifests": <name>). It returns an Error of code NAME_INVALID.
func ParseRepository(s string) (Repository, error) {
	if len(s) > MaxRepositoryLength {
		return Repository{}, Errorf(CodeNameInvalid, "repository name of %d bytes is too long; at most %d are allowed", len(s), MaxRepositoryLength)
	}
	if !repositoryRE.MatchString(s) {
		return Repository{}, Errorf(CodeNameInvalid, "invalid repository name %q; use lower-case letters and digits, separated by single . or _, by __ or dashes, in parts separated by /", s)
	}
	return Repository{s}, nil
}

// MustRepository is ParseRepository for constants; it panics.
func MustRepository(s string) Repository {
	r, err := ParseRepository(s)
	if err != nil {
		panic(err)
	}
	return r
}

// String returns the name.
func (r Repository) String() string { return r.name }

// IsZero reports whether r is no repository.
func (r Repository) IsZero() bool { return r.name == "" }

// Tag is a valid tag. The zero value is no tag.
type Tag struct{ tag string }

// ParseTag parses a tag: letters, digits, '_', '.', '-', at most 128, the first
// not '.' or '-'. It returns an Error of code TAG_INVALID.
func ParseTag(s string) (Tag, error) {
	if !tagRE.MatchString(s) {
		return Tag{}, Errorf(CodeTagInvalid, "invalid tag %q; use at most %d letters, digits, _ . and -, the first not . or -", clip(s), MaxTagLength)
	}
	return Tag{s}, nil
}

// String returns the tag.
func (t Tag) String() string { return t.tag }

// IsZero reports whether t is no tag.
func (t Tag) IsZero() bool { return t.tag == "" }

// Reference is a tag or a digest: what a manifest is asked for by. Exactly one
// of its two halves is not zero.
type Reference struct {
	Tag    Tag
	Digest Digest
}

// ParseReference parses a tag or, where there is a colon, a digest.
func ParseReference(s string) (Reference, error) {
	if strings.Contains(s, ":") {
		d, err := ParseDigest(s)
		return Reference{Digest: d}, err
	}
	t, err := ParseTag(s)
	return Reference{Tag: t}, err
}

// String returns the tag or the digest.
func (r Reference) String() string {
	if !r.Digest.IsZero() {
		return r.Digest.String()
	}
	return r.Tag.String()
}

// clip bounds client text that is quoted in an error.
func clip(s string) string {
	const most = 160
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
