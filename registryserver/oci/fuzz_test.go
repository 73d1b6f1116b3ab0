package oci_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Ensure that whatever parses is the same when parsed again, and nothing panics.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"", "team/app", "a//b", "v1.0", "sha256:" + hex256, "sha512:x", "**", "team/*", "..", "a\x00", "alice"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := oci.ParseRepository(s); err == nil && r.String() != s {
			t.Errorf("repository %q became %q", s, r)
		}
		if r, err := oci.ParseReference(s); err == nil && r.String() != s {
			t.Errorf("reference %q became %q", s, r)
		}
		if g, err := oci.ParseGlob(s); err == nil {
			g.Match(oci.MustRepository("team/app"))
		}
		if name, err := oci.ParseUsername(s); err == nil && name != s {
			t.Errorf("user %q became %q", s, name)
		}
		_, _ = oci.ParsePolicyName(s)
		_ = oci.CheckPassword(s)
		_ = oci.CheckPasswordHash(s)
	})
}

func FuzzParseManifest(f *testing.F) {
	for _, s := range []string{imageDoc, indexDoc, "{}", "[]", `{"schemaVersion":2,"manifests":[]}`, `{"schemaVersion":1}`} {
		f.Add("", []byte(s))
		f.Add(oci.MediaTypeImageManifest, []byte(s))
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		m, err := oci.ParseManifest(contentType, body)
		if err != nil {
			if oci.ErrorCode(err) != oci.CodeManifestInvalid {
				t.Fatalf("%v; want MANIFEST_INVALID", err)
			}
			return
		}
		again, err := oci.ParseManifest("", body)
		if err != nil || again.MediaType != m.MediaType {
			t.Errorf("pushed as %s, read back as %v, %v", m.MediaType, again, err)
		}
	})
}

// Ensure that a tag pattern matches what a regular expression made of it does,
// and that no pattern parses that is not itself again.
func FuzzTagPattern(f *testing.F) {
	for _, pair := range [][2]string{{"v*", "v1.0"}, {"*", "latest"}, {"*-rc*", "v1-rc1"}, {"", ""}, {"v1", "v1"}, {"a*b*c", "abbc"}, {"**", "a"}, {".x", "a"}} {
		f.Add(pair[0], pair[1])
	}
	f.Fuzz(func(t *testing.T, s, name string) {
		p, err := oci.ParseTagPattern(s)
		if err != nil {
			if oci.ErrorCode(err) != oci.CodeInvalid {
				t.Errorf("%v; want INVALID", err)
			}
			return
		}
		if p.String() != s {
			t.Errorf("%q became %q", s, p)
		}
		// Some tag matches, or it would be a rule that never does.
		if some, err := oci.ParseTag(strings.ReplaceAll(s, "*", "a")); err != nil || !p.Match(some) {
			t.Errorf("%q does not match %q", s, some)
		}
		tag, err := oci.ParseTag(name)
		if err != nil {
			return
		}
		want := regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(s), `\*`, ".*") + "$").MatchString(name)
		if got := p.Match(tag); got != want {
			t.Errorf("%q matches %q: %t, want %t", s, name, got, want)
		}
	})
}
