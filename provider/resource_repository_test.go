package provider

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

const repositoryApp = "registry_repository.app"

// app is the repository team/app with these arguments.
func appRepository(arguments ...string) string {
	return fmt.Sprintf("resource \"registry_repository\" \"app\" {\n name = \"team/app\"\n %s\n}\n", strings.Join(arguments, "\n "))
}

// repository expects the repository to be as want says.
func (s *testServer) repository(want client.RepositorySpec) statecheck.StateCheck {
	return serverCheck(func() error {
		got, err := s.admin.GetRepository(context.Background(), want.Name)
		if err != nil {
			return err
		}
		if want.ImmutableTagPatterns == nil {
			want.ImmutableTagPatterns = []string{}
		}
		if diff := cmp.Diff(want, specOf(got)); diff != "" {
			return fmt.Errorf("the server has another repository: %s", diff)
		}
		return nil
	})
}

// tryPush pushes an image of no layers behind Terraform's back, and returns the
// status that this gets.
func (s *testServer) tryPush(t *testing.T, repository, tag, note string) int {
	t.Helper()
	body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[],"annotations":{"note":%q}}`, oci.MediaTypeImageIndex, note)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.url+"/v2/"+repository+"/manifests/"+tag, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", adminPassword)
	req.Header.Set("User-Agent", "behind-the-back")
	req.Header.Set("Content-Type", oci.MediaTypeImageIndex)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// Every attribute, set and changed; only another name makes another repository.
func TestRepositoryUpdate(t *testing.T) {
	s := startServer(t)
	step := func(action plancheck.ResourceActionType, want client.RepositorySpec, arguments ...string) resource.TestStep {
		want.Name = "team/app"
		return resource.TestStep{Config: s.config("%s", appRepository(arguments...)), ConfigPlanChecks: expectAction(repositoryApp, action), ConfigStateChecks: []statecheck.StateCheck{s.repository(want)}}
	}
	minimal := step(create, client.RepositorySpec{})
	minimal.ConfigStateChecks = append(minimal.ConfigStateChecks,
		is(repositoryApp, "description", knownvalue.StringExact("")), is(repositoryApp, "anonymous_pull", knownvalue.Bool(false)),
		is(repositoryApp, "immutable_tag_patterns", knownvalue.SetExact([]knownvalue.Check{})), is(repositoryApp, "force_delete", knownvalue.Bool(false)))
	renamed := resource.TestStep{
		Config: s.config("%s", strings.Replace(appRepository(), "team/app", "crew/app", 1)), ConfigPlanChecks: expectAction(repositoryApp, replace),
		ConfigStateChecks: []statecheck.StateCheck{s.repository(client.RepositorySpec{Name: "crew/app"})},
	}
	unitTest(t, testProvider(),
		minimal,
		step(update, client.RepositorySpec{Description: "d"}, `description = "d"`),
		step(update, client.RepositorySpec{AnonymousPull: true}, `anonymous_pull = true`),
		step(update, client.RepositorySpec{ImmutableTagPatterns: []string{"1.*", "v*"}}, `immutable_tag_patterns = ["v*", "1.*"]`),
		step(noop, client.RepositorySpec{ImmutableTagPatterns: []string{"1.*", "v*"}}, `immutable_tag_patterns = ["1.*", "v*"]`),
		step(update, client.RepositorySpec{ImmutableTagPatterns: []string{"v*"}}, `immutable_tag_patterns = ["v*"]`),
		step(update, client.RepositorySpec{ImmutableTagPatterns: []string{"v*"}}, `immutable_tag_patterns = ["v*"]`, `force_delete = true`),
		step(update, client.RepositorySpec{}),
		renamed,
	)
	s.isEmpty(t)
}

// changeRepository changes the repository behind Terraform's back.
func (s *testServer) changeRepository(t *testing.T, change func(*client.RepositorySpec)) func() {
	return func() {
		t.Helper()
		r, err := s.admin.GetRepository(t.Context(), "team/app")
		if err != nil {
			t.Fatal(err)
		}
		spec := specOf(r)
		change(&spec)
		if _, err := s.admin.UpdateRepository(t.Context(), spec, ""); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRepositoryDrift(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", appRepository(`description = "d"`, `immutable_tag_patterns = ["v*"]`, `force_delete = true`))
	want := client.RepositorySpec{Name: "team/app", Description: "d", ImmutableTagPatterns: []string{"v*"}}
	step := func(change func(*client.RepositorySpec)) resource.TestStep {
		return resource.TestStep{
			PreConfig: s.changeRepository(t, change), Config: config, ConfigPlanChecks: expectAction(repositoryApp, update),
			ConfigStateChecks: []statecheck.StateCheck{s.repository(want), is(repositoryApp, "force_delete", knownvalue.Bool(true))},
		}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		step(func(r *client.RepositorySpec) { r.Description = "" }),
		step(func(r *client.RepositorySpec) { r.AnonymousPull = true }),
		step(func(r *client.RepositorySpec) { r.ImmutableTagPatterns = nil }),
		step(func(r *client.RepositorySpec) { r.ImmutableTagPatterns = []string{"v*", "w*"} }),
	)
}

func TestRepositoryDisappears(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", appRepository(`force_delete = true`))
	remove := func() {
		if err := s.admin.DeleteRepository(t.Context(), "team/app", true); err != nil {
			t.Error(err)
		}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		resource.TestStep{PreConfig: remove, Config: config, ConfigPlanChecks: expectAction(repositoryApp, create)},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodDelete, first(remove))), Config: config, Destroy: true},
	)
}

func TestRepositoryImport(t *testing.T) {
	s := startServer(t)
	managed := s.config("%s", appRepository(`description = "d"`, `anonymous_pull = true`, `immutable_tag_patterns = ["v*"]`))
	unitTest(t, testProvider(),
		resource.TestStep{Config: managed},
		resource.TestStep{ResourceName: repositoryApp, ImportState: true, ImportStateId: "team/app", ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "name"},
		resource.TestStep{ResourceName: repositoryApp, ImportState: true, ImportStateId: "team/app", ImportStateKind: resource.ImportBlockWithID, Config: managed},
		resource.TestStep{ResourceName: repositoryApp, ImportState: true, ImportStateId: "none", ExpectError: says("Cannot import non-existent remote object")},
		resource.TestStep{ResourceName: repositoryApp, ImportState: true, ImportStateId: "Team", ExpectError: says(`Invalid repository name "Team"`)},
	)
}

// A repository that a push made is not taken over, but imported, and then set.
func TestRepositoryOfPush(t *testing.T) {
	s := startServer(t)
	pushed := func() {
		if got := s.tryPush(t, "team/app", "v1", "1"); got != http.StatusCreated {
			t.Fatalf("push: %d", got)
		}
	}
	config := s.config("%s", appRepository(`immutable_tag_patterns = ["v*"]`, `force_delete = true`))
	unitTest(t, testProvider(),
		resource.TestStep{PreConfig: pushed, Config: config, ExpectError: says("terraform import registry_repository.NAME team/app")},
		resource.TestStep{
			Config:            "import {\n to = registry_repository.app\n id = \"team/app\"\n}\n" + config,
			ConfigPlanChecks:  expectAction(repositoryApp, update),
			ConfigStateChecks: []statecheck.StateCheck{s.repository(client.RepositorySpec{Name: "team/app", ImmutableTagPatterns: []string{"v*"}})},
		},
		resource.TestStep{PreConfig: func() {
			if got := s.tryPush(t, "team/app", "v1", "2"); got != http.StatusForbidden {
				t.Errorf("a push to an immutable tag is answered %d", got)
			}
		}, Config: config, ConfigPlanChecks: expectAction(repositoryApp, noop)},
	)
	s.isEmpty(t)
}

// What has images is deleted only if force_delete was applied, and then with its
// immutable tags.
func TestRepositoryForceDelete(t *testing.T) {
	s := startServer(t)
	const immutable, force = `immutable_tag_patterns = ["v*"]`, `force_delete = true`
	unitTest(t, testProvider(),
		resource.TestStep{Config: s.config("%s", appRepository(immutable))},
		resource.TestStep{
			PreConfig: func() {
				for _, tag := range []string{"v1", "latest"} {
					if got := s.tryPush(t, "team/app", tag, "1"); got != http.StatusCreated {
						t.Errorf("push: %d", got)
					}
				}
			},
			Config: s.config("# nothing"), ExpectError: says("it has 2 tags and 1 manifest; "),
		},
		resource.TestStep{Config: s.config("# nothing"), ExpectError: says("set force_delete = true and apply that first: what counts is the value in the state")},
		resource.TestStep{Config: s.config("%s", appRepository(immutable, force)), ConfigPlanChecks: expectAction(repositoryApp, update)},
		resource.TestStep{Config: s.config("# nothing")},
	)
	s.isEmpty(t)
}

func TestRepositoryFaults(t *testing.T) {
	s := startServer(t)
	config, changed := s.config("%s", appRepository()), s.config("%s", appRepository(`description = "d"`))
	wrong := func(method, config, complaint string) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(s.on(method, status(500))), Config: config, ExpectError: says(complaint)}
	}
	unitTest(t, testProvider(),
		wrong(http.MethodPost, config, `Could not create the repository "team/app"`),
		resource.TestStep{PreConfig: s.fail(times(2, s.on(http.MethodPost, status(503)))...), Config: config, ConfigPlanChecks: expectAction(repositoryApp, create)},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodDelete, lose)), Config: s.config("# nothing")},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPost, lose)), Config: config, ConfigPlanChecks: expectAction(repositoryApp, create)},
		wrong(http.MethodGet, config, `Could not read the repository "team/app"`),
		wrong(http.MethodPut, changed, `Could not update the repository "team/app"`),
		wrong(http.MethodDelete, s.config("# nothing"), `Could not delete the repository "team/app"`),
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPut, lose)), Config: changed, ConfigPlanChecks: expectAction(repositoryApp, update)},
		resource.TestStep{
			PreConfig: s.fail(s.on(http.MethodPut, first(s.changeRepository(t, func(r *client.RepositorySpec) { r.AnonymousPull = true })))),
			Config:    config, ExpectError: says("It has changed since Terraform read it"),
		},
		resource.TestStep{PreConfig: s.fail(), Config: config, ConfigPlanChecks: expectAction(repositoryApp, update)},
		resource.TestStep{ // it goes away between plan and apply
			PreConfig: s.fail(s.on(http.MethodPut, first(func() {
				if err := s.admin.DeleteRepository(t.Context(), "team/app", false); err != nil {
					t.Error(err)
				}
			}))),
			Config: changed, ExpectError: says("Somebody else has deleted it since Terraform read it"),
		},
		resource.TestStep{PreConfig: s.fail(), Config: config, ConfigPlanChecks: expectAction(repositoryApp, create)},
	)
	s.isEmpty(t)
}

func TestRepositoryIdentity(t *testing.T) {
	s := startServer(t)
	t.Parallel()
	resource.UnitTest(t, resource.TestCase{
		TerraformVersionChecks:   []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_12_0)},
		ProtoV6ProviderFactories: factories(testProvider()),
		Steps: []resource.TestStep{
			{Config: s.config("%s", appRepository()), ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectIdentity(repositoryApp, map[string]knownvalue.Check{"name": knownvalue.StringExact("team/app")})}},
			{ResourceName: repositoryApp, ImportState: true, ImportStateKind: resource.ImportBlockWithResourceIdentity},
		},
	})
}

func TestRepositoryValidation(t *testing.T) {
	s := &testServer{url: "http://127.0.0.1:1"}
	var steps []resource.TestStep
	for config, complaint := range map[string]string{
		strings.Replace(appRepository(), "team/app", "Team/app", 1):                             `Invalid repository name "Team/app"`,
		strings.Replace(appRepository(), "team/app", "", 1):                                     `Invalid repository name ""`,
		appRepository(`description = "\u0000"`):                                                 "control character",
		appRepository(`description = "` + strings.Repeat("x", oci.MaxDescriptionBytes+1) + `"`): "at most 1024 are allowed",
		appRepository(`immutable_tag_patterns = [""]`):                                          "A tag pattern is empty",
		appRepository(`immutable_tag_patterns = ["v**"]`):                                       "one * stands for any run of characters",
		appRepository(`immutable_tag_patterns = ["v[0-9]"]`):                                    `Invalid tag pattern "v[0-9]"`,
		appRepository(`immutable_tag_patterns = [".v"]`):                                        "no tag begins with .",
		appRepository(`immutable_tag_patterns = [null]`):                                        "contains a null value",
		appRepository(`immutable_tag_patterns = [for n in range(21) : "v${n}"]`):                "at most 20 elements",
		`data "registry_repository" "x" { name = "X" }`:                                         `Invalid repository name "X"`,
		`data "registry_repositories" "x" { name_glob = "X" }`:                                  `Invalid repository glob "X"`,
	} {
		steps = append(steps, resource.TestStep{Config: s.config("%s", config), PlanOnly: true, ExpectError: says(complaint)})
	}
	unitTest(t, testProvider(), steps...)
}

func TestRepositoryUnknownInputs(t *testing.T) {
	s := startServer(t)
	config := func(pattern string) string {
		return s.config(`
