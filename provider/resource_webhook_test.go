package provider

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfversion"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

const webhookCI = "registry_webhook.ci"

// ciHook is a webhook with these arguments.
func ciHook(arguments ...string) string {
	return "resource \"registry_webhook\" \"ci\" {\n  name = \"ci\"\n  " + strings.Join(append([]string{`url = "https://ci.example.com/"`}, arguments...), "\n  ") + "\n}\n"
}

// webhook expects the webhook to be the default one, as edit changes it.
func (s *testServer) webhook(edit func(*client.Webhook)) statecheck.StateCheck {
	return serverCheck(func() error {
		want := client.Webhook{Name: "ci", URL: "https://ci.example.com/", Format: "distribution", Repositories: []string{}, Actions: []string{"delete", "push"}, Enabled: true}
		if edit != nil {
			edit(&want)
		}
		got, err := s.admin.GetWebhook(context.Background(), want.Name)
		if err != nil {
			return err
		}
		got.Revision, got.SecretRevision, got.CreatedAt, got.UpdatedAt = "", "", want.CreatedAt, want.UpdatedAt
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("the server has another webhook: %s", diff)
		}
		return nil
	})
}

func signed(h *client.Webhook)     { h.HasSecret = true }
func authorized(h *client.Webhook) { h.HasAuthorization = true }

// Every attribute, set and changed; only another name makes another webhook.
func TestWebhookUpdate(t *testing.T) {
	s := startServer(t)
	step := func(action plancheck.ResourceActionType, want func(*client.Webhook), arguments ...string) resource.TestStep {
		return resource.TestStep{Config: s.config("%s", ciHook(arguments...)), ConfigPlanChecks: expectAction(webhookCI, action), ConfigStateChecks: []statecheck.StateCheck{s.webhook(want)}}
	}
	minimal := step(create, nil)
	minimal.ConfigStateChecks = append(minimal.ConfigStateChecks,
		is(webhookCI, "format", knownvalue.StringExact("distribution")), is(webhookCI, "repositories", texts()), is(webhookCI, "actions", texts("push", "delete")),
		is(webhookCI, "blobs", knownvalue.Bool(false)), is(webhookCI, "enabled", knownvalue.Bool(true)), is(webhookCI, "description", knownvalue.StringExact("")),
		is(webhookCI, "has_secret", knownvalue.Bool(false)), is(webhookCI, "has_authorization", knownvalue.Bool(false)))
	other := resource.TestStep{
		Config:            s.config("%s", strings.Replace(ciHook(), `"ci"`+"\n", `"cd"`+"\n", 1)),
		ConfigPlanChecks:  expectAction(webhookCI, replace),
		ConfigStateChecks: []statecheck.StateCheck{s.webhook(func(h *client.Webhook) { h.Name = "cd" })},
	}
	moved := step(update, func(h *client.Webhook) { h.URL = "http://other/" })
	moved.Config = strings.Replace(moved.Config, "https://ci.example.com/", "http://other/", 1)
	unitTest(t, testProvider(),
		minimal, moved,
		step(update, func(h *client.Webhook) { h.Format = "cloudevents" }, `format = "cloudevents"`),
		step(update, func(h *client.Webhook) { h.Repositories = []string{"a", "team/*"} }, `repositories = ["team/*", "a"]`),
		step(noop, func(h *client.Webhook) { h.Repositories = []string{"a", "team/*"} }, `repositories = ["a", "team/*"]`),
		step(update, func(h *client.Webhook) { h.Actions = []string{"mount", "pull"} }, `actions = ["pull", "mount"]`),
		step(update, func(h *client.Webhook) { h.Blobs = true }, `blobs = true`),
		step(update, func(h *client.Webhook) { h.Enabled = false }, `enabled = false`),
		step(update, func(h *client.Webhook) { h.Description = "d" }, `description = "d"`),
		step(update, signed, `secret = "a-secret-of-bytes-1"`),
		step(update, signed, `secret = "a-secret-of-bytes-2"`),
		step(update, signed, `secret_wo = "a-secret-of-bytes-3"`, `secret_wo_version = 1`),
		step(noop, signed, `secret_wo = "a-secret-of-bytes-4"`, `secret_wo_version = 1`),
		step(update, signed, `secret_wo = "a-secret-of-bytes-4"`, `secret_wo_version = 2`),
		step(update, func(h *client.Webhook) { h.HasSecret, h.HasAuthorization = true, true }, `secret_wo = "a-secret-of-bytes-4"`, `secret_wo_version = 2`, `authorization = "Bearer 1"`),
		step(update, authorized, `authorization = "Bearer 1"`), // the secret is removed
		step(update, authorized, `authorization_wo = "Bearer 2"`, `authorization_wo_version = 1`),
		step(update, authorized, `authorization_wo = "Bearer 2"`, `authorization_wo_version = 2`),
		step(update, nil),
		other,
	)
	s.isEmpty(t)
}

