package oci

import (
	"regexp"
	"slices"
	"strings"
)

// TagPattern is a pattern of tags: '*' stands for any run of characters, also
// none. "v*" matches v1 and v1.2-rc, "*" every tag.
type TagPattern struct{ pattern string }

// MaxTagPatterns bounds a list of patterns.
const MaxTagPatterns = 20

var tagPatternRE = regexp.MustCompile(`^[a-zA-Z0-9._*-]+$`)

// ParseTagPattern parses a pattern of tags.
func ParseTagPattern(s string) (TagPattern, error) {
	switch {
	case s == "":
		return TagPattern{}, Errorf(CodeInvalid, "a tag pattern is empty; write * for every tag")
	case len(s) > MaxTagLength:
		return TagPattern{}, Errorf(CodeInvalid, "tag pattern of %d bytes is too long; at most %d are allowed", len(s), MaxTagLength)
	case !tagPatternRE.MatchString(s):
		return TagPattern{}, Errorf(CodeInvalid, "invalid tag pattern %q; use letters, digits, _ . - and the wildcard *", s)
	case strings.Contains(s, "**"):
		return TagPattern{}, Errorf(CodeInvalid, "invalid tag pattern %q; one * stands for any run of characters", s)
	case s[0] == '.' || s[0] == '-':
		return TagPattern{}, Errorf(CodeInvalid, "invalid tag pattern %q; no tag begins with %c, so it would match none", s, s[0])
	}
	return TagPattern{s}, nil
}

// String returns the pattern.
func (p TagPattern) String() string { return p.pattern }

// Match reports whether the tag matches. Its cost is bounded by the product of
// the two lengths.
func (p TagPattern) Match(t Tag) bool { return matchGlob(p.pattern, t.tag) }

// ParseTagPatterns parses a set of patterns, and returns it sorted and without
// repetitions.
func ParseTagPatterns(patterns []string) ([]TagPattern, error) {
	if len(patterns) > MaxTagPatterns {
		return nil, Errorf(CodeInvalid, "there are %d tag patterns; at most %d are allowed", len(patterns), MaxTagPatterns)
	}
	parsed := make([]TagPattern, 0, len(patterns))
	for _, s := range patterns {
		p, err := ParseTagPattern(s)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, p)
	}
	slices.SortFunc(parsed, func(a, b TagPattern) int { return strings.Compare(a.pattern, b.pattern) })
	return slices.Compact(parsed), nil
}
