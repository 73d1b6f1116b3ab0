package provider

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-plugin-testing/echoprovider"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

// echoTest runs steps with the provider and one that keeps what it is given in
// the state, so that a test sees ephemeral values.
func echoTest(t *testing.T, p *registryProvider, steps ...resource.TestStep) {
	t.Helper()
	t.Parallel()
	providers := factories(p)
	providers["echo"] = echoprovider.NewProviderServer()
	resource.UnitTest(t, resource.TestCase{ProtoV6ProviderFactories: providers, Steps: steps})
}

const echoToken = `
provider "echo" { data = ephemeral.registry_token.this }
resource "echo" "this" {}
`

// echoed returns what the echo provider was given.
func echoed(req statecheck.CheckStateRequest) (map[string]any, error) {
	for _, r := range req.State.Values.RootModule.Resources {
		if data, ok := r.AttributeValues["data"].(map[string]any); ok && r.Address == "echo.this" {
			return data, nil
		}
	}
	return nil, errors.New("nothing was echoed")
}

// issuedAndRevoked expects that the provider has revoked tokens, and left none.
func (s *testServer) issuedAndRevoked() error {
	revoked := 0
	for _, r := range s.seen() {
		if r.method == http.MethodDelete && strings.Contains(r.path, "/tokens/") {
			revoked++
		}
	}
	if revoked == 0 {
		return errors.New("no token was revoked")
	}
	return s.noTokens()
}

func (s *testServer) noTokens() error {
	for token, err := range s.admin.ListTokens(context.Background()) {
		return fmt.Errorf("the token %s is left, %w", token.ID, err)
	}
	return nil
}

func (s *testServer) withUser(t *testing.T, name string, policies ...string) {
	t.Helper()
	if _, err := s.admin.CreateUser(t.Context(), client.UserSpec{Username: name, Policies: policies, Enabled: true, Password: ptr("password-of-" + name)}); err != nil {
		t.Fatal(err)
	}
}

func TestTokenEphemeral(t *testing.T) {
	s := startServer(t)
	s.withUser(t, "ci", "read-only")
	token := ""
	echoTest(t, testProvider(),
		resource.TestStep{
			Config: s.config(`
ephemeral "registry_token" "this" {
  username    = "ci"
  ttl         = "10m"
  description = "of a test"
  access      = [{ repositories = ["team/*"], actions = ["pull"] }]
}
`) + echoToken,
			ConfigStateChecks: []statecheck.StateCheck{statecheckFunc(func(req statecheck.CheckStateRequest) error {
				data, err := echoed(req)
				if err != nil {
					return err
				}
				token, _ = data["token"].(string)
				id, _ := data["id"].(string)
				if !strings.HasPrefix(token, "rkt_"+id+"_") || !rfc3339.MatchString(fmt.Sprint(data["expires_at"])) {
					return fmt.Errorf("got %v", data)
				}
				var config struct {
					Auths map[string]struct{ Auth string }
				}
				if err := json.Unmarshal([]byte(data["docker_config_json"].(string)), &config); err != nil {
					return err
				}
				host := strings.TrimPrefix(s.url, "http://")
				if login, err := base64.StdEncoding.DecodeString(config.Auths[host].Auth); err != nil || string(login) != "ci:"+token {
					return fmt.Errorf("docker logs in to %s with %q, %w", host, login, err)
				}
				return s.issuedAndRevoked()
			})},
		},
		// Nothing else of the user has changed.
		resource.TestStep{
			Config: s.config("# nothing"),
			ConfigStateChecks: []statecheck.StateCheck{s.logsIn("ci", "password-of-ci"), serverCheck(func() error {
				if got := s.login("ci", token); got != http.StatusUnauthorized {
					return fmt.Errorf("a token of an earlier run: status %d", got)
				}
				return nil
			})},
		},
	)
}

// While it is open, the token works: here as the login of another provider
// block.
func TestTokenEphemeralInUse(t *testing.T) {
	s := startServer(t)
	text := s.config(`
ephemeral "registry_token" "this" { username = "admin" }

provider "registry" {
  alias    = "by_token"
  endpoint = %q
  token    = ephemeral.registry_token.this.token
}

resource "registry_user" "made" {
  provider = registry.by_token
  username = "made-by-token"
}
`, s.url)
	unitTest(t, testProvider(), resource.TestStep{
		Config:            text,
		ConfigStateChecks: []statecheck.StateCheck{s.user(client.User{Username: "made-by-token", Enabled: true}), serverCheck(s.issuedAndRevoked)},
	})
	s.isEmpty(t)
}

