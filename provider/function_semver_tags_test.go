package provider

import (
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func TestSemverTags(t *testing.T) {
	for version, want := range map[string]string{
		"1.4.2":                 "1 1.4 1.4.2",
		"v1.4.2":                "v1 v1.4 v1.4.2",
		"10.0.0":                "10 10.0 10.0.0",
		"0.3.1":                 "0.3 0.3.1",
		"0.0.0":                 "0.0 0.0.0",
		"1.5.0-rc.1":            "1.5.0-rc.1",
		"v0.1.0-alpha":          "v0.1.0-alpha",
		"1.4.2+b7":              "1 1.4 1.4.2 1.4.2_b7",
		"1.4.2-rc.1+b7":         "1.4.2-rc.1 1.4.2-rc.1_b7",
		"1.0.0--":               "1.0.0--",
		"99999999999999999.1.0": "99999999999999999 99999999999999999.1 99999999999999999.1.0",
	} {
		if got, err := semverTags(version); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %v, %v; want %s", version, got, err, want)
		}
	}
	for _, version := range []string{
		"", "1", "1.4", "1.4.2.1", "01.4.2", "1.04.2", "1.4.2-", "1.4.2-01", "1.4.2+", "1.4.2-a..b", "V1.4.2", "vv1.4.2", " 1.4.2", "1.4.2\n", "-1.4.2", "1.4.2-ü", "latest",
		"1.4.2-" + strings.Repeat("a", 128), strings.Repeat("ü", 200),
	} {
		if got, err := semverTags(version); err == nil {
			t.Errorf("%q: no error, but %v", version, got)
		}
	}
}

// The order is that of semver.org, section 11.
func TestSemverOrder(t *testing.T) {
	want := strings.Fields("0.9.9 1.0.0-0 1.0.0-9 1.0.0-10 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.0.1 1.0.10 1.2.0 1.10.0 2.0.0 10.0.0")
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortStableFunc(got, func(a, b string) int {
		v, err := oci.ParseSemver(a)
		w, again := oci.ParseSemver(b)
		if err != nil || again != nil {
			t.Fatal(err, again)
		}
		return v.Compare(w)
	})
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if a, b := mustSemver(t, "1.0.0+a"), mustSemver(t, "v1.0.0+b"); a.Compare(b) != 0 {
		t.Error("build metadata or a v changes the order")
	}
}

func mustSemver(t *testing.T, s string) oci.Semver {
	t.Helper()
	v, err := oci.ParseSemver(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Whatever is a version gives valid tags, the version itself among them, and
// the order is one.
func FuzzSemver(f *testing.F) {
	for _, seed := range []string{"1.4.2", "v0.0.1-rc.1+b.7", "1.0.0-alpha.beta", "01.0.0", "1.0.0--.-", "1.0.0+--"} {
		f.Add(seed, "1.0.0-1")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		v, err := oci.ParseSemver(a)
		if err != nil {
			return
		}
		if v.Compare(v) != 0 {
			t.Errorf("%q differs from itself", a)
		}
		if w, err := oci.ParseSemver(b); err == nil && v.Compare(w) != -w.Compare(v) {
			t.Errorf("%q and %q are in no order", a, b)
		}
		tags, err := semverTags(a)
		if err != nil {
			return
		}
		for _, tag := range tags {
			if _, err := oci.ParseTag(tag); err != nil {
				t.Errorf("%q gives %v", a, err)
			}
		}
		again, err := oci.TagSemver(tags[len(tags)-1])
		if err != nil || again.Compare(v) != 0 || !slices.Equal(again.Tags(), tags) {
			t.Errorf("%q comes back as %v, %v", a, again, err)
		}
	})
}

func TestSemverTagsFunction(t *testing.T) {
	texts := func(want ...string) knownvalue.Check {
		checks := make([]knownvalue.Check, len(want))
		for i, text := range want {
			checks[i] = knownvalue.StringExact(text)
		}
		return knownvalue.ListExact(checks)
	}
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: `
resource "terraform_data" "version" { input = "v0.3.1" }
output "known"   { value = provider::registry::semver_tags("1.4.2") }
output "unknown" { value = provider::registry::semver_tags(terraform_data.version.output) }
`,
			ConfigPlanChecks: resource.ConfigPlanChecks{PreApply: []plancheck.PlanCheck{plancheck.ExpectUnknownOutputValue("unknown")}},
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownOutputValue("known", texts("1", "1.4", "1.4.2")),
				statecheck.ExpectKnownOutputValue("unknown", texts("v0.3", "v0.3.1")),
			},
		},
		resource.TestStep{
			Config:      `output "x" { value = provider::registry::semver_tags("1.4") }`,
			ExpectError: says(`"1.4" is not a semantic version`),
		},
		resource.TestStep{
			Config:      `output "x" { value = provider::registry::semver_tags(null) }`,
			ExpectError: says("argument must not be null"),
		},
		resource.TestStep{Config: `output "x" { value = "for the destroy" }`},
	)
}
