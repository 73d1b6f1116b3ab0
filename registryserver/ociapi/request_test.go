package ociapi

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

const testDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Ensure that a path is one endpoint or one error, whatever the repository is
// called.
func TestParse(t *testing.T) {
	for _, c := range []struct {
		path string
		kind kind
		repo string
		err  oci.Code
	}{
		{path: "/v2", kind: kindPing},
		{path: "/v2/", kind: kindPing},
		{path: "/v2/_catalog", kind: kindCatalog},
		{path: "/v2/a/tags/list", kind: kindTags, repo: "a"},
		{path: "/v2/a/b/tags/list", kind: kindTags, repo: "a/b"},
		{path: "/v2/tags/list/tags/list", kind: kindTags, repo: "tags/list"},
		{path: "/v2/manifests/manifests/manifests", kind: kindManifest, repo: "manifests"},
		{path: "/v2/a/manifests/latest", kind: kindManifest, repo: "a"},
		{path: "/v2/a/manifests/" + testDigest, kind: kindManifest, repo: "a"},
		{path: "/v2/a/manifests/sha256%3A" + testDigest[7:], kind: kindManifest, repo: "a"},
		{path: "/v2/a/blobs/" + testDigest, kind: kindBlob, repo: "a"},
		{path: "/v2/a/blobs/uploads/", kind: kindUploads, repo: "a"},
		{path: "/v2/a/blobs/uploads", kind: kindUploads, repo: "a"},
		{path: "/v2/a/blobs/uploads/x", kind: kindUpload, repo: "a"},
		{path: "/v2/a/blobs/uploads/blobs/uploads/x", kind: kindUpload, repo: "a/blobs/uploads"},
		{path: "/v2/a/referrers/" + testDigest, kind: kindReferrers, repo: "a"},

		{path: "/v3/", err: oci.CodeNotFound},
		{path: "/v2x", err: oci.CodeNotFound},
		{path: "/v2/a", err: oci.CodeNotFound},
		{path: "/v2/a/tags/list/", err: oci.CodeNotFound},
		{path: "/v2//tags/list", err: oci.CodeNameInvalid},
		{path: "/v2/A/tags/list", err: oci.CodeNameInvalid},
		{path: "/v2/../etc/tags/list", err: oci.CodeNameInvalid},
		{path: "/v2/a/%2e%2e/tags/list", err: oci.CodeNameInvalid},
		{path: "/v2/a%2fb/tags/list", err: oci.CodeNameInvalid},
		{path: "/v2/a%00/tags/list", err: oci.CodeNameInvalid},
		{path: "/v2/a/manifests/..", err: oci.CodeTagInvalid},
		{path: "/v2/a/manifests/%2e%2e%2fpasswd", err: oci.CodeNameInvalid},
		{path: "/v2/a/manifests/sha256:bad", err: oci.CodeDigestInvalid},
		{path: "/v2/a/blobs/latest", err: oci.CodeDigestInvalid},
		{path: "/v2/a/referrers/latest", err: oci.CodeDigestInvalid},
		{path: "/v2/a/tags/list?n=%zz", err: oci.CodeInvalid},
	} {
		u, err := url.Parse("http://x" + c.path)
		if err != nil {
			t.Fatal(err)
		}
		req, err := parse(http.MethodGet, u)
		switch {
		case c.err != "":
			if err == nil || oci.ErrorCode(err) != c.err {
				t.Errorf("%s: %+v, %v; want %s", c.path, req, err, c.err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.path, err)
		case req.kind != c.kind || req.repo.String() != c.repo:
			t.Errorf("%s: kind %d, repository %q; want %d, %q", c.path, req.kind, req.repo, c.kind, c.repo)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"/v2/", "/v2/a/tags/list?n=1&last=x", "/v2/a/manifests/" + testDigest, "/v2/a%2fb/blobs/uploads/x?_state=y", "/v2/../..", "/v2/a/blobs/\x00"} {
		f.Add("GET", s)
	}
	f.Fuzz(func(t *testing.T, method, path string) {
		u, err := url.Parse(path)
		if err != nil {
			return
		}
		req, err := parse(method, u)
		if err != nil {
			if code := oci.ErrorCode(err); code == oci.CodeUnknown {
				t.Fatalf("%q: %v has no code", path, err)
			}
			return
		}
		if name := req.repo.String(); strings.Contains(name, "..") || strings.ContainsAny(name, "\x00%\\") {
			t.Fatalf("%q became repository %q", path, name)
		}
	})
}

func TestContentRange(t *testing.T) {
	for _, c := range []struct {
		value  string
		length int64
		start  int64
		ok     bool
		err    oci.Code
	}{
		{"", 5, 0, false, ""},
		{"0-4", 5, 0, true, ""},
		{"5-9", -1, 5, true, ""},
		{"bytes 5-9/10", 5, 5, true, ""},
		{"5-9/*", 5, 5, true, ""},
		{"0-4", 6, 0, false, oci.CodeSizeInvalid},
		{"9-5", 5, 0, false, oci.CodeRangeInvalid},
		{"a-b", 5, 0, false, oci.CodeRangeInvalid},
		{"-5", 5, 0, false, oci.CodeRangeInvalid},
		{"0-99999999999999999999", 5, 0, false, oci.CodeRangeInvalid},
		{"0-9999999999999999999", 5, 0, false, oci.CodeRangeInvalid},
	} {
		start, ok, err := contentRange(http.Header{"Content-Range": {c.value}}, c.length)
		if start != c.start || ok != c.ok || (err == nil) != (c.err == "") || err != nil && oci.ErrorCode(err) != c.err {
			t.Errorf("%q of %d bytes: %d, %v, %v", c.value, c.length, start, ok, err)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	f.Add("0-4", int64(5))
	f.Add("bytes 1-2/3", int64(-1))
	f.Fuzz(func(t *testing.T, value string, length int64) {
		start, ok, err := contentRange(http.Header{"Content-Range": {value}}, length)
		if start < 0 || ok && err != nil {
			t.Errorf("%q: %d, %v, %v", value, start, ok, err)
		}
	})
}

// Ensure that unsatisfiable agrees with http.ServeContent, whose verdict it
// foretells.
func FuzzUnsatisfiable(f *testing.F) {
	for _, s := range []string{"0-0", "500-", "-5", "5-0", "10-20", "0-1,3-4", "0-1,99-100", "-0", "- 0", "-+00 ,", "--1", "a-b", ",", " 0 - 1 "} {
		f.Add(s, uint16(10))
		f.Add(s, uint16(0))
	}
	f.Fuzz(func(t *testing.T, ranges string, size uint16) {
		if strings.ContainsAny(ranges, "\r\n") {
			return
		}
		header := "bytes=" + ranges
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Range", header)
		w := httptest.NewRecorder()
		http.ServeContent(w, r, "x.bin", time.Time{}, strings.NewReader(strings.Repeat("x", int(size))))
		theirs := w.Code == http.StatusRequestedRangeNotSatisfiable
		// A suffix of no bytes is a range of nothing: RFC 9110 calls it
		// unsatisfiable, net/http answers 206 with no body.
		if ours := unsatisfiable(header, int64(size)); ours != theirs && !(ours && emptySuffixRE.MatchString(ranges)) {
			t.Errorf("Range %q of %d bytes: we say %v, net/http %v", ranges, size, ours, theirs)
		}
	})
}

var emptySuffixRE = regexp.MustCompile(`(?:^|,)[ \t]*-[ \t]*[+]?0+[ \t]*(?:,|$)`)

func FuzzParsePage(f *testing.F) {
	f.Add("n=10&last=a")
	f.Add("n=99999999999999999999")
	f.Add("n=-1")
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		p, err := parsePage(q, 100, 1000)
		if err == nil && (p.n < 0 || p.n > 1000) {
			t.Errorf("%q: n is %d", query, p.n)
		}
	})
}

// Ensure that no state a client makes up opens a session or ends in anything
// but its error.
func FuzzOpenSession(f *testing.F) {
	keys, err := auth.NewKeyring("a secret")
	if err != nil {
		f.Fatal(err)
	}
	now := time.Now()
	genuine, err := newSession(oci.MustRepository("a"), now, 1).seal(keys, "/")
	if err != nil {
		f.Fatal(err)
	}
	_, token, _ := strings.Cut(genuine, "_state=")
	f.Add("x", token)
	f.Add("x", "")
	f.Add("x", "AQ")
	f.Add("x", token[:20]+"A"+token[21:])
	f.Fuzz(func(t *testing.T, upload, state string) {
		req := request{repo: oci.MustRepository("a"), upload: upload, query: url.Values{"_state": {state}}}
		s, err := openSession(keys, req, now, time.Hour)
		if err == nil {
			t.Fatalf("%+v was opened for upload %q", s, upload)
		}
		if oci.ErrorCode(err) != oci.CodeBlobUploadInvalid {
			t.Fatalf("%v; want BLOB_UPLOAD_INVALID", err)
		}
	})
}
