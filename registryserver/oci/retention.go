package oci

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RetentionAction is what a rule of a retention policy does.
type RetentionAction string

// The actions. Whatever the order of rules, keep wins over delete.
const (
	RetentionKeep   RetentionAction = "keep"
	RetentionDelete RetentionAction = "delete"
)

// RetentionActions returns every action, for messages and schemas.
func RetentionActions() []RetentionAction {
	return []RetentionAction{RetentionKeep, RetentionDelete}
}

// RetentionVersions narrows a rule to tags that are semantic versions.
type RetentionVersions string

// The kinds of versions.
const (
	RetentionAllVersions RetentionVersions = "all"
	RetentionReleases    RetentionVersions = "releases"
	RetentionPrereleases RetentionVersions = "prereleases"
)

// RetentionVersionKinds returns them, for messages and schemas.
func RetentionVersionKinds() []RetentionVersions {
	return []RetentionVersions{RetentionAllVersions, RetentionReleases, RetentionPrereleases}
}

// RetentionRuleSpec is a rule of a retention policy as it is written: in the admin
// API, in records, and in Terraform. ParseRetentionRule says what it may be.
type RetentionRuleSpec struct {
	Action RetentionAction `json:"action"`
	// Untagged makes the rule one for manifests without a tag.
	Untagged bool `json:"untagged,omitempty"`
	// A tag has to match one of TagPatterns, if there are any, and be such a
	// version, if Versions is not "". The rule does nothing to what matches one of
	// ExceptTagPatterns, though it counts.
	TagPatterns       []string          `json:"tag_patterns,omitempty"`
	ExceptTagPatterns []string          `json:"except_tag_patterns,omitempty"`
	Versions          RetentionVersions `json:"versions,omitempty"`
	// Of rules that keep: how many of the newest images, and since how many days.
	Newest           int `json:"newest,omitempty"`
	PushedWithinDays int `json:"pushed_within_days,omitempty"`
	PulledWithinDays int `json:"pulled_within_days,omitempty"`
	// Of rules that delete: how many of the newest images not, and for how many
	// days nobody has.
	ExceptNewest     int `json:"except_newest,omitempty"`
	NotPushedForDays int `json:"not_pushed_for_days,omitempty"`
	NotPulledForDays int `json:"not_pulled_for_days,omitempty"`
}

// Limits of a retention policy, so that no record grows without bound.
const (
	MaxRetentionRules  = 50
	MaxRetentionNewest = 100_000
	MaxRetentionDays   = 36_500
)

// RetentionRule is a rule that was parsed.
type RetentionRule struct {
	spec         RetentionRuleSpec
	tags, except []TagPattern
}

// Day is what the days of rules are.
const Day = 24 * time.Hour

// ParseRetentionRule parses a rule. Order and repetition of patterns do not matter.
func ParseRetentionRule(s RetentionRuleSpec) (RetentionRule, error) {
	if err := s.check(); err != nil {
		return RetentionRule{}, err
	}
	r := RetentionRule{spec: s}
	var err error
	if r.tags, err = ParseTagPatterns(s.TagPatterns); err != nil {
		return RetentionRule{}, err
	}
	if r.except, err = ParseTagPatterns(s.ExceptTagPatterns); err != nil {
		return RetentionRule{}, err
	}
	r.spec.TagPatterns, r.spec.ExceptTagPatterns = texts(r.tags), texts(r.except)
	return r, nil
}

func texts(patterns []TagPattern) []string {
	var all []string
	for _, p := range patterns {
		all = append(all, p.String())
	}
	return all
}

func (s RetentionRuleSpec) check() error {
	if !slices.Contains(RetentionActions(), s.Action) {
		return Errorf(CodeInvalid, "unknown action %q; use keep or delete", clip(string(s.Action)))
	}
	if s.Versions != "" && !slices.Contains(RetentionVersionKinds(), s.Versions) {
		return Errorf(CodeInvalid, "unknown versions %q; use all, releases or prereleases", clip(string(s.Versions)))
	}
	for _, n := range []struct {
		name     string
		of       RetentionAction
		n, limit int
	}{
		{"newest", RetentionKeep, s.Newest, MaxRetentionNewest},
		{"pushed_within_days", RetentionKeep, s.PushedWithinDays, MaxRetentionDays},
		{"pulled_within_days", RetentionKeep, s.PulledWithinDays, MaxRetentionDays},
		{"except_newest", RetentionDelete, s.ExceptNewest, MaxRetentionNewest},
		{"not_pushed_for_days", RetentionDelete, s.NotPushedForDays, MaxRetentionDays},
		{"not_pulled_for_days", RetentionDelete, s.NotPulledForDays, MaxRetentionDays},
	} {
		switch {
		case n.n == 0:
		case n.n < 0 || n.n > n.limit:
			return Errorf(CodeInvalid, "the value of %s is %d; it must be from 1 to %d", n.name, n.n, n.limit)
		case n.of != s.Action:
			return Errorf(CodeInvalid, "the value %s is for rules with the action %s, and this one has %s", n.name, n.of, s.Action)
		}
	}
	return s.checkWhole()
}

