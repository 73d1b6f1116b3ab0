package ociapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/ociapi"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// Ensure that every way to push a blob ends in the same blob.
func TestPushForms(t *testing.T) {
	for _, alg := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		for name, push := range map[string]func(c *client, d oci.Digest, content string) *answer{
			"POST+PUT": func(c *client, d oci.Digest, content string) *answer {
				return c.do("PUT", c.start("a")+"&digest="+d.String(), content)
			},
			"POST+PATCH+PUT": func(c *client, d oci.Digest, content string) *answer {
				patched := c.do("PATCH", c.start("a"), content).want(http.StatusAccepted)
				return c.do("PUT", patched.location()+"&digest="+d.String(), "")
			},
			"chunks": func(c *client, d oci.Digest, content string) *answer {
				loc := c.start("a")
				for i := 0; i < len(content); i += 7 {
					end := min(i+7, len(content))
					loc = c.do("PATCH", loc, content[i:end], "Content-Range", fmt.Sprintf("%d-%d", i, end-1)).want(http.StatusAccepted).location()
				}
				return c.do("PUT", loc+"&digest="+d.String(), "")
			},
			"single POST": func(c *client, d oci.Digest, content string) *answer {
				return c.do("POST", "/v2/a/blobs/uploads/?digest="+d.String(), content)
			},
		} {
			t.Run(string(alg)+" "+name, func(t *testing.T) {
				c := newClient(t, ociapi.Config{})
				content := strings.Repeat("some content ", 5)
				d := alg.Of([]byte(content))
				created := push(c, d, content).want(http.StatusCreated)
				if got := created.header("Docker-Content-Digest"); got != d.String() {
					t.Errorf("digest %s, want %s", got, d)
				}
				if got := c.do("GET", created.location(), "").want(http.StatusOK); got.body != content {
					t.Errorf("pulled %q", got.body)
				}
				head := c.do("HEAD", "/v2/a/blobs/"+d.String(), "").want(http.StatusOK)
				if head.header("Content-Length") != fmt.Sprint(len(content)) || head.header("Docker-Content-Digest") != d.String() {
					t.Errorf("HEAD: %v", head.Header)
				}
			})
		}
	}
}

// Ensure that a client that lost an answer finds where to go on, and that the
// same bytes sent twice are not stored twice.
func TestResume(t *testing.T) {
	c := newClient(t, ociapi.Config{})
	d := oci.FromBytes([]byte("one two"))
	first := c.start("a")
	second := c.do("PATCH", first, "one ").want(http.StatusAccepted).location()
	// The same PATCH again, as a retry sends it, would append.
	c.do("PATCH", first, "one ").wantError(http.StatusRequestedRangeNotSatisfiable, oci.CodeRangeInvalid)
	status := c.do("GET", first, "").want(http.StatusNoContent)
	if got := status.header("Range"); got != "0-3" {
		t.Errorf("Range %q, want 0-3", got)
	}
	c.do("PATCH", second, "xx", "Content-Range", "9-10").wantError(http.StatusRequestedRangeNotSatisfiable, oci.CodeRangeInvalid)
	third := c.do("PATCH", status.location(), "two", "Content-Range", "4-6").want(http.StatusAccepted).location()
	c.do("PUT", third+"&digest="+d.String(), "").want(http.StatusCreated)
	// The answer to that PUT was lost.
	c.do("PUT", third+"&digest="+d.String(), "").want(http.StatusCreated)
	c.do("PUT", third+"&digest="+oci.FromBytes([]byte("x")).String(), "").wantError(http.StatusNotFound, oci.CodeBlobUploadUnknown)
	c.do("PATCH", third, "more").wantError(http.StatusNotFound, oci.CodeBlobUploadUnknown)
}

func TestCancel(t *testing.T) {
	c := newClient(t, ociapi.Config{})
	loc := c.do("PATCH", c.start("a"), "x").want(http.StatusAccepted).location()
	c.do("DELETE", loc, "").want(http.StatusNoContent)
	c.do("DELETE", loc, "").wantError(http.StatusNotFound, oci.CodeBlobUploadUnknown)
	c.do("GET", loc, "").wantError(http.StatusNotFound, oci.CodeBlobUploadUnknown)
}

