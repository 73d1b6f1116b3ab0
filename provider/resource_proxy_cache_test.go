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

const proxyHub = "registry_proxy_cache.hub"

// hub is a pull-through cache of Docker Hub with these arguments.
func hub(arguments ...string) string {
	text := strings.Join(arguments, "\n ")
	if !strings.Contains(text, "upstream_url") {
		text = "upstream_url = \"https://registry-1.docker.io\"\n " + text
	}
	return fmt.Sprintf("resource \"registry_proxy_cache\" \"hub\" {\n prefix = \"hub\"\n %s\n}\n", text)
}

func hubLogin(user, password string, version int) string {
	return fmt.Sprintf("username = %q\n password_wo = %q\n password_wo_version = %d", user, password, version)
}

// proxyCache expects the pull-through cache to be as want says.
func (s *testServer) proxyCache(want client.ProxyCache) statecheck.StateCheck {
	return serverCheck(func() error {
		got, err := s.admin.GetProxyCache(context.Background(), want.Prefix)
		if err != nil {
			return err
		}
		got.Revision, got.CredentialRevision, got.CreatedAt, got.UpdatedAt = "", "", time.Time{}, time.Time{}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("the server has another cache: %s", diff)
		}
		return nil
	})
}

func hubCache(change func(*client.ProxyCache)) client.ProxyCache {
	c := client.ProxyCache{Prefix: "hub", UpstreamURL: "https://registry-1.docker.io", RevalidateAfterSeconds: 600}
	if change != nil {
		change(&c)
	}
	return c
}

// Every attribute, set and changed; only another prefix makes another cache.
func TestProxyCacheUpdate(t *testing.T) {
	s := startServer(t)
	step := func(action plancheck.ResourceActionType, config string, change func(*client.ProxyCache)) resource.TestStep {
		return resource.TestStep{Config: s.config("%s", config), ConfigPlanChecks: expectAction(proxyHub, action), ConfigStateChecks: []statecheck.StateCheck{s.proxyCache(hubCache(change))}}
	}
	as := func(user string, more ...func(*client.ProxyCache)) func(*client.ProxyCache) {
		return func(c *client.ProxyCache) {
			c.Username, c.HasPassword = user, true
			for _, change := range more {
				change(c)
			}
		}
	}
	quay := func(c *client.ProxyCache) { c.UpstreamURL = "https://quay.io" }
	minimal := step(create, hub(), nil)
	minimal.ConfigStateChecks = append(minimal.ConfigStateChecks,
		is(proxyHub, "username", knownvalue.StringExact("")), is(proxyHub, "revalidate_after_seconds", knownvalue.Int64Exact(600)))
	unitTest(t, testProvider(),
		minimal,
		step(update, hub(`revalidate_after_seconds = 0`), func(c *client.ProxyCache) { c.RevalidateAfterSeconds = 0 }),
		step(update, hub(`max_size_bytes = 50000000000`), func(c *client.ProxyCache) { c.MaxSizeBytes = 50_000_000_000 }),
		step(update, hub(`max_size_bytes = 1`), func(c *client.ProxyCache) { c.MaxSizeBytes = 1 }),
		step(update, hub(hubLogin("me", "password-1", 1)), as("me")),
		step(update, hub(hubLogin("me", "password-2", 2)), as("me")),
		step(noop, hub(hubLogin("me", "password-3", 2)), as("me")),                                               // the version says when
		step(update, hub(hubLogin("you", "password-3", 2)), as("you")),                                           // another user needs it anew
		step(update, hub(`upstream_url = "https://quay.io"`, hubLogin("you", "password-3", 2)), as("you", quay)), // so does another host
		step(update, hub(`upstream_url = "https://quay.io"`, `username = "you"`), as("you", quay)),               // without one, it stays
		step(update, hub(`upstream_url = "https://quay.io"`), quay),                                              // nobody logs in
		step(update, hub(`upstream_url = "https://docker.io/"`), nil),                                            // is kept in another form
		step(replace, strings.Replace(hub(), `"hub"`+"\n", `"mirror/hub"`+"\n", 1), func(c *client.ProxyCache) { c.Prefix = "mirror/hub" }),
	)
	s.hasNoProxyCaches(t)
}

func (s *testServer) hasNoProxyCaches(t *testing.T) {
	t.Helper()
	for c, err := range s.admin.ListProxyCaches(t.Context()) {
		t.Errorf("the pull-through cache %q is left, %v", c.Prefix, err)
	}
	s.isEmpty(t)
}

