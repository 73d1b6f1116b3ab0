package provider

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

const tagStable = "registry_tag.stable"

func stable(digest string) string {
	return fmt.Sprintf("resource \"registry_tag\" \"stable\" {\n  repository = \"team/api\"\n  tag        = \"stable\"\n  digest     = %q\n}\n", digest)
}

// points expects the tag to point at the digest; "" expects it to be gone.
func (s *testServer) points(name, digest string) statecheck.StateCheck {
	return serverCheck(func() error { return s.pointsAt(name, digest) })
}

func (s *testServer) pointsAt(name, digest string) error {
	repository, tag, _ := strings.Cut(name, ":")
	now, err := s.admin.GetTag(context.Background(), repository, tag)
	switch {
	case digest == "" && client.IsNotFound(err):
		return nil
	case err != nil:
		return err
	case now.Digest.String() != digest:
		return fmt.Errorf("%s points at %s, want %q", name, now.Digest, digest)
	}
	return nil
}

// retag moves a tag behind Terraform's back.
func (s *testServer) retag(t *testing.T, name, digest string) func() {
	return func() {
		t.Helper()
		repository, tag, _ := strings.Cut(name, ":")
		if _, err := s.admin.PutTag(t.Context(), repository, tag, oci.MustDigest(digest), oci.Digest{}); err != nil {
			t.Error(err)
		}
	}
}

func (s *testServer) untag(t *testing.T, name string) func() {
	return func() {
		t.Helper()
		repository, tag, _ := strings.Cut(name, ":")
		if err := s.admin.DeleteTag(t.Context(), repository, tag); err != nil {
			t.Error(err)
		}
	}
}

// A tag moves in place, another name makes another one, and what it pointed at
// stays.
func TestTagUpdate(t *testing.T) {
	s := startServer(t)
	one, two := s.pushIndex(t, "team/api", "1", "v1"), s.pushIndex(t, "team/api", "2", "v2")
	elsewhere := s.pushIndex(t, "team/other", "1")
	step := func(action plancheck.ResourceActionType, config, name, digest string) resource.TestStep {
		return resource.TestStep{Config: s.config("%s", config), ConfigPlanChecks: expectAction(tagStable, action), ConfigStateChecks: []statecheck.StateCheck{
			s.points(name, digest), is(tagStable, "digest", knownvalue.StringExact(digest)),
		}}
	}
	renamed := strings.Replace(stable(two), `"stable"`+"\n  digest", "\"Stable.2\"\n  digest", 1)
	moved := strings.Replace(stable(elsewhere), "team/api", "team/other", 1)
	gone := step(replace, moved, "team/other:stable", elsewhere)
	gone.ConfigStateChecks = append(gone.ConfigStateChecks, s.points("team/api:stable", ""), s.points("team/api:Stable.2", ""))
	unitTest(t, testProvider(),
		step(create, stable(one), "team/api:stable", one),
		step(noop, stable(one), "team/api:stable", one),
		step(update, stable(two), "team/api:stable", two),
		step(replace, renamed, "team/api:Stable.2", two),
		gone,
	)
	for name, digest := range map[string]string{"team/other:stable": "", "team/api:v1": one, "team/api:v2": two} {
		if err := s.pointsAt(name, digest); err != nil {
			t.Error(err)
		}
	}
}