// Ensure that no session but the one that was given out is accepted.
func TestSessions(t *testing.T) {
	c := newClient(t, ociapi.Config{})
	loc := c.start("a")
	if len(loc) > 2048 {
		t.Errorf("Location of %d bytes", len(loc))
	}
	other := c.start("a")
	id := func(l string) string { return strings.TrimPrefix(strings.Split(l, "?")[0], "/v2/a/blobs/uploads/") }
	for name, forged := range map[string]string{
		"of another repository": strings.Replace(loc, "/v2/a/", "/v2/b/", 1),
		"of another upload":     strings.Replace(loc, id(loc), id(other), 1),
		"changed":               loc[:len(loc)-3] + "AAA",
		"cut":                   loc[:len(loc)-8],
		"none":                  strings.Split(loc, "?")[0],
		"no base64":             strings.Split(loc, "?")[0] + "?_state=%00",
		"huge":                  strings.Split(loc, "?")[0] + "?_state=" + strings.Repeat("A", 8000),
	} {
		for _, method := range []string{"GET", "PATCH", "PUT", "DELETE"} {
			target := forged
			if method == "PUT" {
				sep := "&"
				if !strings.Contains(forged, "?") {
					sep = "?"
				}
				target += sep + "digest=" + oci.FromBytes(nil).String()
			}
			if a := c.do(method, target, ""); a.StatusCode != http.StatusNotFound || a.code() != oci.CodeBlobUploadInvalid {
				t.Errorf("%s, %s: %d %s", name, method, a.StatusCode, a.body)
			}
		}
	}
	c.clock = func() time.Time { return time.Now().Add(8 * 24 * time.Hour) }
	c.do("GET", loc, "").wantError(http.StatusNotFound, oci.CodeBlobUploadInvalid)
}