func TestProxyCacheDrift(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", hub(hubLogin("me", "password-1", 1)))
	step := func(action plancheck.ResourceActionType, change func(*client.ProxyCacheSpec)) resource.TestStep {
		return resource.TestStep{
			PreConfig: func() {
				password := "password-1"
				spec := client.ProxyCacheSpec{Prefix: "hub", UpstreamURL: "https://registry-1.docker.io", Username: "me", Password: &password, RevalidateAfterSeconds: 600}
				change(&spec)
				if _, err := s.admin.PutProxyCache(t.Context(), spec, ""); err != nil {
					t.Fatal(err)
				}
			},
			Config: config, ConfigPlanChecks: expectAction(proxyHub, action),
			ConfigStateChecks: []statecheck.StateCheck{s.proxyCache(hubCache(func(c *client.ProxyCache) { c.Username, c.HasPassword = "me", true }))},
		}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		step(update, func(c *client.ProxyCacheSpec) { c.RevalidateAfterSeconds = 1 }),
		step(update, func(c *client.ProxyCacheSpec) { c.MaxSizeBytes = 1 }),
		step(update, func(c *client.ProxyCacheSpec) { c.UpstreamURL = "https://quay.io" }),
		step(update, func(c *client.ProxyCacheSpec) { c.Username = "you" }),
		step(update, func(c *client.ProxyCacheSpec) { c.Username, c.Password = "", nil }),
		step(update, func(c *client.ProxyCacheSpec) { c.Password = ptr("another-one") }),
		step(noop, func(*client.ProxyCacheSpec) {}),
	)
}

func TestProxyCacheDisappears(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", hub())
	remove := func() {
		if err := s.admin.DeleteProxyCache(t.Context(), "hub", ""); err != nil {
			t.Error(err)
		}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		resource.TestStep{PreConfig: remove, Config: config, ConfigPlanChecks: expectAction(proxyHub, create)},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodDelete, first(remove))), Config: config, Destroy: true},
	)
}

func TestProxyCacheImport(t *testing.T) {
	s := startServer(t)
	managed := s.config("%s", hub("revalidate_after_seconds = 7", "max_size_bytes = 8"))
	unitTest(t, testProvider(),
		resource.TestStep{Config: managed},
		resource.TestStep{ResourceName: proxyHub, ImportState: true, ImportStateId: "hub", ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "prefix"},
		resource.TestStep{ResourceName: proxyHub, ImportState: true, ImportStateId: "hub", ImportStateKind: resource.ImportBlockWithID, Config: managed},
		resource.TestStep{ResourceName: proxyHub, ImportState: true, ImportStateId: "none", ExpectError: says("Cannot import non-existent remote object")},
		resource.TestStep{ResourceName: proxyHub, ImportState: true, ImportStateId: "Hub", ExpectError: says(`Invalid prefix "Hub"`)},
	)
}

func TestProxyCacheIdentity(t *testing.T) {
	s := startServer(t)
	t.Parallel()
	resource.UnitTest(t, resource.TestCase{
		TerraformVersionChecks:   []tfversion.TerraformVersionCheck{tfversion.SkipBelow(tfversion.Version1_12_0)},
		ProtoV6ProviderFactories: factories(testProvider()),
		Steps: []resource.TestStep{
			{Config: s.config("%s", hub()), ConfigStateChecks: []statecheck.StateCheck{statecheck.ExpectIdentity(proxyHub, map[string]knownvalue.Check{"prefix": knownvalue.StringExact("hub")})}},
			{ResourceName: proxyHub, ImportState: true, ImportStateKind: resource.ImportBlockWithResourceIdentity},
		},
	})
}

// One that is there already is not taken over, also if it is just the same.
func TestProxyCacheExists(t *testing.T) {
	s := startServer(t)
	unitTest(t, testProvider(), resource.TestStep{
		PreConfig: func() {
			if _, err := s.admin.CreateProxyCache(t.Context(), client.ProxyCacheSpec{Prefix: "hub", UpstreamURL: "https://docker.io", RevalidateAfterSeconds: 600}); err != nil {
				t.Fatal(err)
			}
		},
		Config:      s.config("%s", hub()),
		ExpectError: says("terraform import registry_proxy_cache.NAME hub"),
	})
}

func TestProxyCacheValidation(t *testing.T) {
	s := &testServer{url: "http://127.0.0.1:1"}
	var steps []resource.TestStep
	for config, complaint := range map[string]string{
		strings.Replace(hub(), `"hub"`+"\n", `"Hub"`+"\n", 1):              `Invalid prefix "Hub"`,
		strings.Replace(hub(), `"hub"`+"\n", `"hub/"`+"\n", 1):             "without a slash at the end",
		hub(`upstream_url = "docker.io"`):                                  "begins with https://",
		hub(`upstream_url = "https://u:p@docker.io"`):                      "holds no user name or password",
		hub(`upstream_url = "https://docker.io/A"`):                        "is not the beginning of a repository name",
		hub(`revalidate_after_seconds = -1`):                               "between 0 and 31536000",
		hub(`max_size_bytes = 0`):                                          "at least 1",
		hub(`password_wo = "x"`):                                           "password_wo_version",
		hub(`password_wo_version = 1`):                                     "password_wo",
		hub("password_wo = \"x\"\n password_wo_version = 1"):               "username",
		hub(hubLogin("me", "", 1)):                                         "at least 1",
		hub(`upstream_url = "http://hub.example"`, hubLogin("me", "x", 1)): "in the clear",
	} {
		steps = append(steps, resource.TestStep{Config: s.config("%s", config), PlanOnly: true, ExpectError: says(complaint)})
	}
	unitTest(t, testProvider(), steps...)
}