// The secrets of the configuration are those that deliveries have, whichever way
// they came.
func TestWebhookDelivers(t *testing.T) {
	s := startServer(t)
	got := make(chan http.Header, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		got <- r.Header
	}))
	t.Cleanup(receiver.Close)
	n := 0
	hears := func(authorization string, signature bool) statecheck.StateCheck {
		return serverCheck(func() error {
			n++
			s.pushIndex(t, "team/app", fmt.Sprint(n)) // one event
			h := <-got
			if h.Get("Authorization") != authorization || (h.Get("Webhook-Signature") != "") != signature || h.Get("Webhook-Id") == "" {
				return fmt.Errorf("%v", h)
			}
			return nil
		})
	}
	step := func(check statecheck.StateCheck, arguments ...string) resource.TestStep {
		return resource.TestStep{Config: s.config("%s", strings.Replace(ciHook(arguments...), "https://ci.example.com/", receiver.URL, 1)), ConfigStateChecks: []statecheck.StateCheck{check}}
	}
	unitTest(t, testProvider(),
		step(hears("", false)),
		step(hears("Bearer 1", true), `authorization = "Bearer 1"`, `secret = "a-secret-of-bytes-1"`),
		step(hears("Bearer 2", true), "authorization_wo = \"Bearer 2\"\n authorization_wo_version = 1", "secret_wo = \"a-secret-of-bytes-2\"\n secret_wo_version = 1"),
		step(hears("Bearer 2", false), "authorization_wo = \"Bearer 2\"\n authorization_wo_version = 1"),
		step(hears("", false)),
	)
}

// changeWebhook changes a webhook behind Terraform's back.
func (s *testServer) changeWebhook(t *testing.T, change func(*client.WebhookSpec)) func() {
	return func() {
		t.Helper()
		h, err := s.admin.GetWebhook(t.Context(), "ci")
		if err != nil {
			t.Fatal(err)
		}
		spec := client.WebhookSpec{Name: h.Name, Description: h.Description, URL: h.URL, Format: h.Format, Repositories: h.Repositories, Actions: h.Actions, Blobs: h.Blobs, Enabled: h.Enabled}
		change(&spec)
		if _, err := s.admin.UpdateWebhook(t.Context(), spec, ""); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever somebody else changes shows in the plan and is set right by apply.
func TestWebhookDrift(t *testing.T) {
	for kind, credentials := range map[string][]string{
		"none":  nil,
		"clear": {`secret = "a-secret-of-bytes-1"`, `authorization = "Bearer 1"`},
		"wo":    {"secret_wo = \"a-secret-of-bytes-1\"\n secret_wo_version = 7", "authorization_wo = \"Bearer 1\"\n authorization_wo_version = 7"},
	} {
		t.Run(kind, func(t *testing.T) {
			s := startServer(t)
			config := s.config("%s", ciHook(append(credentials, `description = "d"`, `repositories = ["a"]`)...))
			step := func(change func(*client.WebhookSpec)) resource.TestStep {
				return resource.TestStep{
					PreConfig: s.changeWebhook(t, change), Config: config, ConfigPlanChecks: expectAction(webhookCI, update),
					ConfigStateChecks: []statecheck.StateCheck{s.webhook(func(h *client.Webhook) {
						h.Description, h.Repositories, h.HasSecret, h.HasAuthorization = "d", []string{"a"}, credentials != nil, credentials != nil
					})},
				}
			}
			steps := []resource.TestStep{
				{Config: config},
				step(func(h *client.WebhookSpec) { h.Secret = ptr("another-secret-of-bytes") }),
				step(func(h *client.WebhookSpec) { h.Authorization = ptr("Bearer another") }),
			}
			if kind == "clear" {
				steps = append(steps,
					step(func(h *client.WebhookSpec) { h.Secret = ptr("") }),
					step(func(h *client.WebhookSpec) { h.Authorization = ptr("") }),
					step(func(h *client.WebhookSpec) { h.URL = "http://other/" }),
					step(func(h *client.WebhookSpec) { h.Format = "cloudevents" }),
					step(func(h *client.WebhookSpec) { h.Repositories = nil }),
					step(func(h *client.WebhookSpec) { h.Actions = []string{"pull"} }),
					step(func(h *client.WebhookSpec) { h.Blobs = true }),
					step(func(h *client.WebhookSpec) { h.Enabled = false }),
					step(func(h *client.WebhookSpec) { h.Description = "" }),
				)
			}
			unitTest(t, testProvider(), steps...)
		})
	}
}

func TestWebhookDisappears(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", ciHook())
	remove := func() {
		if err := s.admin.DeleteWebhook(t.Context(), "ci", ""); err != nil {
			t.Error(err)
		}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		resource.TestStep{PreConfig: remove, Config: config, ConfigPlanChecks: expectAction(webhookCI, create)},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodDelete, first(remove))), Config: config, Destroy: true},
	)
}