// A user that the same run makes.
func TestTokenEphemeralOfNewUser(t *testing.T) {
	s := startServer(t)
	user := `
resource "registry_user" "new" { username = "new" }
resource "terraform_data" "new" { input = registry_user.new.username }
`
	echoTest(t, testProvider(),
		resource.TestStep{
			Config:      s.config(`%s ephemeral "registry_token" "this" { username = registry_user.new.username }`, user) + echoToken,
			ExpectError: says(`The registry has no user "new", and tokens are for users that it keeps. If this run makes the user`),
		},
		resource.TestStep{
			Config:            s.config(`%s ephemeral "registry_token" "this" { username = terraform_data.new.output }`, user) + echoToken,
			ConfigStateChecks: []statecheck.StateCheck{serverCheck(s.issuedAndRevoked)},
		},
	)
	s.isEmpty(t)
}

func TestTokenEphemeralErrors(t *testing.T) {
	s := startServer(t)
	s.withUser(t, "ci")
	block := func(extra string) string {
		return s.config("ephemeral \"registry_token\" \"this\" {\n username = \"ci\"\n %s\n}\n", extra) + echoToken
	}
	fails := func(config, message string, faults ...fault) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(faults...), Config: config, ExpectError: says(message)}
	}
	echoTest(t, testProvider(),
		fails(block(`ttl = "1s"`), "token can be good for 60 to 7776000 seconds"),
		fails(block(`ttl = "soon"`), `"soon" is not a duration`),
		fails(block(`access = []`), "at least 1 elements"),
		fails(block(`access = [{ repositories = ["A"], actions = ["pull"] }]`), "Invalid repository glob"),
		fails(block(``), `Could not issue a token for the user "ci"`, status(500)),
		fails(block(``), "The server is too old to issue tokens", status(404)),
		fails(block(``), "goes on until it expires", s.on(http.MethodDelete, status(400))),
		resource.TestStep{PreConfig: func() {
			s.fail()()
			for token, err := range s.admin.ListTokens(t.Context()) { // that could not be revoked
				if err != nil || s.admin.DeleteToken(t.Context(), token.ID) != nil {
					t.Errorf("%+v, %v", token, err)
				}
			}
		}, Config: block(``), ConfigStateChecks: []statecheck.StateCheck{serverCheck(s.noTokens)}},
		resource.TestStep{PreConfig: s.behind(t, "ci", func(u *client.UserSpec) { u.Enabled = false }), Config: block(``), ExpectError: says("the user ci is disabled")},
		resource.TestStep{
			Config: `
resource "terraform_data" "endpoint" { input = "http://127.0.0.1:1" }
provider "registry" { endpoint = terraform_data.endpoint.output }
ephemeral "registry_token" "this" { username = "ci" }
` + echoToken,
			ExpectError: says("Terraform opens ephemeral resources during plan, too"),
		},
		resource.TestStep{
			Config:      `ephemeral "registry_token" "this" { username = "ci" }` + echoToken,
			ExpectError: says("No endpoint configured"),
		},
		resource.TestStep{Config: s.config("# nothing")},
	)
}

// No token is in the log of the greatest verbosity, nor in the state.
func TestTokenEphemeralNotInLogs(t *testing.T) {
	s := startServer(t)
	log := filepath.Join(t.TempDir(), "log")
	t.Setenv("TF_ACC_LOG_PATH", log)
	t.Setenv("TF_LOG", "TRACE")
	unitTestInOrder(t, testProvider(), resource.TestStep{Config: s.config(`
ephemeral "registry_token" "this" { username = "admin" }
provider "registry" {
  alias    = "by_token"
  endpoint = %q
  token    = ephemeral.registry_token.this.token
}
data "registry_server" "this" { provider = registry.by_token }
`, s.url), ConfigStateChecks: []statecheck.StateCheck{serverCheck(s.issuedAndRevoked)}})
	content, err := os.ReadFile(log)
	if err != nil || len(content) == 0 {
		t.Fatalf("%d bytes of log, %v", len(content), err)
	}
	if i := strings.Index(string(content), "rkt_"); i >= 0 {
		t.Errorf("a token is in the log: %.300s", content[max(0, i-200):])
	}
}
