package oci_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func TestParseRetentionRule(t *testing.T) {
	for text, want := range map[string]string{
		`{"action":"keep","tag_patterns":["v*","latest","v*"]}`:                                       "keep tags latest, v*",
		`{"action":"keep","versions":"releases","newest":5}`:                                          "keep tags that are releases, of the newest 5 images",
		`{"action":"keep","pulled_within_days":7,"pushed_within_days":3}`:                             "keep tags, pushed within 3 days and pulled within 7 days",
		`{"action":"delete","tag_patterns":["pr-*"],"not_pushed_for_days":14}`:                        "delete tags pr-*, not pushed for 14 days",
		`{"action":"delete","except_newest":10,"except_tag_patterns":["v*"]}`:                         "delete tags but v*, not of the newest 10 images",
		`{"action":"delete","untagged":true,"not_pushed_for_days":7,"not_pulled_for_days":9}`:         "delete untagged manifests, not pushed for 7 days and not pulled for 9 days",
		`{"action":"delete","versions":"prereleases","tag_patterns":["1.*"],"not_pulled_for_days":1}`: "delete tags 1.* that are pre-releases, not pulled for 1 days",
		`{"action":"erase"}`:                                    `unknown action "erase"; use keep or delete`,
		`{"action":"delete"}`:                                   "needs except_newest",
		`{"action":"keep"}`:                                     "needs tag_patterns",
		`{"action":"keep","except_tag_patterns":["a"]}`:         "needs tag_patterns",
		`{"action":"keep","not_pushed_for_days":1}`:             "not_pushed_for_days is for rules with the action delete",
		`{"action":"delete","newest":1}`:                        "newest is for rules with the action keep",
		`{"action":"delete","except_newest":-1}`:                "the value of except_newest is -1; it must be from 1 to 100000",
		`{"action":"delete","not_pushed_for_days":36501}`:       "must be from 1 to 36500",
		`{"action":"keep","untagged":true}`:                     "untagged is for rules with the action delete",
		`{"action":"delete","untagged":true,"except_newest":1}`: "a rule for what is untagged has no",
		`{"action":"delete","untagged":true}`:                   "needs except_newest, not_pushed_for_days",
		`{"action":"delete","versions":"x","except_newest":1}`:  `unknown versions "x"`,
		`{"action":"keep","tag_patterns":["a b"]}`:              `invalid tag pattern "a b"`,
		`{"action":"keep","newest":1,"except_tag_patterns":["` + strings.Repeat(`a","`, 20) + `b"]}`: "at most 20",
	} {
		var spec oci.RetentionRuleSpec
		if err := json.Unmarshal([]byte(text), &spec); err != nil {
			t.Fatal(text, err)
		}
		rule, err := oci.ParseRetentionRule(spec)
		got := rule.String()
		if err != nil {
			got = err.Error()
			if oci.ErrorCode(err) != oci.CodeInvalid {
				t.Errorf("%s: the code is %s", text, oci.ErrorCode(err))
			}
		}
		if err == nil && got != want || err != nil && !strings.Contains(got, want) {
			t.Errorf("%s:\ngot  %s\nwant %s", text, got, want)
		}
	}
}

func TestRetentionRuleSelects(t *testing.T) {
	rule := func(text string) oci.RetentionRule {
		var spec oci.RetentionRuleSpec
		if err := json.Unmarshal([]byte(text), &spec); err != nil {
			t.Fatal(err)
		}
		r, err := oci.ParseRetentionRule(spec)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for text, want := range map[string]string{
		`{"action":"delete","except_newest":1}`:                           "1.0.0 v2.0.0-rc.1 latest pr-1",
		`{"action":"delete","except_newest":1,"tag_patterns":["pr-*"]}`:   "pr-1",
		`{"action":"delete","except_newest":1,"versions":"all"}`:          "1.0.0 v2.0.0-rc.1",
		`{"action":"delete","except_newest":1,"versions":"releases"}`:     "1.0.0",
		`{"action":"delete","except_newest":1,"versions":"prereleases"}`:  "v2.0.0-rc.1",
		`{"action":"delete","untagged":true,"not_pushed_for_days":1}`:     "",
		`{"action":"keep","versions":"all","tag_patterns":["v*","pr-*"]}`: "v2.0.0-rc.1",
	} {
		var got []string
		for _, tag := range []string{"1.0.0", "v2.0.0-rc.1", "latest", "pr-1"} {
			if parsed, err := oci.ParseTag(tag); err != nil {
				t.Fatal(err)
			} else if rule(text).Selects(parsed) {
				got = append(got, tag)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s selects %q, want %q", text, got, want)
		}
	}
}

func TestParseRetentionRules(t *testing.T) {
	keep := oci.RetentionRuleSpec{Action: oci.RetentionKeep, Newest: 1}
	_, err := oci.ParseRetentionRules([]oci.RetentionRuleSpec{keep, {Action: "x"}})
	if err == nil || !strings.Contains(err.Error(), "rules[1]: unknown action") {
		t.Errorf("a wrong rule: %v", err)
	}
	for _, n := range []int{0, oci.MaxRetentionRules + 1} {
		specs := make([]oci.RetentionRuleSpec, n)
		for i := range specs {
			specs[i] = keep
		}
		if _, err := oci.ParseRetentionRules(specs); err == nil || !strings.Contains(err.Error(), "it needs 1 to 50") {
			t.Errorf("%d rules: %v", n, err)
		}
	}
	if globs, err := oci.ParseRetentionRepositories([]string{"a/*", "a/*", "**"}); err != nil || len(globs) != 2 {
		t.Errorf("globs: %v, %v", globs, err)
	}
	for _, globs := range [][]string{nil, {"A"}, make([]string, 101)} {
		if _, err := oci.ParseRetentionRepositories(globs); oci.ErrorCode(err) != oci.CodeInvalid {
			t.Errorf("%d globs: %v", len(globs), err)
		}
	}
}

// What parses is the same when it is written and parsed again.
func FuzzRetentionRule(f *testing.F) {
	for _, s := range []string{`{"action":"keep","tag_patterns":["v*","a"],"newest":3}`, `{"action":"delete","untagged":true,"not_pushed_for_days":7}`, `{"action":"delete","versions":"all","except_newest":9,"except_tag_patterns":["*"]}`, `{}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var spec oci.RetentionRuleSpec
		if json.Unmarshal(text, &spec) != nil {
			return
		}
		rule, err := oci.ParseRetentionRule(spec)
		if err != nil {
			return
		}
		again, err := oci.ParseRetentionRule(rule.Spec())
		if err != nil || again.String() != rule.String() {
			t.Errorf("%s: %s became %s, %v", text, rule, again, err)
		}
		tag, err := oci.ParseTag("1.0.0")
		if err != nil {
			t.Fatal(err)
		}
		if rule.Selects(tag) != again.Selects(tag) || rule.Excepts(tag) != again.Excepts(tag) {
			t.Errorf("%s selects another tag when it is read again", text)
		}
	})
}