func TestWebhookImport(t *testing.T) {
	s := startServer(t)
	managed := s.config("%s", ciHook(`description = "d"`, `format = "cloudevents"`, `repositories = ["team/*"]`, `actions = ["pull"]`, `blobs = true`, `enabled = false`))
	unitTest(t, testProvider(),
		resource.TestStep{Config: managed},
		resource.TestStep{ResourceName: webhookCI, ImportState: true, ImportStateId: "ci", ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "name"},
		resource.TestStep{ResourceName: webhookCI, ImportState: true, ImportStateId: "ci", ImportStateKind: resource.ImportBlockWithID, Config: managed},
		resource.TestStep{ResourceName: webhookCI, ImportState: true, ImportStateId: "none", ExpectError: says("Cannot import non-existent remote object")},
		resource.TestStep{ResourceName: webhookCI, ImportState: true, ImportStateId: "CI", ExpectError: says(`Invalid webhook name "CI"`)},
	)
}

func TestWebhookIdentity(t *testing.T) {
	s := startServer(t)
	t.Parallel()
	resource.UnitTest(t, resource.TestCase{
		TerraformVersionChecks:   []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_12_0)},
		ProtoV6ProviderFactories: factories(testProvider()),
		Steps: []resource.TestStep{
			{Config: s.config("%s", ciHook()), ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectIdentity(webhookCI, map[string]knownvalue.Check{"name": knownvalue.StringExact("ci")})}},
			{ResourceName: webhookCI, ImportState: true, ImportStateKind: resource.ImportBlockWithResourceIdentity},
		},
	})
}

// A webhook that was there before is not taken over; imported, its secret is set
// as the configuration says.
func TestWebhookExists(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", ciHook(`secret = "a-secret-of-bytes-1"`))
	unitTest(t, testProvider(),
		resource.TestStep{
			PreConfig: func() {
				if _, err := s.admin.CreateWebhook(t.Context(), client.WebhookSpec{Name: "ci", URL: "https://ci.example.com/", Format: "distribution", Actions: []string{"push", "delete"}, Enabled: true, Secret: ptr("another-secret-of-bytes")}); err != nil {
					t.Fatal(err)
				}
			},
			Config:      config,
			ExpectError: says("terraform import registry_webhook.NAME ci"),
		},
		resource.TestStep{
			Config:            config + "import {\n to = registry_webhook.ci\n id = \"ci\"\n}\n",
			ConfigPlanChecks:  expectAction(webhookCI, update),
			ConfigStateChecks: []statecheck.StateCheck{s.webhook(signed)},
		},
	)
}

func TestWebhookValidation(t *testing.T) {
	s := &testServer{url: "http://127.0.0.1:1"}
	var steps []resource.TestStep
	for config, complaint := range map[string]string{
		ciHook(`format = "xml"`):                                "use distribution or cloudevents",
		ciHook(`actions = []`):                                  "at least 1 element",
		ciHook(`actions = ["pushed"]`):                          `Unknown action "pushed" of a webhook`,
		ciHook(`actions = [null]`):                              "contains a null value",
		ciHook(`repositories = ["A/*"]`):                        `Invalid repository glob "A/*"`,
		ciHook(`repositories = [null]`):                         "contains a null value",
		ciHook(`description = "\u0000"`):                        "control character",
		ciHook(`secret = "short"`):                              "The secret has 5 bytes",
		ciHook(`authorization = "a\nb"`):                        "Authorization cannot be a header",
		ciHook(`secret_wo_version = 1`):                         "secret_wo",
		ciHook(`secret_wo = "a-secret-of-bytes-1"`):             "secret_wo_version",
		ciHook("secret_wo = \"short\"\n secret_wo_version = 1"): "The secret has 5 bytes",
		ciHook(`authorization_wo = "Bearer 1"`):                 "authorization_wo_version",
		ciHook(`authorization_wo_version = 1`):                  "authorization_wo",
		ciHook("secret = \"a-secret-of-bytes-1\"\n secret_wo = \"a-secret-of-bytes-1\"\n secret_wo_version = 1"): "cannot be specified when",
		ciHook("authorization = \"Bearer 1\"\n authorization_wo = \"Bearer 1\"\n authorization_wo_version = 1"):  "cannot be specified when",
		strings.Replace(ciHook(), "https://ci.example.com/", "ci.example.com", 1):                                "not an absolute http or https URL",
		strings.Replace(ciHook(), "https://ci.example.com/", "https://a:hunter2@ci/", 1):                         "put them into authorization",
		strings.Replace(ciHook(), `"ci"`+"\n", `"CI"`+"\n", 1):                                                   `Invalid webhook name "CI"`,
	} {
		steps = append(steps, resource.TestStep{Config: s.config("%s", config), PlanOnly: true, ExpectError: says(complaint)})
	}
	unitTest(t, testProvider(), steps...)
}

