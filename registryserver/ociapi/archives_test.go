package ociapi_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/archive"
	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/ociapi"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

// archives is the same client where archives are.
func (c *client) archives() *client {
	other := *c
	other.server = httptest.NewServer(http.HandlerFunc(c.api.ServeArchive))
	c.t.Cleanup(other.server.Close)
	return &other
}

// pushPlatforms pushes an index of an image for each platform, and an
// attestation.
func (c *client) pushPlatforms(repo, tag string, platforms ...string) (children []string) {
	c.t.Helper()
	var list []string
	for _, p := range append(platforms, "unknown/unknown") {
		os, architecture, _ := strings.Cut(p, "/")
		config := c.push(repo, `{"os":"`+os+`","architecture":"`+architecture+`"}`)
		image := strings.Replace(imageOf(config), `"size":2`, `"size":`+strconv.Itoa(len(`{"os":"","architecture":""}`)+len(os)+len(architecture)), 1)
		d := oci.FromBytes([]byte(image)).String()
		c.do("PUT", "/v2/"+repo+"/manifests/"+d, image, "Content-Type", oci.MediaTypeImageManifest).want(http.StatusCreated)
		list = append(list, `{"mediaType":"`+oci.MediaTypeImageManifest+`","digest":"`+d+`","size":`+strconv.Itoa(len(image))+`,"platform":{"os":"`+os+`","architecture":"`+architecture+`"}}`)
		children = append(children, d)
	}
	index := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageIndex + `","manifests":[` + strings.Join(list, ",") + `]}`
	c.do("PUT", "/v2/"+repo+"/manifests/"+tag, index, "Content-Type", oci.MediaTypeImageIndex).want(http.StatusCreated)
	return append(children, oci.FromBytes([]byte(index)).String())
}

func TestArchive(t *testing.T) {
	c := newClient(t, ociapi.Config{}, auth.UserSpec{Username: "admin", Policies: []string{oci.PolicyAdmin}}, auth.UserSpec{Username: "nobody"})
	c.user = "admin"
	digests := c.pushPlatforms("team/app", "v1", "linux/arm64", "linux/amd64")
	c.pushPlatforms("team/arm", "latest", "linux/arm64")
	a := c.archives()
	const path = "/api/v1/archives/team/app"
	for target, want := range map[string]string{
		":v1": digests[1], ":v1?platform=linux/arm64": digests[0], ":v1?platform=linux/arm64/v8": digests[0],
		":v1?platform=all": digests[3], "@" + digests[0]: digests[0],
	} {
		head := a.do("HEAD", path+target, "").want(http.StatusOK)
		got := a.do("GET", path+target, "").want(http.StatusOK)
		if got.header("Docker-Content-Digest") != want || got.header("Content-Type") != "application/x-tar" || got.header("Content-Length") != head.header("Content-Length") || got.header("Content-Length") != strconv.Itoa(len(got.body)) {
			t.Errorf("%s: %v, want %s", target, got.Header, want)
		}
		read, err := archive.Read(t.Context(), strings.NewReader(got.body), archive.Options{TempDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		d, left, err := read.Prepare(t.Context(), read.Images()[0])
		if err != nil || d.Digest.String() != want || len(left) > 0 {
			t.Errorf("%s: holds %s without %v, %v, want %s", target, d.Digest, left, err, want)
		}
		if err := read.Close(); err != nil {
			t.Error(err)
		}
	}
	if host := strings.TrimPrefix(a.server.URL, "http://"); !strings.Contains(a.do("GET", path+":v1", "").body, host+"/team/app:v1") {
		t.Error("docker load would not call it what docker pull does")
	}
	a.do("GET", "/api/v1/archives/team/arm", "").wantError(http.StatusNotFound, oci.CodeManifestUnknown)
	if body := a.do("GET", "/api/v1/archives/team/arm", "").body; !strings.Contains(body, "choose one of linux/arm64, or all") {
		t.Errorf("%s", body)
	}
	a.do("GET", path+":v1?platform=Linux", "").wantError(http.StatusBadRequest, oci.CodeInvalid)
	a.do("GET", path+":v2", "").wantError(http.StatusNotFound, oci.CodeManifestUnknown)
	a.do("GET", path+":", "").wantError(http.StatusBadRequest, oci.CodeTagInvalid)
	a.do("GET", path+"@sha256:1", "").wantError(http.StatusBadRequest, oci.CodeDigestInvalid)
	a.do("GET", "/api/v1/archives/", "").wantError(http.StatusBadRequest, oci.CodeNameInvalid)
	a.do("GET", path+"%2f..%2f..", "").wantError(http.StatusBadRequest, oci.CodeNameInvalid)
	a.do("POST", path, "").wantError(http.StatusMethodNotAllowed, oci.CodeMethodNotAllowed)

	a.user = "nobody"
	a.do("GET", path+":v1", "").wantError(http.StatusForbidden, oci.CodeDenied)
	a.user = ""
	refused := a.do("GET", path+":v1", "")
	refused.wantError(http.StatusUnauthorized, oci.CodeUnauthorized)
	if challenge := refused.header("WWW-Authenticate"); !strings.HasPrefix(challenge, "Basic ") {
		t.Errorf("challenge %q", challenge)
	}
	c.set("team/app", registry.SettingsSpec{AnonymousPull: true})
	a.do("GET", path+":v1", "").want(http.StatusOK)
}

// What a manifest names and the repository has no more is said before the answer
// begins.
func TestArchiveOfWhatIsMissing(t *testing.T) {
	c := newClient(t, ociapi.Config{})
	d := c.push("a", "{}")
	c.do("PUT", "/v2/a/manifests/v1", imageOf(d), "Content-Type", oci.MediaTypeImageManifest).want(http.StatusCreated)
	a := c.archives()
	a.do("GET", "/api/v1/archives/a:v1", "").want(http.StatusOK)
	c.do("DELETE", "/v2/a/blobs/"+d.String(), "").want(http.StatusAccepted)
	a.do("GET", "/api/v1/archives/a:v1", "").wantError(http.StatusNotFound, oci.CodeBlobUnknown)
}