func TestProxyCacheUnknownInputs(t *testing.T) {
	s := startServer(t)
	config := func(url string) string {
		return s.config(`
resource "terraform_data" "all" {
  input = { prefix = "hub", url = %q, user = "me", version = 1, seconds = 5, size = 6 }
}
resource "registry_proxy_cache" "hub" {
  prefix                   = terraform_data.all.output.prefix
  upstream_url             = terraform_data.all.output.url
  username                 = terraform_data.all.output.user
  password_wo              = "password-1"
  password_wo_version      = terraform_data.all.output.version
  revalidate_after_seconds = terraform_data.all.output.seconds
  max_size_bytes           = terraform_data.all.output.size
}
`, url)
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config("quay.io"), ExpectError: says("begins with https://")},
		resource.TestStep{
			Config:           config("https://quay.io"),
			ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}},
			ConfigStateChecks: []statecheck.StateCheck{s.proxyCache(client.ProxyCache{
				Prefix: "hub", UpstreamURL: "https://quay.io", Username: "me", HasPassword: true, RevalidateAfterSeconds: 5, MaxSizeBytes: 6,
			})},
		},
	)
}

func TestProxyCacheFaults(t *testing.T) {
	s := startServer(t)
	config, changed := s.config("%s", hub(hubLogin("me", "password-1", 1))), s.config("%s", hub(hubLogin("me", "password-2", 2)))
	wrong := func(method, config, complaint string) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(s.on(method, status(500))), Config: config, ExpectError: says(complaint)}
	}
	unitTest(t, testProvider(),
		wrong(http.MethodPut, config, `Could not create the pull-through cache "hub"`),
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPut, status(503)), s.on(http.MethodPut, status(503)), s.on(http.MethodPut, status(503))), Config: config, ExpectError: says(`Could not create the pull-through cache "hub"`)},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPut, lose)), Config: config, ConfigPlanChecks: expectAction(proxyHub, create)},
		wrong(http.MethodGet, config, `Could not read the pull-through cache "hub"`),
		wrong(http.MethodPut, changed, `Could not update the pull-through cache "hub"`),
		wrong(http.MethodDelete, s.config("# nothing"), `Could not delete the pull-through cache "hub"`),
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPut, lose)), Config: changed, ConfigPlanChecks: expectAction(proxyHub, update)},
		resource.TestStep{ // it goes away between plan and apply
			PreConfig: s.fail(s.on(http.MethodPut, first(func() {
				if err := s.admin.DeleteProxyCache(t.Context(), "hub", ""); err != nil {
					t.Error(err)
				}
			}))),
			Config: config, ExpectError: says("there is no pull-through cache hub"),
		},
		resource.TestStep{PreConfig: s.fail(), Config: config, ConfigPlanChecks: expectAction(proxyHub, create)},
	)
	s.hasNoProxyCaches(t)
}

// A server without a secret says what it needs to keep a password.
func TestProxyCacheNeedsASecret(t *testing.T) {
	s := newServerWith(t, `{addr: "127.0.0.1:0"}`)
	s.start(t, "")
	unitTest(t, testProvider(),
		resource.TestStep{Config: s.config("%s", hub(hubLogin("me", "password-1", 1))), ExpectError: says("REGISTRY_HTTP_SECRET")},
		resource.TestStep{Config: s.config("%s", hub(`username = "me"`)), ExpectError: says("has no password")},
	)
}

// The password of an upstream is in neither plan, state, log nor error.
func TestProxyCacheSecrets(t *testing.T) {
	s, log := startServer(t), filepath.Join(t.TempDir(), "log")
	t.Setenv("TF_LOG", "TRACE")
	t.Setenv("TF_LOG_PATH", log)
	config := func(version int) string {
		return s.config("variable \"secret\" {\n ephemeral = true\n}\n%s", hub(fmt.Sprintf("username = \"me\"\n password_wo = var.secret\n password_wo_version = %d", version)))
	}
	values := passwordsFor(config(1))
	const secretValue = "a-password-for-secret"
	unitTestInOrder(t, testProvider(),
		resource.TestStep{Config: config(1), ConfigVariables: values, ConfigStateChecks: []statecheck.StateCheck{statecheckFunc(func(req statecheck.CheckStateRequest) error {
			if text := fmt.Sprint(stateOf(req, proxyHub)); strings.Contains(text, secretValue) {
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