// Ensure the answer to every kind of bad input: a code, a JSON body, and never
// a fault of ours.
func TestBadInput(t *testing.T) {
	c := newClient(t, ociapi.Config{MaxTags: 10, MaxCatalog: 10})
	content := strings.Repeat("x", 100)
	d := c.push("a", content)
	image := imageOf(d)
	c.do("PUT", "/v2/a/manifests/v1", image, "Content-Type", oci.MediaTypeImageManifest).want(http.StatusCreated)
	wrong := oci.FromBytes([]byte("wrong")).String()
	for _, x := range []struct {
		method, path, body string
		header             []string
		status             int
		code               oci.Code
	}{
		{"GET", "/v2/A/tags/list", "", nil, 400, oci.CodeNameInvalid},
		{"GET", "/v2/" + strings.Repeat("a", 300) + "/tags/list", "", nil, 400, oci.CodeNameInvalid},
		{"GET", "/v2/a/../../etc/passwd/tags/list", "", nil, 400, oci.CodeNameInvalid},
		{"GET", "/v2/a%2f..%2fb/tags/list", "", nil, 400, oci.CodeNameInvalid},
		{"GET", "/v2/a%00b/tags/list", "", nil, 400, oci.CodeNameInvalid},
		{"GET", "/v2/a/nothing", "", nil, 404, oci.CodeNotFound},
		{"POST", "/v2/a/tags/list", "", nil, 405, oci.CodeMethodNotAllowed},
		{"BREW", "/v2/", "", nil, 405, oci.CodeMethodNotAllowed},
		{"GET", "/v2/nowhere/tags/list", "", nil, 404, oci.CodeNameUnknown},
		{"GET", "/v2/a/tags/list?n=-1", "", nil, 400, oci.CodePaginationInvalid},
		{"GET", "/v2/a/tags/list?n=x", "", nil, 400, oci.CodePaginationInvalid},
		{"GET", "/v2/_catalog?n=99999999999999999999", "", nil, 400, oci.CodePaginationInvalid},
		{"GET", "/v2/a/manifests/" + strings.Repeat("a", 129), "", nil, 400, oci.CodeTagInvalid},
		{"GET", "/v2/a/manifests/v2", "", nil, 404, oci.CodeManifestUnknown},
		{"GET", "/v2/a/manifests/" + wrong, "", nil, 404, oci.CodeManifestUnknown},
		{"GET", "/v2/a/blobs/sha256:xyz", "", nil, 400, oci.CodeDigestInvalid},
		{"GET", "/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", "", nil, 400, oci.CodeDigestInvalid},
		{"GET", "/v2/a/blobs/" + wrong, "", nil, 404, oci.CodeBlobUnknown},
		{"GET", "/v2/b/blobs/" + d.String(), "", nil, 404, oci.CodeBlobUnknown},
		{"GET", "/v2/a/blobs/" + d.String(), "", []string{"Range", "bytes=100-"}, 416, oci.CodeRangeInvalid},
		{"GET", "/v2/a/blobs/" + d.String(), "", []string{"Range", "bytes=5-2"}, 416, oci.CodeRangeInvalid},
		{"GET", "/v2/a/blobs/" + d.String(), "", []string{"Range", "bytes=x"}, 416, oci.CodeRangeInvalid},
		{"GET", "/v2/a/referrers/latest", "", nil, 400, oci.CodeDigestInvalid},
		{"GET", "/v2/a/referrers/" + d.String() + "?last=x", "", nil, 400, oci.CodeDigestInvalid},
		{"POST", "/v2/a/blobs/uploads/?digest=" + wrong, "right", nil, 400, oci.CodeDigestInvalid},
		{"POST", "/v2/a/blobs/uploads/?digest=zzz", "right", nil, 400, oci.CodeDigestInvalid},
		{"POST", "/v2/a/blobs/uploads/?mount=zzz&from=b", "", nil, 400, oci.CodeDigestInvalid},
		{"POST", "/v2/a/blobs/uploads/?mount=" + wrong + "&from=A", "", nil, 400, oci.CodeNameInvalid},
		{"PUT", "/v2/a/manifests/v1", image, nil, 400, oci.CodeManifestInvalid},
		{"PUT", "/v2/a/manifests/v1", image, []string{"Content-Type", "text/plain"}, 400, oci.CodeManifestInvalid},
		{"PUT", "/v2/a/manifests/v1", image, []string{"Content-Type", oci.MediaTypeImageIndex}, 400, oci.CodeManifestInvalid},
		{"PUT", "/v2/a/manifests/v1", "{", []string{"Content-Type", oci.MediaTypeImageManifest}, 400, oci.CodeManifestInvalid},
		{"PUT", "/v2/a/manifests/v1", strings.Repeat("[", 1<<20), []string{"Content-Type", oci.MediaTypeImageManifest}, 400, oci.CodeManifestInvalid},
		{"PUT", "/v2/a/manifests/v1", `{"schemaVersion":1}`, []string{"Content-Type", oci.MediaTypeImageManifest}, 400, oci.CodeManifestInvalid},
		{"PUT", "/v2/a/manifests/v1", imageOf(oci.MustDigest(wrong)), []string{"Content-Type", oci.MediaTypeImageManifest}, 400, oci.CodeManifestBlobUnknown},
		{"PUT", "/v2/a/manifests/" + wrong, image, []string{"Content-Type", oci.MediaTypeImageManifest}, 400, oci.CodeDigestInvalid},
		{"PUT", "/v2/a/manifests/sha256:bad", image, []string{"Content-Type", oci.MediaTypeImageManifest}, 400, oci.CodeDigestInvalid},
		{"PUT", "/v2/a/manifests/v1", strings.Repeat(" ", oci.MaxManifestSize+1), []string{"Content-Type", oci.MediaTypeImageManifest}, 413, oci.CodeRequestEntityTooLarge},
		{"PUT", "/v2/a/manifests/" + wrong + "?tag=" + strings.Repeat("&tag=x", 200), image, []string{"Content-Type", oci.MediaTypeImageManifest}, 400, oci.CodeTagInvalid},
		{"DELETE", "/v2/a/manifests/v2", "", nil, 404, oci.CodeManifestUnknown},
		{"DELETE", "/v2/a/blobs/" + wrong, "", nil, 404, oci.CodeBlobUnknown},
	} {
		a := c.do(x.method, x.path, x.body, x.header...)
		if a.StatusCode != x.status || a.code() != x.code || a.header("Content-Type") != "application/json" {
			t.Errorf("%s %.80s: %d %s %.200s; want %d %s", x.method, x.path, a.StatusCode, a.header("Content-Type"), a.body, x.status, x.code)
		}
	}
	if tags := c.list("/v2/a/tags/list", "tags"); !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("bad input left tags: %v", tags)
	}
	if repos := c.list("/v2/_catalog", "repositories"); !slices.Equal(repos, []string{"a"}) {
		t.Errorf("bad input left repositories: %v", repos)
	}
}