resource "terraform_data" "all" {
  input = { name = "team/app", description = "d", public = true, pattern = %[1]q, patterns = [%[1]q] }
}
resource "registry_repository" "app" {
  name                   = terraform_data.all.output.name
  description            = terraform_data.all.output.description
  anonymous_pull         = terraform_data.all.output.public
  immutable_tag_patterns = ["x", terraform_data.all.output.pattern]
  force_delete           = terraform_data.all.output.public
}
resource "registry_repository" "other" {
  name                   = "other"
  immutable_tag_patterns = terraform_data.all.output.patterns
}
data "registry_repository" "app" { name = registry_repository.app.name }
data "registry_repositories" "app" { name_glob = registry_repository.app.name }
`, pattern)
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config("v?"), ExpectError: says(`Invalid tag pattern "v?"`)},
		resource.TestStep{
			Config:           config("v*"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			ConfigStateChecks: []statecheck.StateCheck{
				s.repository(client.RepositorySpec{Name: "team/app", Description: "d", AnonymousPull: true, ImmutableTagPatterns: []string{"v*", "x"}}),
				s.repository(client.RepositorySpec{Name: "other", ImmutableTagPatterns: []string{"v*"}}),
				is("data.registry_repositories.app", "names", knownvalue.ListExact([]knownvalue.Check{knownvalue.StringExact("team/app")})),
			},
		},
	)
	s.isEmpty(t)
}
