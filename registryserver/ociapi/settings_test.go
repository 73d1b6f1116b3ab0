package ociapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/ociapi"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// set sets the settings of a repository that there is.
func (c *client) set(repo string, spec registry.SettingsSpec) {
	c.t.Helper()
	if _, err := c.api.Registry.UpdateSettings(c.t.Context(), oci.MustRepository(repo), spec, nil); err != nil {
		c.t.Fatal(err)
	}
}

// Ensure that anybody may pull from a repository that is set so, and do nothing
// else with it; that it counts at once; and that whoever may pull by a policy is
// served without a look at it.
func TestAnonymousPull(t *testing.T) {
	c := newClient(t, ociapi.Config{}, auth.UserSpec{Username: "admin", Policies: []string{oci.PolicyAdmin}}, auth.UserSpec{Username: "nobody"})
	if _, err := c.directory.CreatePolicy(t.Context(), auth.PolicySpec{Name: "push", Rules: []oci.Rule{rule(t, "mine", "push")}}, ""); err != nil {
		t.Fatal(err)
	}
	password := "password of pusher"
	if _, err := c.directory.CreateUser(t.Context(), auth.UserSpec{Username: "pusher", Policies: []string{"push"}, Enabled: true, Password: &password}, ""); err != nil {
		t.Fatal(err)
	}
	c.user = "admin"
	d := c.push("team/app", "{}")
	c.push("private", "{}")
	c.do("PUT", "/v2/team/app/manifests/v1", imageOf(d), "Content-Type", oci.MediaTypeImageManifest).want(http.StatusCreated)
	blob, manifest, uploads := "/v2/team/app/blobs/"+d.String(), "/v2/team/app/manifests/v1", "/v2/team/app/blobs/uploads/"
	pulls := [][2]string{{"GET", blob}, {"HEAD", blob}, {"GET", manifest}, {"HEAD", manifest}, {"GET", "/v2/team/app/tags/list"}, {"GET", "/v2/team/app/referrers/" + d.String()}}
	mount := "/v2/mine/blobs/uploads/?from=team/app&mount=" + d.String()

	for _, public := range []bool{false, true, false} {
		c.set("team/app", registry.SettingsSpec{AnonymousPull: public})
		for user, refused := range map[string]int{"": http.StatusUnauthorized, "nobody": http.StatusForbidden} {
			c.user = user
			want := map[bool]int{true: http.StatusOK, false: refused}[public]
			for _, pull := range pulls {
				c.do(pull[0], pull[1], "").want(want)
			}
			for _, other := range [][2]string{{"POST", uploads}, {"PUT", manifest}, {"DELETE", manifest}, {"DELETE", blob}, {"GET", "/v2/private/blobs/" + d.String()}, {"GET", "/v2/nowhere/tags/list"}} {
				c.do(other[0], other[1], "").want(refused)
			}
		}
		c.user = "pusher"
		c.do("POST", mount, "").want(map[bool]int{true: http.StatusCreated, false: http.StatusAccepted}[public])
	}

	c.user = "admin"
	c.faults.On(func(call storagetest.Call) storagetest.Fault {
		if strings.Contains(call.Key, "repository-settings") {
			t.Errorf("%s %s for who may pull anyhow", call.Op, call.Key)
		}
		return storagetest.None
	})
	for _, pull := range pulls {
		c.do(pull[0], pull[1], "").want(http.StatusOK)
	}
	c.faults.On(storagetest.Ops(storagetest.NotApplied, "Records.Get"))
	c.user = ""
	c.do("GET", blob, "").wantError(http.StatusInternalServerError, oci.CodeUnknown)
}

// Ensure what clients are told about immutable tags.
func TestImmutableTags(t *testing.T) {
	c := newClient(t, ociapi.Config{})
	d := c.push("team/app", "{}")
	image, other := imageOf(d), strings.Replace(imageOf(d), `"layers"`, `"annotations":{"n":"2"},"layers"`, 1)
	put := func(ref, body string) *answer {
		return c.do("PUT", "/v2/team/app/manifests/"+ref, body, "Content-Type", oci.MediaTypeImageManifest)
	}
	put("v1", image).want(http.StatusCreated)
	patterns, err := oci.ParseTagPatterns([]string{"v*"})
	if err != nil {
		t.Fatal(err)
	}
	c.set("team/app", registry.SettingsSpec{ImmutableTags: patterns})
	put("v1", image).want(http.StatusCreated)
	refused := put("v1", other)
	refused.wantError(http.StatusForbidden, oci.CodeDenied)
	if body := refused.body; !strings.Contains(body, `"immutable_tag_pattern":"v*"`) || !strings.Contains(body, "push under another tag") {
		t.Errorf("the answer is %s", body)
	}
	put(oci.FromBytes([]byte(other)).String()+"?tag=v2&tag=v1", other).wantError(http.StatusForbidden, oci.CodeDenied)
	c.do("GET", "/v2/team/app/manifests/v2", "").wantError(http.StatusNotFound, oci.CodeManifestUnknown)
	put("latest", other).want(http.StatusCreated)
	for _, path := range []string{"manifests/v1", "manifests/" + oci.FromBytes([]byte(image)).String(), "blobs/" + d.String()} {
		c.do("DELETE", "/v2/team/app/"+path, "").wantError(http.StatusForbidden, oci.CodeDenied)
	}
	c.do("DELETE", "/v2/team/app/manifests/latest", "").want(http.StatusAccepted)
	c.do("GET", "/v2/team/app/manifests/v1", "").want(http.StatusOK)
}
