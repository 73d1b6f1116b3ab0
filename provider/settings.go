package provider

import (
	"fmt"
	"strconv"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// What the provider block and the environment leave open.
const (
	defaultRetries      = 4
	mostRetries         = 20
	defaultReadyTimeout = 30 * time.Second
	mostReadyTimeout    = time.Hour
)

// settings is the provider block with the environment and the defaults
// filled in.
type settings struct {
	endpoint      string // "" when there is none
	username      string
	password      string
	token         string
	caCertificate string
	insecure      bool
	maxRetries    int
	readyTimeout  time.Duration
}

// resolve fills in what the provider block leaves open. The arguments whose
// values are not known yet come back as unknown: the environment never stands
// in for them, or a plan would speak to another server than the apply.
func resolve(m providerModel, getenv func(string) string) (s settings, unknown []string, diags diag.Diagnostics) {
	for name, v := range map[string]attr.Value{
		"endpoint": m.Endpoint, "username": m.Username, "password": m.Password, "token": m.Token,
		"ca_certificate": m.CACertificate, "insecure": m.Insecure, "max_retries": m.MaxRetries, "ready_timeout": m.ReadyTimeout,
	} {
		if v.IsUnknown() {
			unknown = append(unknown, name)
		}
	}
	env := environment{getenv, &diags}
	s.endpoint = env.text(m.Endpoint, "REGISTRY_ENDPOINT")
	s.caCertificate = env.text(m.CACertificate, "REGISTRY_CA_CERTIFICATE")
	s.insecure = env.boolean(m.Insecure, "REGISTRY_INSECURE")
	s.maxRetries = env.retries(m.MaxRetries, "REGISTRY_MAX_RETRIES")
	s.readyTimeout = env.readyTimeout(m.ReadyTimeout, "REGISTRY_READY_TIMEOUT")
	resolveCredentials(m, env, &s)
	return s, unknown, diags
}

// resolveCredentials takes the credentials as one: a token in the provider
// block is not mixed with a user name from the environment, nor the other way
// round.
func resolveCredentials(m providerModel, env environment, s *settings) {
	switch {
	case !m.Token.IsNull():
		s.token = m.Token.ValueString()
	case !m.Username.IsNull() || !m.Password.IsNull():
		s.username = env.text(m.Username, "REGISTRY_USERNAME")
		s.password = env.text(m.Password, "REGISTRY_PASSWORD")
	default:
		s.token = env.getenv("REGISTRY_TOKEN")
		s.username = env.getenv("REGISTRY_USERNAME")
		s.password = env.getenv("REGISTRY_PASSWORD")
		if s.token != "" && s.username != "" {
			env.diags.AddError("Two ways to log in",
				"Both REGISTRY_TOKEN and REGISTRY_USERNAME are set in the environment. Unset one of them, or write the credentials in the provider block.")
			return
		}
	}
	if m.Token.IsUnknown() || m.Username.IsUnknown() || m.Password.IsUnknown() || s.token != "" || s.username == "" && s.password == "" {
		return
	}
	switch {
	case s.username == "":
		env.diags.AddAttributeError(path.Root("username"), "Password without a user name",
			"The provider has a password but no user name. Set username, or REGISTRY_USERNAME in the environment.")
	case s.password == "":
		env.diags.AddAttributeError(path.Root("password"), "User name without a password",
			"The provider has a user name but no password. Set password, or REGISTRY_PASSWORD in the environment.")
	}
}

// environment reads what the provider block leaves null.
type environment struct {
	getenv func(string) string
	diags  *diag.Diagnostics
}

func (e environment) text(v types.String, name string) string {
	if v.IsNull() {
		return e.getenv(name)
	}
	return v.ValueString()
}

func (e environment) boolean(v types.Bool, name string) bool {
	text := e.getenv(name)
	if !v.IsNull() || text == "" {
		return v.ValueBool()
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		e.invalid(name, text, "true or false")
	}
	return b
}

func (e environment) retries(v types.Int64, name string) int {
	text := e.getenv(name)
	switch {
	case !v.IsNull():
		return int(v.ValueInt64())
	case text == "":
		return defaultRetries
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > mostRetries {
		e.invalid(name, text, fmt.Sprintf("a number from 0 to %d", mostRetries))
	}
	return n
}

func (e environment) readyTimeout(v types.String, name string) time.Duration {
	text := e.text(v, name)
	if text == "" {
		return defaultReadyTimeout
	}
	d, err := parseReadyTimeout(text)
	if err != nil && v.IsNull() { // the schema's validator has spoken otherwise
		e.invalid(name, text, "a duration such as 90s, up to 1h")
	}
	return d
}

func (e environment) invalid(name, text, want string) {
	e.diags.AddError("Invalid environment variable", fmt.Sprintf("%s is %q; write %s.", name, text, want))
}

// parseReadyTimeout parses the provider's ready_timeout.
func parseReadyTimeout(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration; write for example 90s or 10m", s)
	case d < 0 || d > mostReadyTimeout:
		return 0, fmt.Errorf("%s is not from 0s to 1h", s)
	}
	return d, nil
}
