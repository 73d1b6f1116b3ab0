package provider

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

// A busy or vanishing server: what can be repeated is, an object is never made
// twice, and what fails all the same says why and can be applied again.
func TestFaults(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", alice(`password = "password-1"`))
	changed := s.config("%s", alice(`password = "password-2"`))
	fine := []statecheck.StateCheck{s.user(client.User{Username: "alice", Enabled: true, Policies: []string{}}), s.logsIn("alice", "password-1")}
	gone := func(fault fault, action string) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(s.on(action, fault)), Config: s.config("# nothing")}
	}
	made := func(faults ...fault) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(faults...), Config: config, ConfigStateChecks: fine, ConfigPlanChecks: expectAction(userAlice, create)}
	}
	unitTest(t, testProvider(),
		made(times(2, s.on(http.MethodPost, status(503)))...),
		gone(status(502), http.MethodDelete),
		made(s.on(http.MethodPost, status(429))),
		gone(cut, http.MethodDelete),
		made(s.on(http.MethodPost, lose)), // made by the lost request, and known as such
		gone(lose, http.MethodDelete),
		made(s.on(http.MethodPost, cut)),
		resource.TestStep{
			PreConfig:         s.fail(append(times(2, s.on(http.MethodGet, status(503))), s.on(http.MethodPut, status(503)))...),
			Config:            changed,
			ConfigStateChecks: []statecheck.StateCheck{s.logsIn("alice", "password-2")},
		},
		resource.TestStep{ // changed by the lost request
			PreConfig:         s.fail(s.on(http.MethodPut, lose)),
			Config:            s.config("%s", alice(`password = "password-2"`, `description = "d"`)),
			ConfigStateChecks: []statecheck.StateCheck{s.user(client.User{Username: "alice", Enabled: true, Description: "d", Policies: []string{}})},
		},
		resource.TestStep{PreConfig: s.fail(), Config: changed},
		resource.TestStep{ // not while reading: the user is not lost for it
			PreConfig: s.fail(times(3, s.on(http.MethodGet, status(503)))...), Config: changed,
			ExpectError: says(`Could not read the user "alice"`),
		},
		resource.TestStep{
			PreConfig: s.fail(s.on(http.MethodGet, status(500))), Config: changed,
			ExpectError: says("500"),
		},
		resource.TestStep{ // 404 of something else than the registry is not an absence
			PreConfig: s.fail(s.on(http.MethodGet, status(404))), Config: changed,
			ExpectError: says("the answer is not from the admin API of a registry"),
		},
		resource.TestStep{
			PreConfig: s.fail(s.on(http.MethodPut, status(500))), Config: config,
			ExpectError: says(`Could not update the user "alice"`),
		},
		resource.TestStep{ // as if nothing had happened
			PreConfig: s.fail(), Config: config, ConfigStateChecks: fine, ConfigPlanChecks: expectAction(userAlice, update),
		},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodDelete, status(500))), Config: s.config("# nothing"), ExpectError: says(`Could not delete the user "alice"`)},
		resource.TestStep{PreConfig: s.fail(), Config: s.config("# nothing")},
	)
	s.isEmpty(t)
	for _, r := range s.requests {
		if r.body != 0 && (r.method == http.MethodGet || r.method == http.MethodDelete) {
			t.Errorf("%s %s has a body of %d bytes", r.method, r.path, r.body)
		}
		if !strings.Contains(r.userAgent, "terraform-provider-registry/test") || !strings.Contains(r.userAgent, "Terraform/1.") {
			t.Errorf("the user agent is %q", r.userAgent)
		}
	}
}