// A tag that a push has moved shows with both digests, and is moved back; one
// that is gone is made again.
func TestTagDrift(t *testing.T) {
	s := startServer(t)
	one, two := s.pushIndex(t, "team/api", "1", "v1"), s.pushIndex(t, "team/api", "2", "v2")
	config := s.config("%s", stable(one))
	fine := []statecheck.StateCheck{s.points("team/api:stable", one)}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		resource.TestStep{
			PreConfig:    s.retag(t, "team/api:stable", two),
			RefreshState: true, ExpectNonEmptyPlan: true,
			Check: resource.TestCheckResourceAttr(tagStable, "digest", two), // observed, so that the plan is two -> one
		},
		resource.TestStep{Config: config, ConfigPlanChecks: expectAction(tagStable, update), ConfigStateChecks: fine},
		resource.TestStep{PreConfig: s.untag(t, "team/api:stable"), Config: config, ConfigPlanChecks: expectAction(tagStable, create), ConfigStateChecks: fine},
		resource.TestStep{ // with the whole repository
			PreConfig: func() {
				if err := s.admin.DeleteRepository(t.Context(), "team/api", true); err != nil {
					t.Error(err)
				}
			},
			Config: config, ExpectError: says("has no manifest of this digest"),
		},
		resource.TestStep{PreConfig: func() { s.pushIndex(t, "team/api", "1") }, Config: config, ConfigPlanChecks: expectAction(tagStable, create), ConfigStateChecks: fine},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodDelete, first(s.untag(t, "team/api:stable")))), Config: config, Destroy: true},
	)
}

func TestTagImport(t *testing.T) {
	s := startServer(t)
	one := s.pushIndex(t, "team/api", "1", "v1")
	config := s.config("%s", stable(one))
	bad := func(id, complaint string) resource.TestStep {
		return resource.TestStep{ResourceName: tagStable, ImportState: true, ImportStateId: id, ExpectError: says(complaint)}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		resource.TestStep{ResourceName: tagStable, ImportState: true, ImportStateId: "team/api:stable", ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "tag"},
		resource.TestStep{ResourceName: tagStable, ImportState: true, ImportStateId: "team/api:stable", ImportStateKind: resource.ImportBlockWithID, Config: config},
		bad("team/api:none", "Cannot import non-existent remote object"),
		bad("none:stable", "Cannot import non-existent remote object"),
		bad("team/api", "does not name a tag"),
		bad("Team/api:stable", "Invalid import id"),
		bad("team/api:-", "Invalid import id"),
	)
}

// Terraform 1.12 and later import by identity.
func TestTagIdentity(t *testing.T) {
	s := startServer(t)
	one := s.pushIndex(t, "team/api", "1", "v1")
	t.Parallel()
	resource.UnitTest(t, resource.TestCase{
		TerraformVersionChecks:   []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_12_0)},
		ProtoV6ProviderFactories: factories(testProvider()),
		Steps: []resource.TestStep{
			{Config: s.config("%s", stable(one)), ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectIdentity(tagStable, map[string]knownvalue.Check{
				"repository": knownvalue.StringExact("team/api"), "tag": knownvalue.StringExact("stable"),
			})}},
			{ResourceName: tagStable, ImportState: true, ImportStateKind: resource.ImportBlockWithResourceIdentity},
		},
	})
}

// A tag that was there before is not taken over, also not where it points at
// the same digest.
func TestTagExists(t *testing.T) {
	s := startServer(t)
	one, two := s.pushIndex(t, "team/api", "1", "stable"), s.pushIndex(t, "team/api", "2")
	unitTest(t, testProvider(),
		resource.TestStep{Config: s.config("%s", stable(one)), ExpectError: says("terraform import registry_tag.NAME team/api:stable")},
		resource.TestStep{Config: s.config("%s", stable(two)), ExpectError: says("terraform import registry_tag.NAME team/api:stable")},
		resource.TestStep{
			Config:           s.config("%s", stable(two)) + "import {\n to = registry_tag.stable\n id = \"team/api:stable\"\n}\n",
			ConfigPlanChecks: expectAction(tagStable, update), ConfigStateChecks: []statecheck.StateCheck{s.points("team/api:stable", two)},
		},
		resource.TestStep{ // it comes while Terraform looks
			PreConfig: s.fail(s.on(http.MethodPut, first(func() { s.pushIndex(t, "team/api", "3", "new") }))),
			Config:    s.config("%s", stable(two)+strings.NewReplacer(`"stable"`, `"new"`).Replace(stable(one))), ExpectError: says("terraform import registry_tag.NAME team/api:new"),
		},
	)
}

