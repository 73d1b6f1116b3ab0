package provider

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/provider"
	"github.com/hashicorp/terraform-plugin-log/tflog"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

// connection is what the provider hands to its resources and data sources: a
// client of the server, or the reason why there is none. Only an object that
// needs the server reports the reason, since certificates and functions work
// without one.
type connection struct {
	client   *client.Client
	images   *ociAccess // the same server's images
	endpoint string
	login    string   // how the provider logs in, for messages
	username string   // as whom, where that is known
	unknown  []string // arguments of the provider block whose values are not known yet
	aws      *awsAccess

	userAgent  string
	maxRetries int
}

// Configure reads the provider block. It does not talk to the server.
func (p *registryProvider) Configure(ctx context.Context, req provider.ConfigureRequest, resp *provider.ConfigureResponse) {
	var m providerModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	if resp.Diagnostics.HasError() {
		return
	}
	s, unknown, diags := resolve(m, p.getenv)
	resp.Diagnostics.Append(diags...)
	if resp.Diagnostics.HasError() {
		return
	}
	slices.Sort(unknown)
	conn := &connection{endpoint: s.endpoint, login: s.login(), username: s.username, unknown: unknown,
		userAgent: p.userAgent(req.TerraformVersion), maxRetries: s.maxRetries}
	conn.aws = &awsAccess{version: p.version, timeout: p.requestTimeout, transport: p.awsTransport}
	conn.aws.settings, conn.aws.unknown = resolveAWS(ctx, m.AWS, &resp.Diagnostics)
	reports := resolveBootReports(ctx, m.BootReports, conn, p.now, &resp.Diagnostics)
	switch {
	case len(unknown) > 0:
		if req.ClientCapabilities.DeferralAllowed {
			resp.Deferred = &provider.Deferred{Reason: provider.DeferredReasonProviderConfigUnknown}
		}
	case s.endpoint != "":
		var err error
		config := s.clientConfig()
		config.UserAgent, config.RequestTimeout = conn.userAgent, p.requestTimeout
		if reports != nil {
			config.Diagnose = reports.diagnose
		}
		if conn.client, err = client.New(config); err == nil {
			conn.images, err = newOCIAccess(config)
		}
		if err != nil {
			resp.Diagnostics.AddError("Invalid provider configuration", sentence(err)+
				" See the provider block and the REGISTRY_* variables of the environment.")
			return
		}
		s.warn(&resp.Diagnostics)
		tflog.Debug(ctx, "registry provider configured", map[string]any{"endpoint": s.endpoint, "login": conn.login})
	}
	resp.ResourceData, resp.DataSourceData, resp.EphemeralResourceData = conn, conn, conn
	resp.ActionData, resp.ListResourceData = conn, conn
}

func (p *registryProvider) userAgent(terraform string) string {
	return fmt.Sprintf("Terraform/%s (+https://www.terraform.io) terraform-provider-registry/%s", terraform, p.version)
}

func (s settings) clientConfig() client.Config {
	retries := s.maxRetries
	if retries == 0 {
		retries = -1 // the client's 0 means its default
	}
	return client.Config{
		Endpoint:      s.endpoint,
		Username:      s.username,
		Password:      s.password,
		Token:         s.token,
		CACertificate: s.caCertificate,
		Insecure:      s.insecure,
		MaxRetries:    retries,
		ReadyTimeout:  s.readyTimeout,
	}
}

func (s settings) login() string {
	switch {
	case s.token != "":
		return "a token"
	case s.username != "":
		return fmt.Sprintf("user %q", s.username)
	}
	return ""
}

// warn points at settings that let others read the password.
func (s settings) warn(diags *diag.Diagnostics) {
	u, err := url.Parse(s.endpoint)
	switch {
	case err != nil:
	case u.Scheme == "http" && !loopback(u.Hostname()):
		diags.AddAttributeWarning(path.Root("endpoint"), "The registry is spoken to without TLS",
			fmt.Sprintf("The endpoint %s begins with http://, so passwords cross the network in clear. Use https://.", s.endpoint))
	case u.Scheme == "https" && s.insecure:
		diags.AddAttributeWarning(path.Root("insecure"), "The server's certificate is not verified",
			"With insecure = true anyone between here and the registry can read and change everything. Set ca_certificate instead.")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// connect takes what Configure left for an object. It returns nil before the
// provider is configured, as in validation.
func connect(data any, diags *diag.Diagnostics) *connection {
	if data == nil {
		return nil
	}
	conn, ok := data.(*connection)
	if !ok {
		diags.AddError("Unexpected provider data", fmt.Sprintf("Got %T. This is a bug of the provider; please report it.", data))
	}
	return conn
}

// api returns the client, or says why there is none and returns nil.
func (c *connection) api(diags *diag.Diagnostics) *client.Client {
	switch {
	case c == nil:
		diags.AddError("Provider not configured", "The provider was not configured. This is a bug of the provider; please report it.")
	case len(c.unknown) > 0:
		diags.AddError("Provider configuration not known yet", fmt.Sprintf(
			"The provider's %s will be known only after apply, but the server is needed now. "+
				"Give a data source depends_on the resources that make the server, or apply those resources first with -target.",
			strings.Join(c.unknown, ", ")))
	case c.client == nil:
		diags.AddError("No endpoint configured",
			`This object lives on a registry server, and the provider does not know which. Set endpoint in the provider block, such as endpoint = "https://registry.example.com", or REGISTRY_ENDPOINT in the environment.`)
	default:
		return c.client
	}
	return nil
}

// unreadable reports whether a resource cannot be read now because the
// provider's configuration depends on things that this very run creates, and
// warns. The resource then keeps the state it has.
func (c *connection) unreadable(what string, diags *diag.Diagnostics) bool {
	if c == nil || len(c.unknown) == 0 {
		return false
	}
	diags.AddWarning("Not refreshed: provider configuration not known yet", fmt.Sprintf(
		"The provider's %s will be known only after apply, so that %s was not compared with the server. Plan once more afterwards.",
		strings.Join(c.unknown, ", "), what))
	return true
}