func TestPolicyFaults(t *testing.T) {
	s := startServer(t)
	config, changed := s.config("%s", team(rule("a", "pull"))), s.config("%s", team(rule("b", "pull")))
	wrong := func(method, config, complaint string) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(s.on(method, status(500))), Config: config, ExpectError: says(complaint)}
	}
	unitTest(t, testProvider(),
		wrong(http.MethodPost, config, `Could not create the policy "team"`),
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPost, lose)), Config: config, ConfigPlanChecks: expectAction(policyTeam, create)},
		wrong(http.MethodGet, config, `Could not read the policy "team"`),
		wrong(http.MethodPut, changed, `Could not update the policy "team"`),
		wrong(http.MethodDelete, s.config("# nothing"), `Could not delete the policy "team"`),
		resource.TestStep{PreConfig: s.fail(), Config: changed, ConfigPlanChecks: expectAction(policyTeam, update)},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPut, lose)), Config: config, ConfigPlanChecks: expectAction(policyTeam, update)},
		resource.TestStep{PreConfig: s.fail(), Config: changed, ConfigPlanChecks: expectAction(policyTeam, update)},
		resource.TestStep{ // it goes away between plan and apply
			PreConfig: s.fail(s.on(http.MethodPut, first(func() {
				if err := s.admin.DeletePolicy(t.Context(), "team", ""); err != nil {
					t.Error(err)
				}
			}))),
			Config: config, ExpectError: says("Somebody else has deleted it since Terraform read it"),
		},
		resource.TestStep{PreConfig: s.fail(), Config: config, ConfigPlanChecks: expectAction(policyTeam, create)},
	)
	s.isEmpty(t)
}

// A server that never answers does not hold Terraform up for ever, whether it
// did what it was asked or not; the next apply goes on from there.
func TestHangingServer(t *testing.T) {
	tests := map[string]struct {
		address, method string
		config          func(t *testing.T, s *testServer) string
	}{
		"user":       {userAlice, http.MethodPost, func(*testing.T, *testServer) string { return alice() }},
		"policy":     {policyTeam, http.MethodPost, func(*testing.T, *testServer) string { return team(rule("a", "pull")) }},
		"retention":  {retentionCI, http.MethodPost, func(*testing.T, *testServer) string { return ci(`{ action = "keep", newest = 1 }`) }},
		"proxy":      {proxyHub, http.MethodPut, func(*testing.T, *testServer) string { return hub() }},
		"repository": {repositoryApp, http.MethodPost, func(*testing.T, *testServer) string { return appRepository() }},
		"webhook":    {webhookCI, http.MethodPost, func(*testing.T, *testServer) string { return ciHook(`secret = "a-secret-of-bytes-1"`) }},
		"tag": {tagStable, http.MethodPut, func(t *testing.T, s *testServer) string {
			return stable(s.pushIndex(t, "team/api", "1", "v1"))
		}},
		"certificate": {certificateMain, http.MethodPut, func(*testing.T, *testServer) string { return installs("server", keyOf("server")) }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, p := startServer(t), testProvider()
			config := s.config("%s", test.config(t, s))
			patience := func(d time.Duration, faults ...fault) func() {
				return func() {
					s.fail(faults...)()
					p.requestTimeout = d
				}
			}
			const short, long = 2 * time.Second, time.Minute // long: answered, however busy the machine is
			made := func() resource.TestStep {
				return resource.TestStep{PreConfig: patience(long), Config: config, ConfigPlanChecks: expectAction(test.address, create)}
			}
			unitTest(t, p,
				resource.TestStep{PreConfig: patience(short, times(2, s.on(test.method, hang))...), Config: config, ExpectError: says("no answer in time")},
				made(),
				resource.TestStep{PreConfig: patience(long), Config: s.config("# nothing")},
				resource.TestStep{PreConfig: patience(short, s.on(test.method, doneAndHangs)), Config: config},
			)
		})
	}
}

// What somebody else changes between plan and apply is not overwritten.
func TestConcurrentChange(t *testing.T) {
	s := startServer(t)
	both := func(description string) string {
		return s.config("%s", alice(fmt.Sprintf("description = %q", description))+team(rule("a", "pull"), fmt.Sprintf("description = %q", description)))
	}
	meddle := first(func() {
		s.behind(t, "alice", func(u *client.UserSpec) { u.Policies = []string{"read-only"} })()
		s.changePolicy(t, func(p *client.PolicySpec) { p.Anonymous = true })()
	})
	unitTest(t, testProvider(),
		resource.TestStep{Config: both("1")},
		resource.TestStep{
			PreConfig:   s.fail(s.on(http.MethodPut, meddle)),
			Config:      both("2"),
			ExpectError: says("It has changed since Terraform read it"),
		},
		resource.TestStep{PreConfig: s.fail(), Config: both("2"), ConfigPlanChecks: expectAction(userAlice, update)},
	)
}

