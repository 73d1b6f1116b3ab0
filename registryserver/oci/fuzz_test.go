package oci_test

import (
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
