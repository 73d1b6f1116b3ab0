package provider

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

const standby = "registry_replication.dr"

// dr is a replication with these arguments.
func dr(arguments ...string) string {
	text := strings.Join(arguments, "\n ")
	if !strings.Contains(text, "url = ") {
		text = "url = \"https://dr.example.com\"\n " + text
	}
	return fmt.Sprintf("resource \"registry_replication\" \"dr\" {\n name = \"dr\"\n %s\n}\n", text)
}

// replication expects the replication to be as want says.
func (s *testServer) replication(want client.Replication) statecheck.StateCheck {
	return serverCheck(func() error {
		got, err := s.admin.GetReplication(context.Background(), want.Name)
		if err != nil {
			return err
		}
		got.Revision, got.CredentialRevision, got.CreatedAt, got.UpdatedAt = "", "", time.Time{}, time.Time{}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("the server has another replication: %s", diff)
		}
		return nil
	})
}

func drReplication(change func(*client.Replication)) client.Replication {
	r := client.Replication{Name: "dr", URL: "https://dr.example.com", Repositories: []string{}, Tags: []string{}, Enabled: true}
	if change != nil {
		change(&r)
	}
	return r
}

// Every attribute, set and changed; only another name makes another replication.
func TestReplicationUpdate(t *testing.T) {
	s := startServer(t)
	step := func(action plancheck.ResourceActionType, config string, change func(*client.Replication)) resource.TestStep {
		return resource.TestStep{Config: s.config("%s", config), ConfigPlanChecks: expectAction(standby, action), ConfigStateChecks: []statecheck.StateCheck{s.replication(drReplication(change))}}
	}
	as := func(user string, more ...func(*client.Replication)) func(*client.Replication) {
		return func(r *client.Replication) {
			r.Username, r.HasPassword = user, true
			for _, change := range more {
				change(r)
			}
		}
	}
	const elsewhere = `url = "https://other.example.com/mirror"`
	other := func(r *client.Replication) { r.URL = "https://other.example.com/mirror" }
	minimal := step(create, dr(), nil)
	minimal.ConfigStateChecks = append(minimal.ConfigStateChecks,
		is(standby, "username", knownvalue.StringExact("")), is(standby, "enabled", knownvalue.Bool(true)), is(standby, "insecure", knownvalue.Bool(false)),
		is(standby, "repositories", knownvalue.SetSizeExact(0)), is(standby, "tags", knownvalue.SetSizeExact(0)))
	unitTest(t, testProvider(),
		minimal,
		step(update, dr(`repositories = ["team/**", "app"]`), func(r *client.Replication) { r.Repositories = []string{"app", "team/**"} }),
		step(update, dr(`tags = ["v*", "latest"]`), func(r *client.Replication) { r.Tags = []string{"latest", "v*"} }),
		step(update, dr(`enabled = false`), func(r *client.Replication) { r.Enabled = false }),
		step(update, dr(`url = "http://dr.example.com"`, `insecure = true`), func(r *client.Replication) { r.URL, r.Insecure = "http://dr.example.com", true }),
		step(update, dr(hubLogin("me", "password-1", 1)), as("me")),
		step(update, dr(hubLogin("me", "password-2", 2)), as("me")),
		step(noop, dr(hubLogin("me", "password-3", 2)), as("me")),                       // the version says when
		step(update, dr(hubLogin("you", "password-3", 2)), as("you")),                   // another user needs it anew
		step(update, dr(elsewhere, hubLogin("you", "password-3", 2)), as("you", other)), // so does another host
		step(update, dr(elsewhere, `username = "you"`), as("you", other)),               // without one, it stays
		step(update, dr(elsewhere), other),                                              // nobody logs in
		step(update, dr(`url = "https://DR.example.com/"`), nil),                        // is kept in another form
		step(replace, strings.Replace(dr(), `"dr"`+"\n", `"two"`+"\n", 1), func(r *client.Replication) { r.Name = "two" }),
	)
	s.hasNoReplications(t)
}

func (s *testServer) hasNoReplications(t *testing.T) {
	t.Helper()
	for r, err := range s.admin.ListReplications(t.Context()) {
		t.Errorf("the replication %q is left, %v", r.Name, err)
	}
	s.isEmpty(t)
}

