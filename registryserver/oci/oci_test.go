package oci_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

const (
	hex256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	hex512 = "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)

// Ensure that only well-formed digests of the two known algorithms parse.
func TestParseDigest(t *testing.T) {
	for _, s := range []string{"sha256:" + hex256, "sha512:" + hex512} {
		d, err := oci.ParseDigest(s)
		if err != nil || d.String() != s {
			t.Errorf("ParseDigest(%q) = %v, %v", s, d, err)
		}
	}
	for _, s := range []string{"", ":", "sha256:", "sha256:" + hex256[1:], "sha256:" + strings.ToUpper(hex256),
		"sha384:" + hex512[:96], "sha512:" + hex256, "sha256:../../../../etc/passwd", "md5:d41d8cd98f00b204e9800998ecf8427e",
		"sha256:" + hex256 + "\x00", strings.Repeat("a", 1<<20)} {
		if d, err := oci.ParseDigest(s); oci.ErrorCode(err) != oci.CodeDigestInvalid || !d.IsZero() {
			t.Errorf("ParseDigest(%.40q) = %v, %v; want DIGEST_INVALID", s, d, err)
		}
	}
	if got := oci.FromBytes(nil).Hex(); got != hex256 {
		t.Errorf("FromBytes(nil) = %s", got)
	}
	if got := oci.SHA512.Of(nil).Hex(); got != hex512 {
		t.Errorf("SHA512.Of(nil) = %s", got)
	}
}

// Ensure that repository names follow the distribution-spec's grammar.
func TestParseRepository(t *testing.T) {
	for _, s := range []string{"a", "a/b", "team/app", "a-b", "a--b", "a__b", "a.b", "0/1/2", strings.Repeat("a", 255)} {
		if _, err := oci.ParseRepository(s); err != nil {
			t.Errorf("ParseRepository(%q): %v", s, err)
		}
	}
	for _, s := range []string{"", "A", "a//b", "/a", "a/", "a..b", "a___b", "-a", "a-", "..", "a/../b", "a b", "a\x00b",
		"_catalog", "a/_layers", "a%2fb", strings.Repeat("a", 256)} {
		if _, err := oci.ParseRepository(s); oci.ErrorCode(err) != oci.CodeNameInvalid {
			t.Errorf("ParseRepository(%q): %v; want NAME_INVALID", s, err)
		}
	}
}

func TestParseReference(t *testing.T) {
	for _, s := range []string{"latest", "v1.0", "_x", "V1", strings.Repeat("a", 128), "sha256:" + hex256} {
		if ref, err := oci.ParseReference(s); err != nil || ref.String() != s {
			t.Errorf("ParseReference(%q) = %v, %v", s, ref, err)
		}
	}
	for s, want := range map[string]oci.Code{"": oci.CodeTagInvalid, ".": oci.CodeTagInvalid, "..": oci.CodeTagInvalid, "-a": oci.CodeTagInvalid,
		"a/b": oci.CodeTagInvalid, strings.Repeat("a", 129): oci.CodeTagInvalid, "sha256:bad": oci.CodeDigestInvalid} {
		if _, err := oci.ParseReference(s); oci.ErrorCode(err) != want {
			t.Errorf("ParseReference(%q): %v; want %s", s, err, want)
		}
	}
}

// Ensure that * stays within one part of a name and ** does not.
func TestGlob(t *testing.T) {
	cases := []struct {
		glob     string
		yes, not []string
	}{
		{"**", []string{"a", "a/b", "a/b/c"}, nil},
		{"*", []string{"a", "app"}, []string{"a/b"}},
		{"team/*", []string{"team/app"}, []string{"team", "team/app/cache", "teams/app"}},
		{"team/**", []string{"team/app", "team/app/cache"}, []string{"team"}},
		{"a*c", []string{"ac", "abc"}, []string{"a/c", "abcd"}},
		{"**/app", []string{"x/app", "x/y/app"}, []string{"app"}},
		{"team/app", []string{"team/app"}, []string{"team/app2"}},
	}
	for _, c := range cases {
		g, err := oci.ParseGlob(c.glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range c.yes {
			if !g.Match(oci.MustRepository(s)) {
				t.Errorf("%q does not match %q", c.glob, s)
			}
		}
		for _, s := range c.not {
			if g.Match(oci.MustRepository(s)) {
				t.Errorf("%q matches %q", c.glob, s)
			}
		}
	}
	for _, s := range []string{"", "/a", "a/", "a//b", "A", "***", "a[b]", "..", "a/../b", strings.Repeat("*a", 200)} {
		if _, err := oci.ParseGlob(s); oci.ErrorCode(err) != oci.CodeInvalid {
			t.Errorf("ParseGlob(%q): %v; want INVALID", s, err)
		}
	}
}

func TestTagPatterns(t *testing.T) {
	for pattern, tags := range map[string][2]string{ // what matches, and what does not
		"v*": {"v v1 v1.2-rc.3", "1 V1 xv1"}, "*": {"v1 latest _", ""}, "v1": {"v1", "v v10"}, "*-rc*": {"a-rc1 v1-rc", "v1rc"}, "V*.0": {"V1.0 V.0", "V1.0.1"},
	} {
		p, err := oci.ParseTagPattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for i, list := range tags {
			for name := range strings.FieldsSeq(list) {
				tag, err := oci.ParseTag(name)
				if err != nil {
					t.Fatal(err)
				}
				if p.Match(tag) != (i == 0) {
					t.Errorf("%q matches %q: %t", pattern, name, i != 0)
				}
			}
		}
	}
	for _, s := range []string{"", "**", "v**", "a b", "a/b", "sha256:x", ".*", "-*", "v[0-9]", "v?", "ä", strings.Repeat("a", 129)} {
		if _, err := oci.ParseTagPattern(s); oci.ErrorCode(err) != oci.CodeInvalid {
			t.Errorf("ParseTagPattern(%q): %v; want INVALID", s, err)
		}
	}
	if got, err := oci.ParseTagPatterns([]string{"v*", "1.*", "v*"}); err != nil || fmt.Sprint(got) != "[1.* v*]" {
		t.Errorf("ParseTagPatterns: %v, %v", got, err)
	}
	if _, err := oci.ParseTagPatterns(make([]string, oci.MaxTagPatterns+1)); oci.ErrorCode(err) != oci.CodeInvalid {
		t.Errorf("too many patterns: %v", err)
	}
}

func TestPasswordRules(t *testing.T) {
	for _, s := range []string{"12345678", "pässwörter", strings.Repeat("x", 72)} {
		if err := oci.CheckPassword(s); err != nil {
			t.Errorf("CheckPassword: %v", err)
		}
	}
	for _, s := range []string{"", "short", strings.Repeat("x", 73), "line\nbreak", "bad\xff\xfe utf8"} {
		if err := oci.CheckPassword(s); oci.ErrorCode(err) != oci.CodeInvalid || s != "" && strings.Contains(err.Error(), s) {
			t.Errorf("CheckPassword(%q): %v; want INVALID without the password", s, err)
		}
	}
	const hash = "$2y$10$abcdefghijklmnopqrstuuKe3rJ2jQJ6vYQ1yq5yqXK1m2n3o4p5q"
	if err := oci.CheckPasswordHash(hash); err != nil {
		t.Errorf("CheckPasswordHash: %v", err)
	}
	for _, s := range []string{"", "plain", "$apr1$x$y", strings.Replace(hash, "$10$", "$31$", 1), hash[:59]} {
		if err := oci.CheckPasswordHash(s); err == nil {
			t.Errorf("CheckPasswordHash(%q) passes", s)
		}
	}
}

const (
	descr    = `{"mediaType":"m","size":2,"digest":"sha256:` + hex256 + `"}`
	imageDoc = `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageManifest + `","config":` + descr + `,"layers":[` + descr + `]}`
	indexDoc = `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageIndex + `","manifests":[` + descr + `],"subject":` + descr + `}`
)

func TestParseManifest(t *testing.T) {
	for _, c := range []struct{ name, contentType, body, want string }{
		{"image", oci.MediaTypeImageManifest, imageDoc, ""},
		{"index", oci.MediaTypeImageIndex, indexDoc, ""},
		{"stored image", "", imageDoc, ""},
		{"OCI without mediaType", oci.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + descr + `,"layers":[]}`, ""},
		{"empty index", "", `{"schemaVersion":2,"manifests":[]}`, ""},
		{"docker", oci.MediaTypeDockerManifest, strings.Replace(imageDoc, oci.MediaTypeImageManifest, oci.MediaTypeDockerManifest, 1), ""},
		{"type differs", oci.MediaTypeImageManifest, indexDoc, "must agree"},
		{"docker without mediaType", oci.MediaTypeDockerManifest, `{"schemaVersion":2,"config":` + descr + `,"layers":[]}`, "must agree"},
		{"image and index", "", strings.Replace(imageDoc, `"layers"`, `"manifests":[],"layers"`, 1), "CVE-2021-41190"},
		{"index and image", "", strings.Replace(indexDoc, `"manifests"`, `"layers":[],"manifests"`, 1), "CVE-2021-41190"},
		{"schema 1", "", `{"schemaVersion":1,"fsLayers":[]}`, "schema 1"},
		{"schema 3", "", `{"schemaVersion":3}`, "must be 2"},
		{"no config", "", `{"schemaVersion":2,"layers":[]}`, "no config"},
		{"bad digest", "", strings.Replace(imageDoc, hex256, "zz", 1), "invalid digest"},
		{"no digest", "", `{"schemaVersion":2,"config":{},"layers":[]}`, "config has no digest"},
		{"negative size", "", strings.Replace(imageDoc, `"size":2`, `"size":-2`, 1), "not negative"},
		{"huge size", "", strings.Replace(imageDoc, `"size":2`, `"size":1e99`, 1), "wrong type"},
		{"unknown type", "application/json", imageDoc, "not accepted"},
		{"not JSON", "", `hello`, "not one JSON object"},
		{"array", "", `[]`, "wrong type"},
		{"two documents", "", imageDoc + imageDoc, "further data"},
		{"deep", "", strings.Repeat(`{"a":`, 100000), "not one JSON object"},
		{"too large", "", `{"a":"` + strings.Repeat("x", oci.MaxManifestSize) + `"}`, "too large"},
	} {
		_, err := oci.ParseManifest(c.contentType, []byte(c.body))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (oci.ErrorCode(err) != oci.CodeManifestInvalid || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v; want MANIFEST_INVALID with %q", c.name, err, c.want)
		}
	}
}

// Ensure that errors match by code, as they do after a trip over the wire.
func TestErrorIs(t *testing.T) {
	cause := errors.New("disk on fire")
	err := error(&oci.Error{Code: oci.CodeBlobUnknown, Message: "blob unknown", Err: cause})
	if !errors.Is(err, &oci.Error{Code: oci.CodeBlobUnknown}) || errors.Is(err, &oci.Error{Code: oci.CodeDenied}) || !errors.Is(err, cause) {
		t.Error("errors.Is does not compare codes and causes")
	}
}
