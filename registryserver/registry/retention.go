package registry

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Retention decides what of one repository goes. It is a pure function of what it
// is told: nothing is read, and nothing deleted.
type Retention struct {
	// Policies are those whose globs match the repository.
	Policies []RetentionSpec
	// Now is the time by the clock of the store, which all others here are taken
	// from, too, but for those of pulls.
	Now time.Time
	// Grace is for how long after its push nothing is deleted.
	Grace time.Duration
	// PullsSince is since when pulls are noted. If it is zero, they are not: then
	// whatever may have been pulled counts as pulled.
	PullsSince time.Time
}

// RetentionTag is a tag as Retention sees it.
type RetentionTag struct {
	Tag    oci.Tag
	Digest oci.Digest
	Pushed time.Time
	Pulled time.Time // zero: not since PullsSince
	// Immutable is the pattern by which the tag stays whatever rules say; "" for
	// none.
	Immutable string
}

// RetentionDecision is what becomes of a tag or an untagged manifest, and why.
type RetentionDecision struct {
	Delete bool
	// Policy and Rule, which counts from 1, are what decides. They are empty where
	// no rule does.
	Policy string
	Rule   int
	Reason string
}

const (
	whyNoRule = "no rule deletes it"
	whyYoung  = "it was pushed within the grace period of garbage collections"
)

// Tags decides over the tags of a repository, all of which it has to be told. A tag
// goes if a rule of any policy deletes it and none keeps it. The decisions are in
// the order of the tags.
func (x Retention) Tags(tags []RetentionTag) []RetentionDecision {
	decisions := make([]RetentionDecision, len(tags))
	for i := range decisions {
		decisions[i].Reason = whyNoRule
	}
	for _, action := range []oci.RetentionAction{oci.RetentionDelete, oci.RetentionKeep} {
		decided := make([]bool, len(tags)) // the first rule is named
		for _, p := range x.Policies {
			for n, rule := range p.Rules {
				if rule.Spec().Action != action {
					continue
				}
				for _, i := range x.acts(rule, tags) {
					if !decided[i] && (action == oci.RetentionDelete || decisions[i].Delete) {
						decisions[i] = decide(p, n, rule)
					}
					decided[i] = true
				}
			}
		}
	}
	for i, t := range tags {
		if !decisions[i].Delete {
			continue
		}
		switch {
		case t.Immutable != "":
			decisions[i] = RetentionDecision{Reason: fmt.Sprintf("the tag is immutable (pattern %s)", t.Immutable)}
		case x.Now.Sub(t.Pushed) < x.Grace:
			decisions[i] = RetentionDecision{Reason: whyYoung}
		}
	}
	return decisions
}

func decide(p RetentionSpec, n int, rule oci.RetentionRule) RetentionDecision {
	return RetentionDecision{
		Delete: rule.Spec().Action == oci.RetentionDelete, Policy: p.Name, Rule: n + 1,
		Reason: fmt.Sprintf("retention policy %s, rule %d: %s", p.Name, n+1, rule),
	}
}

// acts returns the tags, by their place, that a rule keeps or deletes, before it is
// asked what others say.
func (x Retention) acts(rule oci.RetentionRule, tags []RetentionTag) []int {
	var selected []int
	for i, t := range tags {
		if rule.Selects(t.Tag) {
			selected = append(selected, i)
		}
	}
	s := rule.Spec()
	newest := map[int]bool{}
	if n := s.Newest + s.ExceptNewest; n > 0 {
		newest = newestOf(tags, selected, n, s.Versions != "")
	}
	return slices.DeleteFunc(selected, func(i int) bool {
		t := tags[i]
		return rule.Excepts(t.Tag) ||
			s.Newest > 0 && !newest[i] ||
			s.ExceptNewest > 0 && newest[i] ||
			!x.agrees(s, t.Pushed, t.Pulled)
	})
}

// agrees reports whether the times of something are what a rule says of them.
func (x Retention) agrees(s oci.RetentionRuleSpec, pushed, pulled time.Time) bool {
	age := func(t time.Time) time.Duration { return x.Now.Sub(t) }
	used := latest(pushed, pulled, x.PullsSince)
	known := !x.PullsSince.IsZero()
	switch {
	case s.PushedWithinDays > 0 && age(pushed) >= days(s.PushedWithinDays),
		s.NotPushedForDays > 0 && age(pushed) < days(s.NotPushedForDays),
		s.PulledWithinDays > 0 && known && age(used) >= days(s.PulledWithinDays),
		s.NotPulledForDays > 0 && (!known || age(used) < days(s.NotPulledForDays)):
		return false
	}
	return true
}

func days(n int) time.Duration { return time.Duration(n) * oci.Day }

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// newestOf returns which of the selected tags are of the newest n images: those
// that were pushed last or, of versions, the highest. All tags of an image count
// once, and as its newest does.
func newestOf(tags []RetentionTag, selected []int, n int, versions bool) map[int]bool {
	ranked := slices.Clone(selected)
	parsed := map[int]oci.Semver{}
	if versions {
		for _, i := range selected {
			parsed[i], _ = oci.TagSemver(tags[i].Tag.String()) // what is selected is one
		}
	}
	slices.SortFunc(ranked, func(a, b int) int {
		byVersion := 0
		if versions {
			byVersion = parsed[b].Compare(parsed[a])
		}
		return cmp.Or(byVersion, tags[b].Pushed.Compare(tags[a].Pushed), cmp.Compare(tags[b].Tag.String(), tags[a].Tag.String()))
	})
	newest, images := map[int]bool{}, map[oci.Digest]bool{}
	count := 0
	for _, i := range ranked {
		d := tags[i].Digest
		switch {
		case !d.IsZero() && images[d]:
			newest[i] = true
		case count < n:
			newest[i] = true
			images[d] = true
			count++
		}
	}
	return newest
}

// Untagged decides over a manifest that no tag and no kept manifest leads to.
// pushed is when it, or a tag that led to it, was pushed last.
func (x Retention) Untagged(pushed, pulled time.Time) RetentionDecision {
	for _, p := range x.Policies {
		for n, rule := range p.Rules {
			s := rule.Spec()
			if !s.Untagged || !x.agrees(s, pushed, pulled) {
				continue
			}
			if x.Now.Sub(pushed) < x.Grace {
				return RetentionDecision{Reason: whyYoung}
			}
			return decide(p, n, rule)
		}
	}
	return RetentionDecision{Reason: whyNoRule}
}

// needs says what has to be known to decide.
func (x Retention) needs() (digests, pulls, untagged bool) {
	for _, p := range x.Policies {
		for _, rule := range p.Rules {
			s := rule.Spec()
			pulled := s.PulledWithinDays+s.NotPulledForDays > 0
			pulls = pulls || pulled
			digests = digests || pulled && !s.Untagged || s.Newest+s.ExceptNewest > 0
			untagged = untagged || s.Untagged
		}
	}
	return digests, pulls, untagged
}