func TestReplicationDrift(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", dr(hubLogin("me", "password-1", 1)))
	step := func(action plancheck.ResourceActionType, change func(*client.ReplicationSpec)) resource.TestStep {
		return resource.TestStep{
			PreConfig: func() {
				spec := client.ReplicationSpec{Name: "dr", URL: "https://dr.example.com", Username: "me", Password: ptr("password-1"), Enabled: true}
				change(&spec)
				if _, err := s.admin.PutReplication(t.Context(), spec, ""); err != nil {
					t.Fatal(err)
				}
			},
			Config: config, ConfigPlanChecks: expectAction(standby, action),
			ConfigStateChecks: []statecheck.StateCheck{s.replication(drReplication(func(r *client.Replication) { r.Username, r.HasPassword = "me", true }))},
		}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		step(update, func(r *client.ReplicationSpec) { r.Enabled = false }),
		step(update, func(r *client.ReplicationSpec) { r.Insecure = true }),
		step(update, func(r *client.ReplicationSpec) { r.Repositories = []string{"app"} }),
		step(update, func(r *client.ReplicationSpec) { r.Tags = []string{"v*"} }),
		step(update, func(r *client.ReplicationSpec) { r.URL = "https://other.example.com" }),
		step(update, func(r *client.ReplicationSpec) { r.Username = "you" }),
		step(update, func(r *client.ReplicationSpec) { r.Username, r.Password = "", nil }),
		step(update, func(r *client.ReplicationSpec) { r.Password = ptr("another-one") }),
		step(noop, func(*client.ReplicationSpec) {}),
	)
}

func TestReplicationDisappears(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", dr())
	remove := func() {
		if err := s.admin.DeleteReplication(t.Context(), "dr", ""); err != nil {
			t.Error(err)
		}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		resource.TestStep{PreConfig: remove, Config: config, ConfigPlanChecks: expectAction(standby, create)},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodDelete, first(remove))), Config: config, Destroy: true},
	)
}

func TestReplicationImport(t *testing.T) {
	s := startServer(t)
	managed := s.config("%s", dr("enabled = false"))
	unitTest(t, testProvider(),
		resource.TestStep{Config: managed},
		resource.TestStep{ResourceName: standby, ImportState: true, ImportStateId: "dr", ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "name"},
		resource.TestStep{ResourceName: standby, ImportState: true, ImportStateId: "dr", ImportStateKind: resource.ImportBlockWithID, Config: managed},
		resource.TestStep{ResourceName: standby, ImportState: true, ImportStateId: "none", ExpectError: says("Cannot import non-existent remote object")},
		resource.TestStep{ResourceName: standby, ImportState: true, ImportStateId: "Dr", ExpectError: says(`Invalid replication name "Dr"`)},
	)
}

func TestReplicationIdentity(t *testing.T) {
	s := startServer(t)
	t.Parallel()
	resource.UnitTest(t, resource.TestCase{
		TerraformVersionChecks:   []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_12_0)},
		ProtoV6ProviderFactories: factories(testProvider()),
		Steps: []resource.TestStep{
			{Config: s.config("%s", dr()), ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectIdentity(standby, map[string]knownvalue.Check{"name": knownvalue.StringExact("dr")})}},
			{ResourceName: standby, ImportState: true, ImportStateKind: resource.ImportBlockWithResourceIdentity},
		},
	})
}

// One that is there already is not taken over, also if it is just the same.
func TestReplicationExists(t *testing.T) {
	s := startServer(t)
	unitTest(t, testProvider(), resource.TestStep{
		PreConfig: func() {
			if _, err := s.admin.CreateReplication(t.Context(), client.ReplicationSpec{Name: "dr", URL: "https://dr.example.com", Enabled: true}); err != nil {
				t.Fatal(err)
			}
		},
		Config:      s.config("%s", dr()),
		ExpectError: says("terraform import registry_replication.NAME dr"),
	})
}

func TestReplicationValidation(t *testing.T) {
	s := &testServer{url: "http://127.0.0.1:1"}
	var steps []resource.TestStep
	for config, complaint := range map[string]string{
		strings.Replace(dr(), `"dr"`+"\n", `"Dr"`+"\n", 1):  `Invalid replication name "Dr"`,
		dr(`url = "dr.example.com"`):                        "begins with https://",
		dr(`url = "https://u:p@dr.example.com"`):            "holds no user name or password",
		dr(`url = "https://dr.example.com/A"`):              "is not the beginning of a repository name",
		dr(`url = "http://dr.example.com"`):                 "in the clear",
		dr(`repositories = ["***"]`):                        "repositories",
		dr(`tags = ["a b"]`):                                "tag pattern",
		dr(`password_wo = "x"`):                             "password_wo_version",
		dr(`password_wo_version = 1`):                       "password_wo",
		dr("password_wo = \"x\"\n password_wo_version = 1"): "username",
		dr(hubLogin("me", "", 1)):                           "at least 1",
	} {
		steps = append(steps, resource.TestStep{Config: s.config("%s", config), PlanOnly: true, ExpectError: says(complaint)})
	}
	unitTest(t, testProvider(), steps...)
}

