package registry_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

var retentionNow = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// retentionPolicy is a policy with the rules in JSON.
func retentionPolicy(t testing.TB, name, repositories string, rules ...string) registry.RetentionSpec {
	t.Helper()
	spec := registry.RetentionSpec{Name: name}
	var err error
	if spec.Repositories, err = oci.ParseRetentionRepositories(strings.Fields(repositories)); err != nil {
		t.Fatal(err)
	}
	var specs []oci.RetentionRuleSpec
	if err := json.Unmarshal([]byte("["+strings.Join(rules, ",")+"]"), &specs); err != nil {
		t.Fatal(err)
	}
	if spec.Rules, err = oci.ParseRetentionRules(specs); err != nil {
		t.Fatal(err)
	}
	return spec
}

// retentionTags makes tags of "name image pushed pulled immutable", where pushed and
// pulled are how many days ago.
func retentionTags(t testing.TB, lines ...string) []registry.RetentionTag {
	t.Helper()
	var tags []registry.RetentionTag
	for _, line := range lines {
		var name, image, pulled, immutable string
		var pushed float64
		if n, err := fmt.Sscan(line, &name, &image, &pushed, &pulled, &immutable); n < 3 {
			t.Fatal(line, err)
		}
		tag, err := oci.ParseTag(name)
		if err != nil {
			t.Fatal(err)
		}
		ago := func(days float64) time.Time { return retentionNow.Add(-time.Duration(days * float64(oci.Day))) }
		rt := registry.RetentionTag{Tag: tag, Digest: oci.FromBytes([]byte(image)), Pushed: ago(pushed), Immutable: immutable}
		var d float64
		if n, _ := fmt.Sscan(pulled, &d); n == 1 && pulled != "-" {
			rt.Pulled = ago(d)
		}
		tags = append(tags, rt)
	}
	return tags
}

func deleted(tags []registry.RetentionTag, decisions []registry.RetentionDecision) string {
	var gone []string
	for i, d := range decisions {
		if d.Delete {
			gone = append(gone, tags[i].Tag.String())
		}
	}
	return strings.Join(gone, " ")
}