// Ensure that a body that ends early is told so, stores nothing under a name,
// and leaves what arrived for a resumed upload.
func TestHalfSentBody(t *testing.T) {
	c := newClient(t, ociapi.Config{})
	loc := c.start("a")
	raw := func(head string) string {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.server.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, head)
		_ = conn.(*net.TCPConn).CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		got, _ := io.ReadAll(conn)
		return string(got)
	}
	got := raw("PATCH " + loc + " HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
	if !strings.Contains(got, "400 Bad Request") || !strings.Contains(got, string(oci.CodeSizeInvalid)) {
		t.Errorf("half a PATCH: %s", got)
	}
	if got := c.do("GET", loc, "").want(http.StatusNoContent).header("Range"); got != "0-2" {
		t.Errorf("Range %s, want what arrived", got)
	}
	d := oci.FromBytes([]byte("abc"))
	raw("POST /v2/a/blobs/uploads/?digest=" + d.String() + " HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
	raw("PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Type: " + oci.MediaTypeImageIndex + "\r\nContent-Length: 100\r\n\r\n{\"schemaVersion\":2,\"manifests\":[]}")
	c.do("HEAD", "/v2/a/blobs/"+d.String(), "").want(http.StatusNotFound)
	c.do("HEAD", "/v2/a/manifests/x", "").want(http.StatusNotFound)
}

func TestManifests(t *testing.T) {
	c := newClient(t, ociapi.Config{})
	image := imageOf(c.push("a", "{}"))
	d := oci.FromBytes([]byte(image))
	put := c.do("PUT", "/v2/a/manifests/"+d.String()+"?tag=x&tag=y", image, "Content-Type", oci.MediaTypeImageManifest).want(http.StatusCreated)
	if got := put.Header.Values("OCI-Tag"); !slices.Equal(got, []string{"x", "y"}) {
		t.Errorf("OCI-Tag %v", got)
	}
	for _, accept := range []string{"", "*/*", "text/html"} {
		got := c.do("GET", "/v2/a/manifests/x", "", "Accept", accept).want(http.StatusOK)
		if got.body != image || got.header("Content-Type") != oci.MediaTypeImageManifest || got.header("Docker-Content-Digest") != d.String() {
			t.Errorf("Accept %q: %v %s", accept, got.Header, got.body)
		}
	}
	c.do("GET", "/v2/a/manifests/x", "", "If-None-Match", `"`+d.String()+`"`).want(http.StatusNotModified)

	artifact := strings.Replace(image, `"layers"`, `"subject":{"mediaType":"m","size":1,"digest":"`+d.String()+`"},"artifactType":"application/x-sig","layers"`, 1)
	put = c.do("PUT", "/v2/a/manifests/sig", artifact, "Content-Type", oci.MediaTypeImageManifest).want(http.StatusCreated)
	if got := put.header("OCI-Subject"); got != d.String() {
		t.Errorf("OCI-Subject %q", got)
	}
	list := c.do("GET", "/v2/a/referrers/"+d.String()+"?artifactType=application/x-sig", "").want(http.StatusOK)
	if list.header("Content-Type") != oci.MediaTypeImageIndex || list.header("OCI-Filters-Applied") != "artifactType" || !strings.Contains(list.body, "application/x-sig") {
		t.Errorf("referrers: %v %s", list.Header, list.body)
	}
	c.do("DELETE", "/v2/a/manifests/x", "").want(http.StatusAccepted)
	c.do("GET", "/v2/a/manifests/"+d.String(), "").want(http.StatusOK)
	c.do("DELETE", "/v2/a/manifests/"+d.String(), "").want(http.StatusAccepted)
	if tags := c.list("/v2/a/tags/list", "tags"); !slices.Equal(tags, []string{"sig"}) {
		t.Errorf("tags %v", tags)
	}
}

// Ensure that following Link yields every name once, in byte order.
func TestPaging(t *testing.T) {
	c := newClient(t, ociapi.Config{MaxTags: 3, MaxCatalog: 2})
	image := imageOf(c.push("a", "{}"))
	tags := []string{"1", "1.2", "1.2.3", "V1", "v1", "v1-alpine", "v1.0", "v10"}
	for _, tag := range tags {
		c.do("PUT", "/v2/a/manifests/"+tag, image, "Content-Type", oci.MediaTypeImageManifest).want(http.StatusCreated)
	}
	repos := []string{"a", "a-b", "a/b", "b"}
	for _, repo := range repos[1:] {
		c.push(repo, "{}")
	}
	if got := c.list("/v2/a/tags/list?n=2", "tags"); !slices.Equal(got, tags) {
		t.Errorf("pages of tags: %v", got)
	}
	if got := c.list("/v2/a/tags/list?n=1000000", "tags"); !slices.Equal(got, tags) {
		t.Errorf("n above the limit: %v", got)
	}
	if got := c.list("/v2/_catalog", "repositories"); !slices.Equal(got, repos) {
		t.Errorf("pages of the catalog: %v", got)
	}
	if got := c.list("/v2/a/tags/list?n=0", "tags"); len(got) != 0 {
		t.Errorf("n=0: %v", got)
	}
}

// Ensure that switches hold for every path that deletes or writes: one by tag
// once went round the switch (CVE-2026-41888).
func TestSwitches(t *testing.T) {
	no := false
	for name, config := range map[string]ociapi.Config{
		"deletes off":            {Deletes: &no},
		"open to all, unwritten": {},
		"read-only":              {ReadOnly: true},
	} {
		c := newClient(t, config)
		if name == "open to all, unwritten" {
			c.api.Deletes = nil
		}
		d := oci.FromBytes([]byte("x")).String()
		for _, path := range []string{"/v2/a/blobs/" + d, "/v2/a/manifests/" + d, "/v2/a/manifests/latest"} {
			c.do("DELETE", path, "").wantError(http.StatusMethodNotAllowed, oci.CodeUnsupported)
		}
		if !config.ReadOnly {
			continue
		}
		c.do("POST", "/v2/a/blobs/uploads/", "").wantError(http.StatusMethodNotAllowed, oci.CodeUnsupported)
		c.do("PUT", "/v2/a/manifests/x", "").wantError(http.StatusMethodNotAllowed, oci.CodeUnsupported)
	}
}

// Ensure that a fault of the storage is a 500 that tells a client nothing of
// its cause, as distribution's raw S3 errors did, and that the log has it.
func TestStorageFault(t *testing.T) {
	log := &bytes.Buffer{}
	c := newClient(t, ociapi.Config{Log: slog.New(slog.NewTextHandler(log, nil))})
	d := c.push("a", "{}")
	loc := c.start("a")
	c.faults.On(func(storagetest.Call) storagetest.Fault { return storagetest.NotApplied })
	for _, x := range [][3]string{
		{"GET", "/v2/a/blobs/" + d.String()}, {"GET", "/v2/a/manifests/x"}, {"GET", "/v2/a/tags/list"}, {"GET", "/v2/_catalog"},
		{"GET", "/v2/a/referrers/" + d.String()}, {"POST", "/v2/a/blobs/uploads/"}, {"PATCH", loc, "x"}, {"PUT", loc + "&digest=" + d.String(), "{}"},
		{"DELETE", loc}, {"DELETE", "/v2/a/blobs/" + d.String()}, {"DELETE", "/v2/a/manifests/x"},
	} {
		log.Reset()
		a := c.do(x[0], x[1], x[2])
		if a.StatusCode != http.StatusInternalServerError || a.code() != oci.CodeUnknown || strings.Contains(a.body, "injected") {
			t.Errorf("%s: %d %s", a.what, a.StatusCode, a.body)
		}
		if !strings.Contains(log.String(), "injected fault") {
			t.Errorf("%s: the log lacks the cause: %s", a.what, log)
		}
	}
}

// Ensure that a manifest without Content-Length is not read without end
// (CVE-2017-11468), nor a list made as long as a client says (CVE-2023-2253).
func TestBounds(t *testing.T) {
	c := newClient(t, ociapi.Config{})
	req, err := http.NewRequest("PUT", c.server.URL+"/v2/a/manifests/x", io.LimitReader(endless{}, 3*oci.MaxManifestSize))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", oci.MediaTypeImageManifest)
	resp, err := c.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("endless manifest: %s", resp.Status)
	}
	c.push("a", "{}")
	for _, path := range []string{"/v2/_catalog?n=2000000000", "/v2/a/tags/list?n=2000000000"} {
		c.do("GET", path, "").want(http.StatusOK)
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

func TestPrefixAndHost(t *testing.T) {
	host, _ := url.Parse("https://registry.example.com")
	c := newClient(t, ociapi.Config{Prefix: "/sub/", Host: host})
	loc := c.do("POST", "/sub/v2/a/blobs/uploads/", "").want(http.StatusAccepted).header("Location")
	rest, ok := strings.CutPrefix(loc, "https://registry.example.com/sub/v2/a/blobs/uploads/")
	if !ok {
		t.Fatalf("Location %s", loc)
	}
	c.do("PUT", "/sub/v2/a/blobs/uploads/"+rest+"&digest="+oci.FromBytes(nil).String(), "").want(http.StatusCreated)
}

// client speaks to an API under test.
type client struct {
	t      *testing.T
	server *httptest.Server
	api    *ociapi.API
	clock  func() time.Time
	user   string

	directory *auth.Directory
	faults    *storagetest.Faults
}

type answer struct {
	*http.Response
	t    *testing.T
	what string
	body string
}

func (c *client) do(method, target, body string, header ...string) *answer {
	c.t.Helper()
	req, err := http.NewRequest(method, c.server.URL+target, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if method == "PUT" && strings.Contains(target, "/manifests/") {
		req.Header.Del("Content-Type")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if c.user != "" {
		req.SetBasicAuth(c.user, "password of "+c.user)
	}
	resp, err := c.server.Client().Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return &answer{resp, c.t, method + " " + strings.Split(target, "?")[0], string(content)}
}

func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.StatusCode != status {
		a.t.Fatalf("%s: %d %s; want %d", a.what, a.StatusCode, a.body, status)
	}
	return a
}

func (a *answer) wantError(status int, code oci.Code) {
	a.t.Helper()
	if a.StatusCode != status || a.code() != code {
		a.t.Errorf("%s: %d %s; want %d %s", a.what, a.StatusCode, a.body, status, code)
	}
}

func (a *answer) header(name string) string { return a.Header.Get(name) }
func (a *answer) location() string          { return a.Header.Get("Location") }

func (a *answer) code() oci.Code {
	var doc struct {
		Errors []struct {
			Code    oci.Code
			Message string
		}
	}
	if err := json.NewDecoder(bytes.NewReader([]byte(a.body))).Decode(&doc); err != nil || len(doc.Errors) == 0 || doc.Errors[0].Message == "" {
		return ""
	}
	return doc.Errors[0].Code
}

func (c *client) start(repo string) string {
	c.t.Helper()
	return c.do("POST", "/v2/"+repo+"/blobs/uploads/", "").want(http.StatusAccepted).location()
}

func (c *client) push(repo, content string) oci.Digest {
	c.t.Helper()
	d := oci.FromBytes([]byte(content))
	c.do("PUT", c.start(repo)+"&digest="+d.String(), content).want(http.StatusCreated)
	return d
}

// list follows the pages of a list.
func (c *client) list(path, field string) []string {
	c.t.Helper()
	var all []string
	for path != "" {
		a := c.do("GET", path, "").want(http.StatusOK)
		var doc map[string]json.RawMessage
		var names []string
		if err := json.Unmarshal([]byte(a.body), &doc); err != nil {
			c.t.Fatal(err)
		}
		if err := json.Unmarshal(doc[field], &names); err != nil {
			c.t.Fatal(err)
		}
		all = append(all, names...)
		path = ""
		if link := a.header("Link"); link != "" {
			path = strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`)
		}
	}
	return all
}

func imageOf(config oci.Digest) string {
	return `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageManifest + `","config":{"mediaType":"m","size":2,"digest":"` + config.String() + `"},"layers":[]}`
}