func TestReplicationUnknownInputs(t *testing.T) {
	s := startServer(t)
	config := func(url string) string {
		return s.config(`
resource "terraform_data" "all" {
  input = { name = "dr", url = %q, glob = "app", tag = "v*", user = "me", version = 1, on = true }
}
resource "registry_replication" "dr" {
  name                = terraform_data.all.output.name
  url                 = terraform_data.all.output.url
  insecure            = terraform_data.all.output.on
  repositories        = [terraform_data.all.output.glob]
  tags                = [terraform_data.all.output.tag]
  username            = terraform_data.all.output.user
  password_wo         = "password-1"
  password_wo_version = terraform_data.all.output.version
  enabled             = terraform_data.all.output.on
}
`, url)
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config("dr.example.com"), ExpectError: says("begins with https://")},
		resource.TestStep{
			Config:           config("https://dr.example.com"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			ConfigStateChecks: []statecheck.StateCheck{s.replication(drReplication(func(r *client.Replication) {
				r.Insecure, r.Repositories, r.Tags, r.Username, r.HasPassword = true, []string{"app"}, []string{"v*"}, "me", true
			}))},
		},
	)
}

func TestReplicationFaults(t *testing.T) {
	s := startServer(t)
	config, changed := s.config("%s", dr(hubLogin("me", "password-1", 1))), s.config("%s", dr(hubLogin("me", "password-2", 2)))
	wrong := func(method, config, complaint string) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(s.on(method, status(500))), Config: config, ExpectError: says(complaint)}
	}
	unitTest(t, testProvider(),
		wrong(http.MethodPut, config, `Could not create the replication "dr"`),
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPut, status(503)), s.on(http.MethodPut, status(503)), s.on(http.MethodPut, status(503))), Config: config, ExpectError: says(`Could not create the replication "dr"`)},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPut, lose)), Config: config, ConfigPlanChecks: expectAction(standby, create)},
		wrong(http.MethodGet, config, `Could not read the replication "dr"`),
		wrong(http.MethodPut, changed, `Could not update the replication "dr"`),
		wrong(http.MethodDelete, s.config("# nothing"), `Could not delete the replication "dr"`),
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPut, lose)), Config: changed, ConfigPlanChecks: expectAction(standby, update)},
		resource.TestStep{ // it goes away between plan and apply
			PreConfig: s.fail(s.on(http.MethodPut, first(func() {
				if err := s.admin.DeleteReplication(t.Context(), "dr", ""); err != nil {
					t.Error(err)
				}
			}))),
			Config: config, ExpectError: says("there is no replication dr"),
		},
		resource.TestStep{PreConfig: s.fail(), Config: config, ConfigPlanChecks: expectAction(standby, create)},
	)
	s.hasNoReplications(t)
}

// A server without a secret says what it needs to keep a password.
func TestReplicationNeedsASecret(t *testing.T) {
	s := newServerWith(t, `{addr: "127.0.0.1:0"}`)
	s.start(t, "")
	unitTest(t, testProvider(),
		resource.TestStep{Config: s.config("%s", dr(hubLogin("me", "password-1", 1))), ExpectError: says("REGISTRY_HTTP_SECRET")},
		resource.TestStep{Config: s.config("%s", dr(`username = "me"`)), ExpectError: says("has no password")},
	)
}

// The password of a destination is in neither plan, state, log nor error.
func TestReplicationSecrets(t *testing.T) {
	s, log := startServer(t), filepath.Join(t.TempDir(), "log")
	t.Setenv("TF_LOG", "TRACE")
	t.Setenv("TF_LOG_PATH", log)
	config := func(version int) string {
		return s.config("variable \"secret\" {\n ephemeral = true\n}\n%s", dr(fmt.Sprintf("username = \"me\"\n password_wo = var.secret\n password_wo_version = %d", version)))
	}
	values := passwordsFor(config(1))
	const secretValue = "a-password-for-secret"
	unitTestInOrder(t, testProvider(),
		resource.TestStep{Config: config(1), ConfigVariables: values, ConfigStateChecks: []statecheck.StateCheck{statecheckFunc(func(req statecheck.CheckStateRequest) error {
			if text := fmt.Sprint(stateOf(req, standby)); strings.Contains(text, secretValue) {
				return fmt.Errorf("the state holds the password: %s", text)
			}
			return nil
		})}},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPut, status(400))), Config: config(2), ConfigVariables: values, ExpectError: says("400")},
		resource.TestStep{PreConfig: s.fail(), Config: config(2), ConfigVariables: values},
	)
	content, err := os.ReadFile(log)
	if err != nil || len(content) < 10_000 {
		t.Fatalf("%d bytes of log, %v", len(content), err)
	}
	if i := bytes.Index(content, []byte(secretValue)); i >= 0 {
		t.Errorf("the log holds the password: %s", content[max(0, i-300):min(len(content), i+100)])
	}
}