// checkWhole is about what belongs together.
func (s RetentionRuleSpec) checkWhole() error {
	selects := len(s.TagPatterns) > 0 || s.Versions != ""
	switch {
	case s.Untagged && s.Action != RetentionDelete:
		return Errorf(CodeInvalid, "the value untagged is for rules with the action delete: what has no tag stays unless one deletes it")
	case s.Untagged && (selects || len(s.ExceptTagPatterns) > 0 || s.ExceptNewest > 0):
		return Errorf(CodeInvalid, "a rule for what is untagged has no tag_patterns, except_tag_patterns, versions or except_newest")
	case s.Action == RetentionDelete && s.ExceptNewest+s.NotPushedForDays+s.NotPulledForDays == 0:
		return Errorf(CodeInvalid, "a rule with the action delete needs except_newest, not_pushed_for_days or not_pulled_for_days")
	case s.Action == RetentionKeep && !selects && s.Newest+s.PushedWithinDays+s.PulledWithinDays == 0:
		return Errorf(CodeInvalid, "a rule with the action keep needs tag_patterns, versions, newest, pushed_within_days or pulled_within_days; tag_patterns = [\"*\"] keeps every tag")
	}
	return nil
}

// ParseRetentionRules parses the rules of a policy. An error says which of them is
// wrong.
func ParseRetentionRules(specs []RetentionRuleSpec) ([]RetentionRule, error) {
	if len(specs) == 0 || len(specs) > MaxRetentionRules {
		return nil, Errorf(CodeInvalid, "the retention policy has %d rules; it needs 1 to %d", len(specs), MaxRetentionRules)
	}
	rules := make([]RetentionRule, len(specs))
	for i, s := range specs {
		var err error
		if rules[i], err = ParseRetentionRule(s); err != nil {
			var e *Error
			message := err.Error()
			if errors.As(err, &e) {
				message = e.Message
			}
			return nil, &Error{Code: CodeInvalid, Message: fmt.Sprintf("rules[%d]: %s", i, message), Detail: map[string]int{"rule": i}}
		}
	}
	return rules, nil
}

// ParseRetentionRepositories parses the globs of a policy.
func ParseRetentionRepositories(globs []string) ([]Glob, error) {
	if len(globs) == 0 || len(globs) > MaxGlobsPerRule {
		return nil, Errorf(CodeInvalid, "the retention policy has %d repository globs; it needs 1 to %d", len(globs), MaxGlobsPerRule)
	}
	var parsed []Glob
	for _, s := range globs {
		g, err := ParseGlob(s)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(parsed, g) {
			parsed = append(parsed, g)
		}
	}
	return parsed, nil
}

// Spec returns the rule as it is written, with its patterns sorted.
func (r RetentionRule) Spec() RetentionRuleSpec { return r.spec }

// Selects reports whether the rule is about the tag. Those that it excepts count,
// too; see Excepts.
func (r RetentionRule) Selects(t Tag) bool {
	if r.spec.Untagged || len(r.tags) > 0 && !matches(r.tags, t) {
		return false
	}
	if r.spec.Versions == "" {
		return true
	}
	v, err := TagSemver(t.String())
	if err != nil {
		return false
	}
	return r.spec.Versions == RetentionAllVersions || v.Prerelease() == (r.spec.Versions == RetentionPrereleases)
}

// Excepts reports whether the rule does nothing to the tag.
func (r RetentionRule) Excepts(t Tag) bool { return matches(r.except, t) }

func matches(patterns []TagPattern, t Tag) bool {
	return slices.ContainsFunc(patterns, func(p TagPattern) bool { return p.Match(t) })
}

// String says in words what the rule does.
func (r RetentionRule) String() string {
	s := r.spec
	var b strings.Builder
	b.WriteString(string(s.Action))
	switch {
	case s.Untagged:
		b.WriteString(" untagged manifests")
	case len(r.tags) > 0:
		b.WriteString(" tags " + strings.Join(s.TagPatterns, ", "))
	default:
		b.WriteString(" tags")
	}
	if s.Versions != "" {
		b.WriteString(map[RetentionVersions]string{
			RetentionAllVersions: " that are versions", RetentionReleases: " that are releases", RetentionPrereleases: " that are pre-releases",
		}[s.Versions])
	}
	if len(r.except) > 0 {
		b.WriteString(" but " + strings.Join(s.ExceptTagPatterns, ", "))
	}
	var when []string
	for _, c := range []struct {
		n    int
		text string
	}{
		{s.Newest, "of the newest %d images"},
		{s.PushedWithinDays, "pushed within %d days"},
		{s.PulledWithinDays, "pulled within %d days"},
		{s.ExceptNewest, "not of the newest %d images"},
		{s.NotPushedForDays, "not pushed for %d days"},
		{s.NotPulledForDays, "not pulled for %d days"},
	} {
		if c.n > 0 {
			when = append(when, fmt.Sprintf(c.text, c.n))
		}
	}
	if len(when) > 0 {
		b.WriteString(", " + strings.Join(when, " and "))
	}
	return b.String()
}