func TestRetention(t *testing.T) {
	builds := []string{"b1 i1 50", "b2 i2 40", "b3 i3 30", "b4 i4 20", "b5 i5 10"}
	with := func(more ...string) []string { return append(append([]string{}, builds...), more...) }
	const since = 365 // pulls are noted for a year
	for name, test := range map[string]struct {
		rules []string
		tags  []string
		since float64 // days; 0: pulls are not noted
		want  string
	}{
		"by count":                             {[]string{`{"action":"delete","except_newest":2}`}, builds, since, "b1 b2 b3"},
		"by count, fewer than that":            {[]string{`{"action":"delete","except_newest":5}`}, builds, since, ""},
		"by age":                               {[]string{`{"action":"delete","not_pushed_for_days":30}`}, builds, since, "b1 b2 b3"},
		"by age, a day later":                  {[]string{`{"action":"delete","not_pushed_for_days":31}`}, builds, since, "b1 b2"},
		"by both":                              {[]string{`{"action":"delete","not_pushed_for_days":40,"except_newest":4}`}, builds, since, "b1"},
		"a tag that was pushed again is young": {[]string{`{"action":"delete","not_pushed_for_days":5}`}, []string{"old i1 6", "again i1 1"}, since, "old"},
		"the tags of an image count once":      {[]string{`{"action":"delete","except_newest":2}`}, with("latest i5 10", "stable i4 20"), since, "b1 b2 b3"},
		"an old tag of a new image is new":     {[]string{`{"action":"delete","except_newest":1}`}, with("old i5 100"), since, "b1 b2 b3 b4"},
		"by pattern":                           {[]string{`{"action":"delete","tag_patterns":["pr-*"],"not_pushed_for_days":1}`}, with("pr-1 i1 9", "pr-2 i2 0.5"), since, "pr-1"},
		"but for a pattern":                    {[]string{`{"action":"delete","except_tag_patterns":["b2","b4"],"except_newest":2}`}, builds, since, "b1 b3"},
		"keep wins, before":                    {[]string{`{"action":"keep","tag_patterns":["b1"]}`, `{"action":"delete","except_newest":1}`}, builds, since, "b2 b3 b4"},
		"keep wins, after":                     {[]string{`{"action":"delete","except_newest":1}`, `{"action":"keep","tag_patterns":["b1"]}`}, builds, since, "b2 b3 b4"},
		"keep the newest":                      {[]string{`{"action":"delete","not_pushed_for_days":1}`, `{"action":"keep","newest":2}`}, builds, since, "b1 b2 b3"},
		"keep what was pushed":                 {[]string{`{"action":"delete","except_newest":1}`, `{"action":"keep","pushed_within_days":30}`}, builds, since, "b1 b2 b3"},
		"keep alone deletes nothing":           {[]string{`{"action":"keep","newest":1}`}, builds, since, ""},
		"immutable tags stay, and count":       {[]string{`{"action":"delete","except_newest":1}`}, []string{"a i1 3", "b i2 2 - b*", "c i3 1 - c"}, since, "a"},
		"the highest versions": {
			[]string{`{"action":"delete","versions":"releases","except_newest":2}`},
			[]string{"v1.10.0 i1 30", "v1.9.0 i2 1", "v1.2.0 i3 0.9", "v2.0.0-rc.1 i4 60", "latest i4 90"}, since, "v1.2.0",
		},
		"pre-releases": {
			[]string{`{"action":"delete","versions":"prereleases","not_pushed_for_days":5}`},
			[]string{"1.0.0 i1 30", "1.0.0-rc.1 i2 31", "1.1.0-rc.1 i3 1"}, since, "1.0.0-rc.1",
		},
		"by pull":                                   {[]string{`{"action":"delete","not_pulled_for_days":30}`}, []string{"a i1 100 29", "b i2 100 30", "c i3 100 -", "d i4 3 -"}, since, "b c"},
		"pulls are noted for too short a time":      {[]string{`{"action":"delete","not_pulled_for_days":30}`}, []string{"a i1 100 -"}, 29, ""},
		"pulls are noted for long enough":           {[]string{`{"action":"delete","not_pulled_for_days":30}`}, []string{"a i1 100 -"}, 30, "a"},
		"pulls are not noted":                       {[]string{`{"action":"delete","not_pulled_for_days":1}`}, []string{"a i1 100 -"}, 0, ""},
		"keep what was pulled":                      {[]string{`{"action":"delete","not_pushed_for_days":1}`, `{"action":"keep","pulled_within_days":9}`}, []string{"a i1 100 8", "b i2 100 9"}, since, "b"},
		"keep what may have been pulled":            {[]string{`{"action":"delete","not_pushed_for_days":1}`, `{"action":"keep","pulled_within_days":9}`}, []string{"a i1 100 -"}, 0, ""},
		"nothing within the grace period":           {[]string{`{"action":"delete","except_newest":1}`}, []string{"a i1 0.01", "b i2 0.02", "c i3 3"}, since, "c"},
		"of several of one age the name decides":    {[]string{`{"action":"delete","except_newest":1}`}, []string{"b i2 3", "a i1 3", "c i3 3"}, since, "b a"},
		"a rule for untagged manifests has no tags": {[]string{`{"action":"delete","untagged":true,"not_pushed_for_days":1}`}, builds, since, ""},
	} {
		x := registry.Retention{Policies: []registry.RetentionSpec{retentionPolicy(t, "p", "**", test.rules...)}, Now: retentionNow, Grace: time.Hour}
		if test.since > 0 {
			x.PullsSince = retentionNow.Add(-time.Duration(test.since * float64(oci.Day)))
		}
		tags := retentionTags(t, test.tags...)
		if got := deleted(tags, x.Tags(tags)); got != test.want {
			t.Errorf("%s: deletes %q, want %q", name, got, test.want)
		}
	}
}