func TestTagFaults(t *testing.T) {
	s := startServer(t)
	one, two := s.pushIndex(t, "team/api", "1", "v1"), s.pushIndex(t, "team/api", "2", "v2")
	config, changed := s.config("%s", stable(one)), s.config("%s", stable(two))
	wrong := func(method, config, complaint string) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(s.on(method, status(500))), Config: config, ExpectError: says(complaint)}
	}
	made := func(config string, action plancheck.ResourceActionType, faults ...fault) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(faults...), Config: config, ConfigPlanChecks: expectAction(tagStable, action)}
	}
	nothing := func(faults ...fault) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(faults...), Config: s.config("# nothing")}
	}
	doneAndFailed := func(w http.ResponseWriter, r *http.Request, server http.Handler) {
		server.ServeHTTP(httptest.NewRecorder(), r)
		status(500)(w, r, server)
	}
	unitTest(t, testProvider(),
		wrong(http.MethodPut, config, `Could not point the tag "team/api:stable" at`),
		made(config, create, times(2, s.on(http.MethodPut, status(503)))...),
		nothing(s.on(http.MethodDelete, lose)),
		made(config, create, s.on(http.MethodPut, lose)),
		nothing(s.on(http.MethodDelete, status(502))),
		made(config, create, s.on(http.MethodPut, doneAndFailed)), // and known as ours
		wrong(http.MethodGet, config, `Could not read the tag "team/api:stable"`),
		wrong(http.MethodPut, changed, `Could not point the tag "team/api:stable" at`),
		wrong(http.MethodDelete, s.config("# nothing"), `Could not delete the tag "team/api:stable"`),
		made(changed, update, s.on(http.MethodPut, lose)),
		resource.TestStep{
			PreConfig: s.fail(s.on(http.MethodPut, first(func() { s.pushIndex(t, "team/api", "3", "stable") }))),
			Config:    config, ExpectError: says("It has changed since Terraform read it"),
		},
		made(config, update),
	)
}

func TestTagValidation(t *testing.T) {
	s := &testServer{url: "http://127.0.0.1:1"}
	wrong := func(from, to, complaint string) resource.TestStep {
		return resource.TestStep{Config: s.config("%s", strings.Replace(stable(someDigest), from, to, 1)), PlanOnly: true, ExpectError: says(complaint)}
	}
	unitTest(t, testProvider(),
		wrong("team/api", "Team/api", "Invalid repository name"),
		wrong("team/api", "team/api:v1", "Invalid repository name"),
		wrong(`"stable"`+"\n  digest", `"-stable"`+"\n  digest", "Invalid tag"),
		wrong(someDigest, "latest", "Invalid digest"),
		wrong(someDigest, someDigest[:70], "Invalid digest"),
	)
}

func TestTagUnknownInputs(t *testing.T) {
	s := startServer(t)
	one := s.pushIndex(t, "team/api", "1")
	unitTest(t, testProvider(), resource.TestStep{
		Config: s.config(`
resource "terraform_data" "all" { input = { repository = "team/api", tag = "stable", digest = %q } }
resource "registry_tag" "stable" {
  repository = terraform_data.all.output.repository
  tag        = terraform_data.all.output.tag
  digest     = terraform_data.all.output.digest
}
`, one),
		ConfigPlanChecks: expectAction(tagStable, create), ConfigStateChecks: []statecheck.StateCheck{s.points("team/api:stable", one)},
	})
}

// Whatever names a tag is the same when it is written out.
func FuzzTagName(f *testing.F) {
	for _, seed := range []string{"team/api:stable", "a", ":", "a:", ":b", "a:b:c", "localhost:5000/a:b", "A:b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := parseTagName(s)
		if err == nil && parsed.String() != s || err != nil && parsed != (tagName{}) {
			t.Errorf("%q became %q, %v", s, parsed, err)
		}
	})
}
