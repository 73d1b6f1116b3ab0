package provider

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-framework/tfsdk"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
)

// configOf makes a provider block.
func configOf(t *testing.T, arguments map[string]any) tfsdk.Config {
	t.Helper()
	var schema provider.SchemaResponse
	testProvider().Schema(t.Context(), provider.SchemaRequest{}, &schema)
	object, ok := schema.Schema.Type().TerraformType(t.Context()).(tftypes.Object)
	if !ok {
		t.Fatal("the schema is no object")
	}
	values := map[string]tftypes.Value{}
	for name, kind := range object.AttributeTypes {
		values[name] = tftypes.NewValue(kind, arguments[name])
	}
	return tfsdk.Config{Schema: schema.Schema, Raw: tftypes.NewValue(object, values)}
}

// configure configures the provider with these arguments and this environment.
func configure(t *testing.T, arguments map[string]any, environ map[string]string, deferral bool) (*connection, provider.ConfigureResponse) {
	t.Helper()
	p := testProvider()
	p.getenv = func(name string) string { return environ[name] }
	req := provider.ConfigureRequest{
		TerraformVersion:   "1.11.4",
		Config:             configOf(t, arguments),
		ClientCapabilities: provider.ConfigureProviderClientCapabilities{DeferralAllowed: deferral},
	}
	var resp provider.ConfigureResponse
	p.Configure(t.Context(), req, &resp)
	conn, _ := resp.ResourceData.(*connection)
	if conn != nil && (resp.DataSourceData != conn || resp.EphemeralResourceData != conn || resp.ActionData != conn || resp.ListResourceData != conn) {
		t.Error("some kind of object does not get the connection")
	}
	return conn, resp
}

func TestProviderSettings(t *testing.T) {
	all := map[string]string{
		"REGISTRY_ENDPOINT": "https://env.example", "REGISTRY_USERNAME": "env", "REGISTRY_PASSWORD": "env-password",
		"REGISTRY_INSECURE": "1", "REGISTRY_MAX_RETRIES": "0", "REGISTRY_READY_TIMEOUT": "5m",
	}
	defaults := settings{maxRetries: 4, readyTimeout: 30 * time.Second}
	for _, c := range []struct {
		name      string
		arguments map[string]any
		environ   map[string]string
		want      func(s *settings)
	}{
		{"nothing", nil, nil, func(*settings) {}},
		{"environment", nil, all, func(s *settings) {
			*s = settings{"https://env.example", "env", "env-password", "", "", true, 0, 5 * time.Minute}
		}},
		{"token from the environment", nil, map[string]string{"REGISTRY_TOKEN": "t"}, func(s *settings) { s.token = "t" }},
		{"block over environment", map[string]any{
			"endpoint": "https://hcl.example", "username": "hcl", "insecure": false, "max_retries": 7, "ready_timeout": "0s",
		}, all, func(s *settings) {
			*s = settings{"https://hcl.example", "hcl", "env-password", "", "", false, 7, 0}
		}},
		{"token over the user of the environment", map[string]any{"token": "t"}, map[string]string{"REGISTRY_USERNAME": "env"}, func(s *settings) { s.token = "t" }},
		{"user over the token of the environment", map[string]any{"username": "u", "password": "p"}, map[string]string{"REGISTRY_TOKEN": "env"},
			func(s *settings) { s.username, s.password = "u", "p" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := defaults
			c.want(&want)
			var m providerModel
			if diags := configOf(t, c.arguments).Get(t.Context(), &m); diags.HasError() {
				t.Fatal(diags)
			}
			got, unknown, diags := resolve(m, func(name string) string { return c.environ[name] })
			if diags.HasError() || len(unknown) > 0 || got != want {
				t.Errorf("got %+v, unknown %v, %v; want %+v", got, unknown, diags, want)
			}
		})
	}
}

func TestProviderConfigureErrors(t *testing.T) {
	for _, c := range []struct {
		complaint string
		arguments map[string]any
		environ   map[string]string
	}{
		{"user name but no password", map[string]any{"username": "u"}, nil},
		{"password but no user name", map[string]any{"password": "secret-password"}, nil},
		{"user name but no password", nil, map[string]string{"REGISTRY_USERNAME": "u"}},
		{"Both REGISTRY_TOKEN and REGISTRY_USERNAME", nil, map[string]string{"REGISTRY_USERNAME": "u", "REGISTRY_TOKEN": "secret-password"}},
		{`REGISTRY_INSECURE is "maybe"`, nil, map[string]string{"REGISTRY_INSECURE": "maybe"}},
		{`REGISTRY_MAX_RETRIES is "21"`, nil, map[string]string{"REGISTRY_MAX_RETRIES": "21"}},
		{`REGISTRY_READY_TIMEOUT is "2h"`, nil, map[string]string{"REGISTRY_READY_TIMEOUT": "2h"}},
		{"does not begin with https://", nil, map[string]string{"REGISTRY_ENDPOINT": "registry.example.com"}},
		{"holds a user name", nil, map[string]string{"REGISTRY_ENDPOINT": "https://u:secret-password@registry.example.com"}},
		{"no certificate in PEM", nil, map[string]string{"REGISTRY_ENDPOINT": "https://r.example", "REGISTRY_CA_CERTIFICATE": "/etc/ca.pem"}},
	} {
		_, resp := configure(t, c.arguments, c.environ, false)
		if text := textOf(resp.Diagnostics.Errors()); !strings.Contains(text, c.complaint) || strings.Contains(text, "secret-password") {
			t.Errorf("%v %v: got %q, want %q", c.arguments, c.environ, text, c.complaint)
		}
	}
}