// TestRetentionReasons: each decision names what made it; a keep rule of any policy
// wins over a delete rule of any other.
func TestRetentionReasons(t *testing.T) {
	x := registry.Retention{Now: retentionNow, Grace: time.Hour, Policies: []registry.RetentionSpec{
		retentionPolicy(t, "ci", "**", `{"action":"keep","tag_patterns":["kept-here"]}`, `{"action":"delete","not_pushed_for_days":5}`),
		retentionPolicy(t, "safe", "**", `{"action":"delete","except_newest":1}`, `{"action":"keep","tag_patterns":["kept-*"]}`),
	}}
	tags := retentionTags(t, "old i1 6", "count i2 4", "kept-here i3 9", "kept-there i4 9", "stays i5 1 - s*", "young i6 0.01", "new i7 0.001")
	for i, got := range x.Tags(tags) {
		want := map[string]registry.RetentionDecision{
			"old":        {Delete: true, Policy: "ci", Rule: 2, Reason: "retention policy ci, rule 2: delete tags, not pushed for 5 days"},
			"count":      {Delete: true, Policy: "safe", Rule: 1, Reason: "retention policy safe, rule 1: delete tags, not of the newest 1 images"},
			"kept-here":  {Policy: "ci", Rule: 1, Reason: "retention policy ci, rule 1: keep tags kept-here"},
			"kept-there": {Policy: "safe", Rule: 2, Reason: "retention policy safe, rule 2: keep tags kept-*"},
			"stays":      {Reason: "the tag is immutable (pattern s*)"},
			"young":      {Reason: "it was pushed within the grace period of garbage collections"},
			"new":        {Reason: "no rule deletes it"},
		}[tags[i].Tag.String()]
		if got != want {
			t.Errorf("%s: %+v, want %+v", tags[i].Tag, got, want)
		}
	}
}

func TestRetentionUntagged(t *testing.T) {
	ago := func(days float64) time.Time { return retentionNow.Add(-time.Duration(days * float64(oci.Day))) }
	x := registry.Retention{Now: retentionNow, Grace: 24 * time.Hour, PullsSince: ago(100), Policies: []registry.RetentionSpec{
		retentionPolicy(t, "p", "**", `{"action":"delete","not_pushed_for_days":1}`, `{"action":"delete","untagged":true,"not_pushed_for_days":7,"not_pulled_for_days":30}`),
	}}
	for _, test := range []struct {
		pushed, pulled time.Time
		want           bool
	}{
		{ago(40), time.Time{}, true}, {ago(40), ago(29), false}, {ago(40), ago(30), true}, {ago(6), ago(90), false}, {ago(29), time.Time{}, false},
	} {
		got := x.Untagged(test.pushed, test.pulled)
		if got.Delete != test.want || test.want && (got.Policy != "p" || got.Rule != 2) {
			t.Errorf("pushed %v, pulled %v: %+v", test.pushed, test.pulled, got)
		}
	}
}

// FuzzRetention: whatever the rules, tags that are immutable, young or kept stay,
// what goes has the name of a rule that deletes, and one more keep rule never makes
// anything go.
func FuzzRetention(f *testing.F) {
	f.Add(`[{"action":"delete","except_newest":2},{"action":"keep","tag_patterns":["v*"]}]`, "a 1 3 2\nv1 2 30 -\n1.0.0 1 3 4", `{"action":"keep","newest":1}`)
	f.Add(`[{"action":"delete","versions":"all","not_pulled_for_days":2}]`, "1.0.0 1 3 2\n2.0.0 2 30 -", `{"action":"keep","versions":"releases"}`)
	f.Fuzz(func(t *testing.T, rules, lines, keep string) {
		var specs []oci.RetentionRuleSpec
		var more oci.RetentionRuleSpec
		if json.Unmarshal([]byte(rules), &specs) != nil || json.Unmarshal([]byte(keep), &more) != nil || more.Action != oci.RetentionKeep || strings.Count(lines, "\n") > 50 {
			return
		}
		parsed, err := oci.ParseRetentionRules(specs)
		if err != nil {
			return
		}
		extra, err := oci.ParseRetentionRule(more)
		if err != nil {
			return
		}
		var tags []registry.RetentionTag
		for n, line := range strings.Split(lines, "\n") {
			var name, image string
			var pushed, pulled uint16
			if n, _ := fmt.Sscan(line, &name, &image, &pushed, &pulled); n < 3 {
				return
			}
			tag, err := oci.ParseTag(name)
			if err != nil {
				return
			}
			rt := registry.RetentionTag{Tag: tag, Digest: oci.FromBytes([]byte(image)), Pushed: retentionNow.Add(-time.Duration(pushed) * time.Hour), Pulled: retentionNow.Add(-time.Duration(pulled) * time.Hour)}
			if n%5 == 4 {
				rt.Immutable = "*"
			}
			tags = append(tags, rt)
		}
		x := registry.Retention{Now: retentionNow, Grace: 2 * time.Hour, PullsSince: retentionNow.Add(-1000 * time.Hour), Policies: []registry.RetentionSpec{{Name: "p", Rules: parsed}}}
		before := x.Tags(tags)
		x.Policies = append(x.Policies, registry.RetentionSpec{Name: "q", Rules: []oci.RetentionRule{extra}})
		after := x.Tags(tags)
		for i, d := range before {
			switch {
			case d.Delete && (tags[i].Immutable != "" || retentionNow.Sub(tags[i].Pushed) < x.Grace):
				t.Errorf("%s goes, and is immutable or young: %+v", tags[i].Tag, d)
			case d.Delete && (d.Policy != "p" || parsed[d.Rule-1].Spec().Action != oci.RetentionDelete || !parsed[d.Rule-1].Selects(tags[i].Tag) || parsed[d.Rule-1].Excepts(tags[i].Tag)):
				t.Errorf("%s goes by a rule that does not say so: %+v", tags[i].Tag, d)
			case after[i].Delete && !d.Delete:
				t.Errorf("%s goes for a rule that keeps: %+v", tags[i].Tag, after[i])
			}
		}
	})
}

