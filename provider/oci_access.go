package provider

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

// ociAccess is a registry and how to speak to it by the API of the OCI
// distribution-spec, under /v2/: that of the provider block, or a source of
// images.
type ociAccess struct {
	registry  name.Registry
	transport http.RoundTripper
	login     authn.Authenticator
	userAgent string
	options   []remote.Option
}

// newOCIAccess makes the access to the server of the provider block, with the
// same address, credentials, CA and user agent as the client of the admin API.
func newOCIAccess(config client.Config) (*ociAccess, error) {
	u, err := url.Parse(config.Endpoint)
	if err != nil {
		return nil, err
	}
	var options []name.Option
	if u.Scheme == "http" {
		options = append(options, name.Insecure)
	}
	registry, err := name.NewRegistry(u.Host, options...)
	if err != nil {
		return nil, err
	}
	base, err := client.NewTransport(config)
	if err != nil {
		return nil, err
	}
	login := authn.Anonymous
	switch {
	case config.Token != "":
		login = &authn.Bearer{Token: config.Token}
	case config.Username != "":
		login = &authn.Basic{Username: config.Username, Password: config.Password}
	}
	return &ociAccess{registry, endpointTransport{base, u}, login, config.UserAgent, commonOptions(config)}, nil
}

// commonOptions are those for every registry.
func commonOptions(config client.Config) []remote.Option {
	return []remote.Option{
		remote.WithUserAgent(config.UserAgent),
		remote.WithRetryBackoff(remote.Backoff{Duration: 500 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: max(config.MaxRetries, 0) + 1, Cap: 8 * time.Second}),
	}
}

// endpointTransport sends what is for the endpoint's host to the endpoint:
// never over HTTP where that says HTTPS, and below its path.
type endpointTransport struct {
	base     http.RoundTripper
	endpoint *url.URL
}

func (t endpointTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == t.endpoint.Host {
		r = r.Clone(r.Context())
		r.URL.Scheme = t.endpoint.Scheme
		prefix := strings.TrimSuffix(t.endpoint.Path, "/")
		if strings.HasPrefix(r.URL.Path, "/v2/") && prefix != "" { // an address that the server gave has it already
			r.URL.Path, r.URL.RawPath = prefix+r.URL.Path, ""
		}
	}
	return t.base.RoundTrip(r)
}

// sourceTransport refuses to speak to another machine without TLS unless that
// is asked for: a library that falls back to HTTP by itself would send the
// credentials in clear.
type sourceTransport struct {
	base     http.RoundTripper
	insecure bool
}

var errNoTLS = errors.New("the registry is spoken to without TLS")

func (t sourceTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" && !t.insecure && !loopback(r.URL.Hostname()) {
		return nil, errNoTLS
	}
	return t.base.RoundTrip(r)
}

// sourceSettings say how to speak to the registry of a source.
type sourceSettings struct {
	username, password string
	insecure           bool
	caCertificate      string
}

// newSourceAccess makes the access to the registry of a source.
func newSourceAccess(registry name.Registry, s sourceSettings, userAgent string, retries int) (*ociAccess, error) {
	config := client.Config{CACertificate: s.caCertificate, Insecure: s.insecure, UserAgent: userAgent, MaxRetries: retries}
	base, err := client.NewTransport(config)
	if err != nil {
		return nil, err
	}
	login := authn.Anonymous
	if s.username != "" {
		login = &authn.Basic{Username: s.username, Password: s.password}
	}
	return &ociAccess{registry, sourceTransport{base, s.insecure}, login, config.UserAgent, commonOptions(config)}, nil
}

// with returns the options for calls under ctx.
func (a *ociAccess) with(ctx context.Context, more ...remote.Option) []remote.Option {
	return append(append([]remote.Option{remote.WithContext(ctx), remote.WithTransport(a.transport), remote.WithAuth(a.login)}, a.options...), more...)
}

// by returns the reference of a manifest of a repository.
func (a *ociAccess) by(repository, digest string) name.Digest {
	return a.registry.Repo(repository).Digest(digest)
}

// content returns what a repository has under a digest.
func (a *ociAccess) content(ctx context.Context, repository, digest string) (content, error) {
	got, err := remote.Get(a.by(repository, digest), a.with(ctx)...)
	if err != nil {
		return content{}, err
	}
	return contentOf(got)
}

// as returns the same access with another login.
func (a *ociAccess) as(username, password string) *ociAccess {
	other := *a
	other.login = &authn.Basic{Username: username, Password: password}
	return &other
}

// missing reports whether a registry said that what was asked for is not there.
func missing(err error) bool {
	var answer *transport.Error
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}
