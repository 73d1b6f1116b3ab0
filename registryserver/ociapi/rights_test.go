package ociapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/ociapi"
)

// Ensure that pull, push and delete are separate rights, on each repository,
// for every kind of request.
func TestRights(t *testing.T) {
	c := newClient(t, ociapi.Config{}, auth.UserSpec{Username: "admin", Policies: []string{oci.PolicyAdmin}})
	for name, action := range map[string]string{"pull-team": "pull", "push-team": "push", "delete-team": "delete"} {
		if _, err := c.directory.CreatePolicy(t.Context(), auth.PolicySpec{Name: name, Rules: []oci.Rule{rule(t, "team/*", action)}}, ""); err != nil {
			t.Fatal(err)
		}
		password := "password of " + name
		if _, err := c.directory.CreateUser(t.Context(), auth.UserSpec{Username: name, Policies: []string{name}, Enabled: true, Password: &password}, ""); err != nil {
			t.Fatal(err)
		}
	}
	c.user = "admin"
	d := c.push("team/app", "{}")
	c.push("other", "{}")
	image := imageOf(d)
	c.do("PUT", "/v2/team/app/manifests/v1", image, "Content-Type", oci.MediaTypeImageManifest).want(http.StatusCreated)

	blob, manifest := "/v2/team/app/blobs/"+d.String(), "/v2/team/app/manifests/v1"
	uploads := "/v2/team/app/blobs/uploads/"
	for _, x := range []struct {
		method, path string
		needs        string
	}{
		{"GET", blob, "pull"}, {"HEAD", blob, "pull"}, {"DELETE", blob, "delete"},
		{"GET", manifest, "pull"}, {"HEAD", manifest, "pull"}, {"PUT", manifest, "push"}, {"DELETE", manifest, "delete"},
		{"GET", "/v2/team/app/tags/list", "pull"}, {"GET", "/v2/team/app/referrers/" + d.String(), "pull"},
		{"POST", uploads, "push"}, {"GET", uploads + "x", "push"}, {"PATCH", uploads + "x", "push"}, {"PUT", uploads + "x", "push"}, {"DELETE", uploads + "x", "push"},
	} {
		for _, has := range []string{"", "pull", "push", "delete"} {
			if has == x.needs {
				continue // would do it
			}
			c.user = ""
			want := http.StatusUnauthorized
			if has != "" {
				c.user, want = has+"-team", http.StatusForbidden
			}
			a := c.do(x.method, x.path, "")
			if a.StatusCode != want {
				t.Errorf("%s %s with %q: %d, want %d", x.method, x.path, has, a.StatusCode, want)
			}
			if has == "" && !strings.HasPrefix(a.header("WWW-Authenticate"), "Basic realm=") {
				t.Errorf("%s %s: challenge %q", x.method, x.path, a.header("WWW-Authenticate"))
			}
		}
	}
	c.user = "pull-team"
	c.do("GET", blob, "").want(http.StatusOK)
	c.do("GET", "/v2/other/tags/list", "").want(http.StatusForbidden)
	if repos := c.list("/v2/_catalog", "repositories"); !slices.Equal(repos, []string{"team/app"}) {
		t.Errorf("the catalog shows %v", repos)
	}
	c.user = "push-team"
	c.do("POST", "/v2/other/blobs/uploads/", "").want(http.StatusForbidden)
	c.do("POST", uploads, "").want(http.StatusAccepted)
	// Mounting needs pull on the source: without it a mount is an upload, whether
	// the source has the blob or not.
	for _, from := range []string{"&from=other", "&from=team/app", "&from=nowhere", ""} {
		c.do("POST", uploads+"?mount="+d.String()+from, "").want(http.StatusAccepted)
	}
	c.user = "delete-team"
	c.do("DELETE", manifest, "").want(http.StatusAccepted)
	c.do("DELETE", blob, "").want(http.StatusAccepted)
}

// Ensure that a login is asked for at the ping, and that anonymous policies do
// what they say and no more.
func TestAnonymous(t *testing.T) {
	c := newClient(t, ociapi.Config{}, auth.UserSpec{Username: "admin", Policies: []string{oci.PolicyAdmin}})
	c.do("GET", "/v2/", "").wantError(http.StatusUnauthorized, oci.CodeUnauthorized)
	c.user = "admin"
	c.do("GET", "/v2/", "").want(http.StatusOK)
	d := c.push("public/app", "{}")
	c.push("private", "{}")
	if _, err := c.directory.CreatePolicy(t.Context(), auth.PolicySpec{Name: "public", Anonymous: true, Rules: []oci.Rule{rule(t, "public/**", "pull")}}, ""); err != nil {
		t.Fatal(err)
	}
	c.user = ""
	c.do("GET", "/v2/public/app/blobs/"+d.String(), "").want(http.StatusOK)
	c.do("GET", "/v2/private/blobs/"+d.String(), "").wantError(http.StatusUnauthorized, oci.CodeUnauthorized)
	c.do("POST", "/v2/public/app/blobs/uploads/", "").wantError(http.StatusUnauthorized, oci.CodeUnauthorized)
}

// Ensure that a changed password and a deleted user stop working at once.
func TestRevocation(t *testing.T) {
	c := newClient(t, ociapi.Config{}, auth.UserSpec{Username: "admin", Policies: []string{oci.PolicyAdmin}}, auth.UserSpec{Username: "ci", Policies: []string{oci.PolicyReadOnly}})
	c.user = "ci"
	c.do("GET", "/v2/", "").want(http.StatusOK)
	other := "another password"
	if _, err := c.directory.UpdateUser(t.Context(), auth.UserSpec{Username: "ci", Policies: []string{oci.PolicyReadOnly}, Enabled: true, Password: &other}, nil); err != nil {
		t.Fatal(err)
	}
	c.do("GET", "/v2/", "").want(http.StatusUnauthorized)
	if err := c.directory.DeleteUser(t.Context(), "ci", nil); err != nil {
		t.Fatal(err)
	}
	c.do("GET", "/v2/", "").want(http.StatusUnauthorized)
}

func rule(t *testing.T, glob, action string) oci.Rule {
	t.Helper()
	r, err := oci.ParseRule([]string{glob}, []string{action})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
