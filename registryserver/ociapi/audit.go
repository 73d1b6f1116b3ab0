package ociapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Audited is what an audit log says of a request.
type Audited struct {
	Action     oci.Action // "" for what concerns no repository
	Repository string
	Reference  string // a tag or digest
	// Whole says that the request is about an image, or deletes something. Others are
	// worth a word only if they were refused: clients look at much, and a layer is
	// nothing without its manifest.
	Whole bool
}

// Audit says what a request is about, by its method and path alone. ok is false for
// one that is malformed, and so did nothing.
func Audit(method string, u *url.URL, prefix string) (what Audited, ok bool) {
	path := *u
	path.Path, path.RawPath, path.RawQuery = "/"+strings.TrimPrefix(u.Path, prefix), "", ""
	if u.RawPath != "" {
		path.RawPath = "/" + strings.TrimPrefix(u.RawPath, prefix)
	}
	var req request
	var err error
	if rest, archive := strings.CutPrefix(path.EscapedPath(), "/"+ArchivesPath); archive {
		req, err = parseArchive(method, ArchivesPath+rest, "")
	} else {
		req, err = parse(method, &path)
	}
	if err != nil {
		return Audited{}, false
	}
	what = Audited{Action: req.action()}
	if what.Action == "" {
		return what, true
	}
	what.Repository = req.repo.String()
	switch req.kind {
	case kindManifest, kindArchive:
		what.Reference = req.ref.String()
		what.Whole = method != http.MethodHead
	case kindBlob:
		what.Reference = req.digest.String()
		what.Whole = method == http.MethodDelete
	case kindReferrers:
		what.Reference = req.digest.String()
	}
	return what, true
}