func TestRetentionPolicies(t *testing.T) {
	y := newYard(t)
	ctx := t.Context()
	spec := retentionPolicy(t, "ci", "team/*", `{"action":"delete","except_newest":2}`)
	made, err := y.CreateRetentionPolicy(ctx, spec, "key")
	must(t, err)
	again, err := y.CreateRetentionPolicy(ctx, spec, "key")
	if err != nil || again.Revision != made.Revision {
		t.Errorf("the same request: %+v, %v", again, err)
	}
	_, err = y.CreateRetentionPolicy(ctx, spec, "other")
	wantCode(t, "one that is there", err, oci.CodeConflict)
	spec.Description = "changed"
	changed, err := y.UpdateRetentionPolicy(ctx, spec, func(revision string) bool { return revision == made.Revision })
	if err != nil || changed.Description != "changed" || changed.Revision == made.Revision || !changed.CreatedAt.Equal(made.CreatedAt) {
		t.Errorf("update: %+v, %v", changed, err)
	}
	_, err = y.UpdateRetentionPolicy(ctx, spec, func(revision string) bool { return revision == made.Revision })
	wantCode(t, "an old revision", err, oci.CodePreconditionFailed)
	_, err = y.UpdateRetentionPolicy(ctx, retentionPolicy(t, "none", "**", `{"action":"keep","newest":1}`), nil)
	wantCode(t, "one that is not there", err, oci.CodeNotFound)
	if all, err := y.RetentionPolicies(ctx); err != nil || len(all) != 1 || all[0].Name != "ci" || all[0].Rules[0].Spec().ExceptNewest != 2 {
		t.Errorf("all: %+v, %v", all, err)
	}
	wantCode(t, "delete an old revision", y.DeleteRetentionPolicy(ctx, "ci", func(string) bool { return false }), oci.CodePreconditionFailed)
	must(t, y.DeleteRetentionPolicy(ctx, "ci", nil))
	wantCode(t, "delete again", y.DeleteRetentionPolicy(ctx, "ci", nil), oci.CodeNotFound)
	_, err = y.RetentionPolicy(ctx, "ci")
	wantCode(t, "get", err, oci.CodeNotFound)
	for name, wrong := range map[string]registry.RetentionSpec{"no name": {}, "no rules": {Name: "a", Repositories: spec.Repositories}, "no globs": {Name: "a", Rules: spec.Rules}} {
		_, err := y.CreateRetentionPolicy(ctx, wrong, "")
		wantCode(t, name, err, oci.CodeInvalid)
	}
	for n := range 200 {
		spec.Name = fmt.Sprintf("p%d", n)
		_, err := y.CreateRetentionPolicy(ctx, spec, "")
		must(t, err)
	}
	spec.Name = "more"
	_, err = y.CreateRetentionPolicy(ctx, spec, "")
	wantCode(t, "too many", err, oci.CodeConflict)
}
