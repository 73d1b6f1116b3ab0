package ociapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// kind says which endpoint of the distribution-spec a request is for.
type kind int

const (
	kindPing kind = iota
	kindCatalog
	kindTags
	kindManifest
	kindBlob
	kindUploads // the collection: POST begins an upload
	kindUpload  // one upload
	kindReferrers
	kindArchive // below ArchivesPath, and parsed by parseArchive
	kindToken   // not below /v2/, and never parsed
)

// request is a request, parsed: where it goes and what for. Its names are
// valid.
type request struct {
	kind   kind
	method string
	repo   oci.Repository
	ref    oci.Reference // kindManifest, kindArchive
	digest oci.Digest    // kindBlob, kindReferrers
	upload string        // kindUpload: the id in the path
	query  url.Values
}

// parse turns method and URL into a request. It is a pure function. Errors:
// NAME_INVALID, TAG_INVALID, DIGEST_INVALID, NOT_FOUND for a path that is no
// endpoint, INVALID for a query that does not parse.
func parse(method string, u *url.URL) (request, error) {
	req := request{method: method}
	segments, err := split(u.EscapedPath())
	if err != nil {
		return req, err
	}
	if req.query, err = url.ParseQuery(u.RawQuery); err != nil {
		return req, oci.Errorf(oci.CodeInvalid, "the query of the URL is not well-formed; escape it")
	}
	return req, req.route(segments)
}

// split returns the unescaped segments after /v2/. A slash or NUL that was
// smuggled into a segment by escaping is refused here: what follows could
// not tell it from a separator.
func split(path string) ([]string, error) {
	rest, ok := strings.CutPrefix(path, "/v2")
	if !ok || rest != "" && rest[0] != '/' {
		return nil, notFound()
	}
	segments := strings.Split(strings.TrimPrefix(rest, "/"), "/")
	for i, s := range segments {
		plain, err := url.PathUnescape(s)
		if err != nil || strings.ContainsAny(plain, "/\x00") {
			return nil, oci.Errorf(oci.CodeNameInvalid, "the path holds an escaped slash or an invalid escape; write names as they are")
		}
		segments[i] = plain
	}
	return segments, nil
}

// route finds the endpoint from the end of the path: repository names hold
// slashes, so its beginning says nothing.
func (req *request) route(s []string) error {
	n := len(s)
	switch {
	case n == 1 && s[0] == "":
		req.kind = kindPing
		return nil
	case n == 1 && s[0] == "_catalog":
		req.kind = kindCatalog
		return nil
	case n >= 3 && s[n-2] == "tags" && s[n-1] == "list":
		req.kind = kindTags
		return req.name(s[:n-2])
	case n >= 4 && s[n-3] == "blobs" && s[n-2] == "uploads" && s[n-1] != "":
		req.kind, req.upload = kindUpload, s[n-1]
		return req.name(s[:n-3])
	case n >= 4 && s[n-3] == "blobs" && s[n-2] == "uploads":
		req.kind = kindUploads
		return req.name(s[:n-3])
	case n >= 3 && s[n-2] == "blobs" && s[n-1] == "uploads":
		req.kind = kindUploads
		return req.name(s[:n-2])
	case n >= 3 && s[n-2] == "manifests":
		req.kind = kindManifest
		if err := req.name(s[:n-2]); err != nil {
			return err
		}
		var err error
		req.ref, err = oci.ParseReference(s[n-1])
		return err
	case n >= 3 && (s[n-2] == "blobs" || s[n-2] == "referrers"):
		req.kind = kindBlob
		if s[n-2] == "referrers" {
			req.kind = kindReferrers
		}
		if err := req.name(s[:n-2]); err != nil {
			return err
		}
		var err error
		req.digest, err = oci.ParseDigest(s[n-1])
		return err
	}
	return notFound()
}

func (req *request) name(segments []string) (err error) {
	req.repo, err = oci.ParseRepository(strings.Join(segments, "/"))
	return err
}

// action returns the right that the request needs on its repository; "" for
// ping and catalog, which need none.
func (req *request) action() oci.Action {
	switch req.kind {
	case kindPing, kindCatalog:
		return ""
	case kindUploads, kindUpload:
		return oci.Push
	}
	switch req.method {
	case http.MethodGet, http.MethodHead:
		return oci.Pull
	case http.MethodDelete:
		return oci.Delete
	default:
		return oci.Push
	}
}

// scope returns the rights to ask for when the caller must log in: whoever
// pushes also pulls, to see what is there already.
func (req *request) scope() []oci.Action {
	switch action := req.action(); action {
	case "":
		return nil
	case oci.Push:
		return []oci.Action{oci.Pull, oci.Push}
	default:
		return []oci.Action{action}
	}
}

// writes reports whether the request changes anything.
func (req *request) writes() bool {
	return req.method != http.MethodGet && req.method != http.MethodHead
}

// deletes reports whether the request removes content. Cancelling an upload
// removes nothing that was ever there.
func (req *request) deletes() bool {
	return req.method == http.MethodDelete && req.kind != kindUpload
}

func notFound() error {
	return oci.Errorf(oci.CodeNotFound, "there is no such endpoint below /v2/")
}

// Endpoint names the endpoint that a request below prefix is for, as the
// metrics of distribution do.
func Endpoint(method string, u *url.URL, prefix string) string {
	path := *u
	path.Path, path.RawPath, path.RawQuery = "/"+strings.TrimPrefix(u.Path, prefix), "", ""
	req, err := parse(method, &path)
	if err != nil {
		return "invalid"
	}
	switch req.kind {
	case kindPing:
		return "base"
	case kindCatalog:
		return "catalog"
	case kindTags:
		return "tags"
	case kindManifest:
		return "manifest"
	case kindBlob:
		return "blob"
	case kindUploads:
		return "blob_upload"
	case kindUpload:
		return "blob_upload_chunk"
	default:
		return "referrers"
	}
}
