package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Config says which server to talk to and how. Only Endpoint is needed.
type Config struct {
	// Endpoint is the address of the server, such as
	// "https://registry.example.com" or "http://127.0.0.1:5000". It may have a
	// path where a proxy serves the registry below one; it may not have user
	// info, query or fragment.
	Endpoint string
	// Username and Password log in with Basic authentication, Token with Bearer.
	// They exclude each other.
	Username, Password string
	Token              string
	// CACertificate is PEM of certificates that are trusted besides the
	// system's.
	CACertificate string
	// Insecure turns off the verification of the server's certificate.
	Insecure bool
	// UserAgent is sent with every request; "" sends "registrykit-client".
	UserAgent string
	// MaxRetries bounds how often a request is repeated that found the server
	// unreachable or busy. 0 means 4; a negative number means none.
	MaxRetries int
	// ReadyTimeout is how long, from the first request on, the client goes on
	// trying while nothing has answered yet: for a server that is still
	// starting. 0 means that MaxRetries alone decides.
	ReadyTimeout time.Duration
	// Diagnose says why nothing answers; nil is nobody who knows. It is asked
	// before each wait of ReadyTimeout, and for the error where nothing has
	// answered at all, so it should remember what it has found for a while.
	Diagnose func(context.Context) Diagnosis
	// RequestTimeout bounds one try of a request; 0 means one minute.
	RequestTimeout time.Duration
	// Transport replaces the HTTP transport; CACertificate and Insecure are then
	// ignored. For tests.
	Transport http.RoundTripper
}

// Diagnosis is what is known about a server that does not answer.
type Diagnosis struct {
	Reason   string // added to the error; "" adds nothing
	Hopeless bool   // it will not start by itself: nothing is waited for
}

// Client is a client of the admin API. It is safe for concurrent use.
type Client struct {
	cfg   Config
	base  string // endpoint and BasePath, no slash at the end
	host  string // for messages
	http  *http.Client
	sleep func(context.Context, time.Duration) error

	answered   atomic.Bool  // a registry has answered since New
	firstTryNS atomic.Int64 // when the first request was made
}

// New returns a client; it does not talk to the server yet.
func New(cfg Config) (*Client, error) {
	u, err := parseEndpoint(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	switch {
	case cfg.Token != "" && (cfg.Username != "" || cfg.Password != ""):
		return nil, errors.New("give either a token, or a user name and a password")
	case cfg.Password != "" && cfg.Username == "":
		return nil, errors.New("there is a password but no user name")
	case strings.Contains(cfg.Username, ":"):
		return nil, errors.New("the user name holds a colon, which Basic authentication cannot carry")
	case strings.ContainsFunc(cfg.Token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("the token holds a character that no token has")
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "registrykit-client"
	}
	if cfg.MaxRetries == 0 {
		cfg.MaxRetries = 4
	}
	if cfg.RequestTimeout == 0 {
		cfg.RequestTimeout = time.Minute
	}
	transport := cfg.Transport
	if transport == nil {
		if transport, err = NewTransport(cfg); err != nil {
			return nil, err
		}
	}
	return &Client{
		cfg:  cfg,
		base: strings.TrimSuffix(u.String(), "/") + BasePath,
		host: u.Scheme + "://" + u.Host,
		http: &http.Client{
			Transport: transport,
			// The API never redirects; what does may be another host, and would turn
			// a PUT into a GET. The answer becomes an error that names the target.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		sleep: sleep,
	}, nil
}

// parseEndpoint parses Config.Endpoint. Its errors never hold user info.
func parseEndpoint(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case s == "":
		return nil, errors.New("the endpoint is empty; write for example https://registry.example.com")
	case err != nil:
		return nil, errors.New("the endpoint is not a URL; write for example https://registry.example.com")
	case u.User != nil:
		return nil, errors.New("the endpoint holds a user name; give user name and password apart from it")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the endpoint %q does not begin with https:// or http://", clip(s))
	case u.Host == "" || u.Hostname() == "":
		return nil, fmt.Errorf("the endpoint %q has no host", clip(s))
	case u.RawQuery != "" || u.Fragment != "" || u.ForceQuery:
		return nil, errors.New("the endpoint holds a query or a fragment; leave it out")
	case strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/v2"), strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), BasePath):
		return nil, fmt.Errorf("the endpoint %q ends with the path of an API; write it without", clip(s))
	}
	return u, nil
}

// NewTransport returns the HTTP transport that a client makes of
// CACertificate and Insecure.
func NewTransport(cfg Config) (*http.Transport, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: cfg.Insecure} //nolint:gosec // the caller asks for it by name
	if cfg.CACertificate != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(cfg.CACertificate)) {
			return nil, errors.New("the CA certificate holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")
		}
		conf.RootCAs = pool
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = conf
	t.MaxResponseHeaderBytes = 1 << 18
	return t, nil
}

// list yields the items of all pages below path.
func list[T any](ctx context.Context, c *Client, path string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		for after := ""; ; {
			var page Page[T]
			err := c.do(ctx, request{method: http.MethodGet, path: path, list: true, after: after}, &page)
			if err != nil {
				yield(zero, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
					return
				}
			}
			switch {
			case page.Next == "":
				return
			case page.Next <= after:
				yield(zero, fmt.Errorf("GET %s: the server's pages do not advance", path))
				return
			}
			after = page.Next
		}
	}
}