// The server says which right is missing, or that the login is wrong.
func TestCredentials(t *testing.T) {
	s := startServer(t)
	config := func(login string) string {
		return fmt.Sprintf("provider \"registry\" {\n endpoint = %q\n %s\n}\n%s", s.url, login, alice())
	}
	wrong := func(login, complaint string) resource.TestStep {
		return resource.TestStep{Config: config(login), ExpectError: says(complaint)}
	}
	if _, err := s.admin.CreateUser(t.Context(), client.UserSpec{Username: "limited", Enabled: true, Policies: []string{"read-write"}, Password: ptr("password-1")}); err != nil {
		t.Fatal(err)
	}
	unitTest(t, testProvider(),
		wrong("", "The provider has no credentials"),
		wrong("username = \"admin\"\n password = \"wrong-password\"", `does not accept the provider's credentials (user "admin")`),
		wrong("token = \"nonsense\"", "does not accept the provider's credentials (a token)"),
		wrong("username = \"limited\"\n password = \"password-1\"", `logs in with user "limited", which lacks the policy "admin"`),
		resource.TestStep{Config: s.config("# nothing")},
	)
}

// A server that the same run makes: its address is known only after apply, and
// it takes a while to start.
func TestServerOfTheSameRun(t *testing.T) {
	s := newServer(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	s.at(t, "http://"+address)
	config := func(endpoint, description string) string {
		return fmt.Sprintf(`
resource "terraform_data" "server" { input = %q }
provider "registry" {
  endpoint      = terraform_data.server.output
  username      = "admin"
  password      = %q
  ready_timeout = "20s"
}
%s`, endpoint, adminPassword, alice(fmt.Sprintf("description = %q", description)))
	}
	start := func() {
		time.AfterFunc(2*time.Second, func() {
			late, err := net.Listen("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			server := &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
			t.Cleanup(func() { _ = server.Close() })
			_ = server.Serve(late)
		})
	}
	again := httptest.NewServer(s) // the same server at another address
	t.Cleanup(again.Close)
	unitTest(t, testProvider(),
		resource.TestStep{PreConfig: start, Config: config("http://"+address, "1"), ConfigPlanChecks: expectAction(userAlice, create)},
		resource.TestStep{Config: config(again.URL, "1"), ConfigPlanChecks: expectAction(userAlice, noop)},
		resource.TestStep{Config: config("http://"+address, "2"), ConfigPlanChecks: expectAction(userAlice, update)},
		resource.TestStep{Config: config(again.URL, "2") + `data "registry_server" "this" {}`, ExpectError: says("endpoint will be known only after apply")},
	)
}

// TLS is verified, and the message says what to do about it.
func TestTLS(t *testing.T) {
	s := newServer(t)
	listener := httptest.NewTLSServer(s)
	t.Cleanup(listener.Close)
	ca := encodePEM("CERTIFICATE", listener.Certificate().Raw)
	config := func(endpoint, extra string) string {
		return fmt.Sprintf("provider \"registry\" {\n endpoint = %q\n username = \"admin\"\n password = %q\n max_retries = 0\n ready_timeout = \"0s\"\n %s\n}\n", endpoint, adminPassword, extra)
	}
	trusted := fmt.Sprintf("ca_certificate = %q", ca)
	const server = `data "registry_server" "this" {}`
	unitTest(t, testProvider(),
		resource.TestStep{Config: config(listener.URL, "") + server, ExpectError: says("Set ca_certificate in the provider block")},
		resource.TestStep{Config: config(strings.Replace(listener.URL, "127.0.0.1", "localhost", 1), trusted) + server, ExpectError: says("The certificate of the server is for another name")},
		resource.TestStep{Config: config(strings.Replace(listener.URL, "https", "http", 1), "") + server, ExpectError: says("Could not read the server's description")},
		resource.TestStep{Config: config(listener.URL, "insecure = true") + server},
		resource.TestStep{Config: config(listener.URL, trusted) + server, ConfigPlanChecks: resource.ConfigPlanChecks{PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()}}},
		resource.TestStep{Config: config("http://127.0.0.1:1", "") + server, ExpectError: says("No registry answers at http://127.0.0.1:1")},
		resource.TestStep{Config: config(listener.URL, trusted) + server},
	)
}