// A server without an http.secret says what to do.
func TestWebhookNeedsHTTPSecret(t *testing.T) {
	s := newServerWith(t, `{addr: "127.0.0.1:0"}`)
	s.start(t, "")
	unitTest(t, testProvider(),
		resource.TestStep{Config: s.config("%s", ciHook(`secret = "a-secret-of-bytes-1"`)), ExpectError: says("set http.secret (REGISTRY_HTTP_SECRET)")},
		resource.TestStep{Config: s.config("%s", ciHook()), ConfigPlanChecks: expectAction(webhookCI, create)},
	)
}

func TestWebhookUnknownInputs(t *testing.T) {
	s := startServer(t)
	config := func(secret string) string {
		return s.config(`
resource "terraform_data" "all" {
  input = { name = "ci", url = "https://ci.example.com/", format = "cloudevents", globs = ["a"], actions = ["pull"], yes = true, d = "d", secret = %q, bearer = "Bearer 1", version = 1, none = null }
}
locals { all = terraform_data.all.output }
resource "registry_webhook" "ci" {
  name          = local.all.name
  url           = local.all.url
  format        = local.all.format
  repositories  = local.all.globs
  actions       = local.all.actions
  blobs         = local.all.yes
  enabled       = local.all.yes
  description   = local.all.d
  secret        = local.all.secret
  authorization = local.all.bearer
}
resource "registry_webhook" "wo" {
  name                     = "wo"
  url                      = local.all.url
  secret_wo                = local.all.secret
  secret_wo_version        = local.all.version
  authorization_wo         = local.all.bearer
  authorization_wo_version = local.all.version
  repositories             = ["x", local.all.globs[0]]
}
resource "registry_webhook" "none" {
  name   = "none"
  url    = local.all.url
  secret = local.all.none
}
`, secret)
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config("short"), ExpectError: says("The secret has 5 bytes")},
		resource.TestStep{
			Config:           config("a-secret-of-bytes-1"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			ConfigStateChecks: []statecheck.StateCheck{
				s.webhook(func(h *client.Webhook) {
					h.Format, h.Repositories, h.Actions, h.Blobs, h.Description, h.HasSecret, h.HasAuthorization = "cloudevents", []string{"a"}, []string{"pull"}, true, "d", true, true
				}),
				s.webhook(func(h *client.Webhook) {
					h.Name, h.Repositories, h.HasSecret, h.HasAuthorization = "wo", []string{"a", "x"}, true, true
				}),
				s.webhook(func(h *client.Webhook) { h.Name = "none" }),
			},
		},
	)
}

func TestWebhookFaults(t *testing.T) {
	s := startServer(t)
	config, changed := s.config("%s", ciHook(`secret = "a-secret-of-bytes-1"`)), s.config("%s", ciHook(`secret = "a-secret-of-bytes-1"`, `description = "d"`))
	wrong := func(method, config, complaint string) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(s.on(method, status(500))), Config: config, ExpectError: says(complaint)}
	}
	unitTest(t, testProvider(),
		wrong(http.MethodPost, config, `Could not create the webhook "ci"`),
		resource.TestStep{PreConfig: s.fail(append(times(2, s.on(http.MethodPost, status(503))), s.on(http.MethodPost, lose))[1:]...), Config: config, ConfigPlanChecks: expectAction(webhookCI, create)},
		wrong(http.MethodGet, config, `Could not read the webhook "ci"`),
		wrong(http.MethodPut, changed, `Could not update the webhook "ci"`),
		wrong(http.MethodDelete, s.config("# nothing"), `Could not delete the webhook "ci"`),
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPut, lose)), Config: changed, ConfigPlanChecks: expectAction(webhookCI, update)},
		resource.TestStep{ // somebody else is faster
			PreConfig: s.fail(s.on(http.MethodPut, first(s.changeWebhook(t, func(h *client.WebhookSpec) { h.Blobs = true })))),
			Config:    config, ExpectError: says("It has changed since Terraform read it"),
		},
		resource.TestStep{ // it goes away between plan and apply
			PreConfig: s.fail(s.on(http.MethodPut, first(func() {
				if err := s.admin.DeleteWebhook(t.Context(), "ci", ""); err != nil {
					t.Error(err)
				}
			}))),
			Config: config, ExpectError: says("Somebody else has deleted it since Terraform read it"),
		},
		resource.TestStep{PreConfig: s.fail(), Config: config, ConfigPlanChecks: expectAction(webhookCI, create)},
	)
	s.isEmpty(t)
}
