package ociapi

import (
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Whatever the path, its names are valid or the error has a code.
func FuzzParseArchive(f *testing.F) {
	for _, path := range []string{"a", "team/app:v1", "a@" + testDigest, "a:b@" + testDigest, "a%3Ab", "..%2f..", ":", "@"} {
		f.Add(path, "platform=linux/amd64")
	}
	f.Fuzz(func(t *testing.T, path, query string) {
		req, err := parseArchive("GET", ArchivesPath+path, query)
		if err != nil {
			if oci.ErrorCode(err) == oci.CodeUnknown {
				t.Errorf("%q: %v has no code", path, err)
			}
			return
		}
		if req.repo.IsZero() || req.ref.Tag.IsZero() == req.ref.Digest.IsZero() {
			t.Errorf("%q became %s %+v", path, req.repo, req.ref)
		}
		if strings.ContainsAny(fileName(req), "/\"\\\x00") {
			t.Errorf("%q has the file name %q", path, fileName(req))
		}
	})
}
