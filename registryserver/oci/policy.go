package oci

import (
	"regexp"
	"slices"
	"strings"
)

// Action is a right on a repository. The three are separate: push does not
// imply pull.
type Action string

// The actions a policy can allow.
const (
	Pull   Action = "pull"
	Push   Action = "push"
	Delete Action = "delete"
)

// Actions returns every action, for messages and schemas.
func Actions() []Action { return []Action{Pull, Push, Delete} }

// ParseAction parses "pull", "push" or "delete".
func ParseAction(s string) (Action, error) {
	if a := Action(s); slices.Contains(Actions(), a) {
		return a, nil
	}
	return "", Errorf(CodeInvalid, "unknown action %q; use pull, push or delete", clip(s))
}

// Glob is a pattern of repository names: '*' stands for any run of characters
// within one part of a name, '**' for any run of characters, '/' included.
// "team/*" matches team/app, not team/app/cache; "team/**" matches both;
// "**" matches every repository.
type Glob struct{ pattern string }

var globRE = regexp.MustCompile(`^[a-z0-9._/*-]+$`)

// ParseGlob parses a repository glob.
func ParseGlob(s string) (Glob, error) {
	switch {
	case s == "":
		return Glob{}, Errorf(CodeInvalid, "a repository glob is empty; write ** for every repository")
	case len(s) > MaxRepositoryLength:
		return Glob{}, Errorf(CodeInvalid, "repository glob of %d bytes is too long; at most %d are allowed", len(s), MaxRepositoryLength)
	case !globRE.MatchString(s):
		return Glob{}, Errorf(CodeInvalid, "invalid repository glob %q; use lower-case letters, digits, . _ - / and the wildcards * (within one part) and ** (across parts)", s)
	case strings.HasPrefix(s, "/") || strings.HasSuffix(s, "/") || strings.Contains(s, "//"):
		return Glob{}, Errorf(CodeInvalid, "invalid repository glob %q; it may neither begin nor end with / nor hold an empty part", s)
	case strings.Contains(s, "***"):
		return Glob{}, Errorf(CodeInvalid, "invalid repository glob %q; use * (within one part) or ** (across parts)", s)
	}
	// A glob whose wildcards are replaced by a letter must be a possible name,
	// or it would be a rule that never matches.
	if !repositoryRE.MatchString(strings.ReplaceAll(strings.ReplaceAll(s, "**", "a"), "*", "a")) {
		return Glob{}, Errorf(CodeInvalid, "invalid repository glob %q; no repository name can match it", s)
	}
	return Glob{s}, nil
}

// String returns the pattern.
func (g Glob) String() string { return g.pattern }

// MatchesAll reports whether every repository matches.
func (g Glob) MatchesAll() bool { return g.pattern == "**" }

// Match reports whether the repository matches. Its cost is bounded by the
// product of the two lengths, whatever the pattern.
func (g Glob) Match(r Repository) bool { return matchGlob(g.pattern, r.name) }

// matchGlob reports whether the whole of name is as the pattern says.
func matchGlob(pattern, name string) bool {
	// can[j] says whether the pattern so far can end after name[:j].
	can := make([]bool, len(name)+1)
	can[0] = true
	for i := 0; i < len(pattern); i++ {
		if pattern[i] == '*' {
			across := i+1 < len(pattern) && pattern[i+1] == '*'
			if across {
				i++
			}
			for j := 1; j <= len(name); j++ {
				can[j] = can[j] || can[j-1] && (across || name[j-1] != '/')
			}
			continue
		}
		for j := len(name); j >= 1; j-- {
			can[j] = can[j-1] && name[j-1] == pattern[i]
		}
		can[0] = false
	}
	return can[len(name)]
}

// Rule allows actions on the repositories that any of its globs matches.
type Rule struct {
	Repositories []Glob
	Actions      []Action
}

// Limits of a policy, so that no record grows without bound.
const (
	MaxRules        = 100
	MaxGlobsPerRule = 100
)

// ParseRule parses one rule of a policy. Order and repetition do not matter.
func ParseRule(repositories, actions []string) (Rule, error) {
	var rule Rule
	if len(repositories) == 0 || len(actions) == 0 {
		return rule, Errorf(CodeInvalid, "a rule needs at least one repository glob and one action (pull, push, delete)")
	}
	if len(repositories) > MaxGlobsPerRule {
		return rule, Errorf(CodeInvalid, "a rule has %d repository globs; at most %d are allowed", len(repositories), MaxGlobsPerRule)
	}
	for _, s := range repositories {
		g, err := ParseGlob(s)
		if err != nil {
			return rule, err
		}
		if !slices.Contains(rule.Repositories, g) {
			rule.Repositories = append(rule.Repositories, g)
		}
	}
	for _, s := range actions {
		a, err := ParseAction(s)
		if err != nil {
			return rule, err
		}
		if !slices.Contains(rule.Actions, a) {
			rule.Actions = append(rule.Actions, a)
		}
	}
	return rule, nil
}

// Allows reports whether the rule allows the action on the repository.
func (r Rule) Allows(a Action, repo Repository) bool {
	return slices.Contains(r.Actions, a) &&
		slices.ContainsFunc(r.Repositories, func(g Glob) bool { return g.Match(repo) })
}

var policyNameRE = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?$`)

// The policies that exist on every server and cannot be changed.
const (
	PolicyAdmin     = "admin"      // everything, and the admin API
	PolicyReadWrite = "read-write" // pull, push and delete everywhere
	PolicyReadOnly  = "read-only"  // pull everywhere
)

// BuiltInPolicies returns their names.
func BuiltInPolicies() []string { return []string{PolicyAdmin, PolicyReadWrite, PolicyReadOnly} }

// ParsePolicyName parses the name of a policy: 1 to 64 lower-case letters,
// digits, '.', '_' and '-', beginning and ending with a letter or digit.
func ParsePolicyName(s string) (string, error) {
	if !policyNameRE.MatchString(s) {
		return "", Errorf(CodeInvalid, "invalid policy name %q; use 1 to 64 lower-case letters, digits, . _ and -, beginning and ending with a letter or digit", clip(s))
	}
	return s, nil
}