func TestProviderWarnings(t *testing.T) {
	for _, c := range []struct {
		warning   string
		arguments map[string]any
	}{
		{"", map[string]any{"endpoint": "https://registry.example.com"}},
		{"", map[string]any{"endpoint": "http://127.0.0.1:5000"}},
		{"", map[string]any{"endpoint": "http://[::1]:5000"}},
		{"", map[string]any{"endpoint": "http://localhost:5000"}},
		{"", map[string]any{"endpoint": "http://registry.localhost"}},
		{"without TLS", map[string]any{"endpoint": "http://10.0.0.5:5000"}},
		{"without TLS", map[string]any{"endpoint": "http://localhost.example.com"}},
		{"not verified", map[string]any{"endpoint": "https://registry.example.com", "insecure": true}},
		{"", map[string]any{"insecure": true}},
	} {
		conn, resp := configure(t, c.arguments, nil, false)
		text := textOf(resp.Diagnostics)
		if conn == nil || (text == "") != (c.warning == "") || !strings.Contains(text, c.warning) {
			t.Errorf("%v: %q, want %q", c.arguments, text, c.warning)
		}
	}
}

// As long as a value is unknown, the environment does not stand in for it.
func TestProviderUnknown(t *testing.T) {
	environ := map[string]string{"REGISTRY_ENDPOINT": "https://env.example", "REGISTRY_USERNAME": "u", "REGISTRY_PASSWORD": "p"}
	for _, argument := range []string{"endpoint", "username", "password", "token", "ca_certificate", "insecure", "max_retries", "ready_timeout"} {
		arguments := map[string]any{"endpoint": "https://hcl.example", argument: tftypes.UnknownValue}
		for _, deferral := range []bool{false, true} {
			conn, resp := configure(t, arguments, environ, deferral)
			if resp.Diagnostics.HasError() || conn == nil || conn.client != nil || !slices.Equal(conn.unknown, []string{argument}) {
				t.Fatalf("%s: %+v, %v", argument, conn, resp.Diagnostics)
			}
			if (resp.Deferred != nil) != deferral {
				t.Errorf("%s: deferred is %v although deferral allowed is %v", argument, resp.Deferred, deferral)
			}
			var diags diag.Diagnostics
			if conn.api(&diags) != nil || !strings.Contains(textOf(diags), "provider's "+argument+" will be known only after apply") {
				t.Errorf("%s: %v", argument, diags)
			}
		}
	}
}

// Objects that live on no server need no endpoint; the others say so.
func TestProviderWithoutEndpoint(t *testing.T) {
	unitTest(t, testProvider(),
		resource.TestStep{Config: serverConfig()},
		resource.TestStep{
			Config:      `resource "registry_user" "alice" { username = "alice" }`,
			ExpectError: says(`such as endpoint = "https://registry.example.com", or REGISTRY_ENDPOINT`),
		},
		resource.TestStep{Config: serverConfig()},
		resource.TestStep{
			Config:      serverConfig() + `data "registry_server" "this" {}`,
			ExpectError: says("No endpoint configured"),
		},
	)
}

func TestProviderValidation(t *testing.T) {
	var steps []resource.TestStep
	for arguments, complaint := range map[string]string{
		`endpoint = "registry.example.com"`:  "does not begin with https:// or http://",
		`endpoint = ""`:                      "endpoint is empty",
		`endpoint = "https://"`:              "has no host",
		`endpoint = "https://r.example/v2/"`: "ends with the path of an API",
		`endpoint = "https://r.example?x=1"`: "holds a query",
		`ca_certificate = "/etc/ca.pem"`:     "no certificate in PEM",
		`max_retries = 21`:                   "between 0 and 20",
		`ready_timeout = "soon"`:             "is not a duration",
		`ready_timeout = "2h"`:               "is not from 0s to 1h",
		`username = ""`:                      "at least 1",
		"token = \"t\"\n password = \"p\"":   "cannot be specified when",
		`ca_certificate = "-----BEGIN PRIVATE KEY-----\nTUlJ\n-----END PRIVATE KEY-----"`: "something else than certificates",
	} {
		steps = append(steps, resource.TestStep{
			Config:      fmt.Sprintf("provider \"registry\" {\n %s\n}\n", arguments) + serverConfig(),
			PlanOnly:    true,
			ExpectError: says(complaint),
		})
	}
	unitTest(t, testProvider(), steps...)
}

func textOf(diags diag.Diagnostics) string {
	var lines []string
	for _, d := range diags {
		lines = append(lines, d.Severity().String()+": "+d.Summary()+": "+d.Detail())
	}
	return strings.Join(lines, "\n")
}
