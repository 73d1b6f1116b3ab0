package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"regexp"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Access says how to log in to a registry, and whom to believe.
type Access struct {
	// Username and Password, or Token, log in. Without them what docker login
	// keeps for the host counts, also if that is kept by a credential helper.
	Username, Password, Token string
	CACertificate             string // PEM
	Insecure                  bool   // the certificate is not looked at
	UserAgent                 string
	// Anonymous logs in only with what is given here, not with what docker login
	// keeps.
	Anonymous bool
	// Once says that somebody waits for each answer: nothing is repeated.
	Once bool
	// Wrap is put around what sends the requests, those of the login included; nil
	// for nothing.
	Wrap func(http.RoundTripper) http.RoundTripper
	// Note is told why it takes long; nil for nobody.
	Note func(string)
}

// Remote is a registry that is reached over HTTP. It may be used concurrently.
type Remote struct {
	address   Address
	login     authn.Authenticator
	transport http.RoundTripper
}

// NewRemote returns the registry of an address. Nothing is sent yet.
func NewRemote(a Address, access Access) (*Remote, error) {
	base, err := client.NewTransport(client.Config{CACertificate: access.CACertificate, Insecure: access.Insecure})
	if err != nil {
		return nil, err
	}
	base.MaxIdleConnsPerHost = 32
	r := &Remote{address: a}
	switch {
	case access.Token != "":
		r.login = &authn.Bearer{Token: access.Token}
	case access.Username != "" || access.Password != "":
		if access.Username == "" || access.Password == "" {
			return nil, fmt.Errorf("the login for %s needs a user name and a password", a.Registry)
		}
		r.login = &authn.Basic{Username: access.Username, Password: access.Password}
	case access.Anonymous:
		r.login = authn.Anonymous
	default:
		if r.login, err = authn.DefaultKeychain.Resolve(a.Registry); err != nil {
			return nil, fmt.Errorf("look up the login for %s: %w", a.Registry, err)
		}
	}
	agent := access.UserAgent
	if agent == "" {
		agent = "registryserver"
	}
	var sends http.RoundTripper = base
	if access.Wrap != nil {
		sends = access.Wrap(base)
	}
	r.transport = transport.NewUserAgent(patient{base: sends, plain: a.plain, once: access.Once, note: access.Note, sleep: sleep}, agent)
	return r, nil
}

// Address returns where the registry is.
func (r *Remote) Address() Address { return r.address }

// client returns an HTTP client that is logged in for the scopes. Credentials go
// to the registry, and where it says that its tokens are made; never to where it
// redirects.
func (r *Remote) client(ctx context.Context, scopes ...string) (*http.Client, error) {
	t, err := transport.NewWithContext(ctx, r.address.Registry, r.login, r.transport, scopes)
	if err != nil {
		return nil, &loginError{r.address.Registry.RegistryStr(), err}
	}
	return &http.Client{Transport: t}, nil
}

// loginError: the registry did not let us in.
type loginError struct {
	registry string
	err      error
}

func (e *loginError) Error() string { return "log in to " + e.registry + ": " + e.err.Error() }
func (e *loginError) Unwrap() error { return e.err }

// Bounds of what is read of lists.
const (
	maxPage  = 16 << 20
	maxPages = 100_000
	pageSize = "1000"
)

// Repositories yields the names of all repositories (distribution's catalog).
func (r *Remote) Repositories(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		c, err := r.client(ctx, "registry:catalog:*")
		if err != nil {
			yield("", err)
			return
		}
		at := r.address.URL()
		at.Path, at.RawQuery = "/v2/_catalog", "n="+pageSize
		err = pages(ctx, c, at, "", func(body []byte) (bool, error) {
			var page struct {
				Repositories []string `json:"repositories"`
			}
			if err := json.Unmarshal(body, &page); err != nil {
				return false, fmt.Errorf("the catalog of %s is not what a registry answers", r.address.Registry)
			}
			for _, name := range page.Repositories {
				if !yield(name, nil) {
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil {
			yield("", err)
		}
	}
}

// pages reads a list of several pages, which link to one another, until take
// has enough.
func pages(ctx context.Context, c *http.Client, at *url.URL, accept string, take func(body []byte) (bool, error)) error {
	for range maxPages {
		body, link, err := getPage(ctx, c, at, accept)
		if err != nil {
			return err
		}
		more, err := take(body)
		if err != nil || !more {
			return err
		}
		next, err := nextPage(at, link)
		if next == nil || err != nil {
			return err
		}
		at = next
	}
	return fmt.Errorf("GET %s: there are more than %d pages", at.Path, maxPages)
}

func getPage(ctx context.Context, c *http.Client, at *url.URL, accept string) (body []byte, link string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, "", err
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return nil, "", err
	}
	if body, err = io.ReadAll(io.LimitReader(resp.Body, maxPage+1)); err != nil {
		return nil, "", err
	}
	if len(body) > maxPage {
		return nil, "", fmt.Errorf("GET %s: the answer is longer than %d bytes", at.Path, maxPage)
	}
	return body, resp.Header.Get("Link"), nil
}

// nextRE takes the address out of a Link header (RFC 8288).
var nextRE = regexp.MustCompile(`^\s*<([^>]+)>\s*;\s*rel="?next"?`)

// nextPage returns where the page after the one at this address is; nil after
// the last. It stays on the same server, so that no other is sent a login.
func nextPage(at *url.URL, link string) (*url.URL, error) {
	m := nextRE.FindStringSubmatch(link)
	if m == nil {
		return nil, nil
	}
	next, err := at.Parse(m[1])
	if err != nil || next.Hostname() != at.Hostname() {
		return nil, fmt.Errorf("the next page is not at an address of the same server: %q", clip(m[1]))
	}
	next.Scheme, next.Host, next.User = at.Scheme, at.Host, nil
	return next, nil
}

// Status returns the HTTP status that a registry refused something with; 0 for
// another error.
func Status(err error) int { return status(err) }

// LoginFailed reports whether an error is that a registry let nobody in, or could
// not be reached to ask.
func LoginFailed(err error) bool {
	var login *loginError
	return errors.As(err, &login)
}

// status returns the HTTP status of a registry's error; 0 for another error.
func status(err error) int {
	var answer *transport.Error
	if errors.As(err, &answer) {
		return answer.StatusCode
	}
	return 0
}

// Repository returns one of the registry's repositories, to pull from it or,
// with push, to push to it; from other repositories blobs can then be mounted.
func (r *Remote) Repository(ctx context.Context, name string, push bool, from ...string) (*RemoteRepository, error) {
	if _, err := oci.ParseRepository(name); err != nil {
		return nil, err
	}
	repo := r.address.Registry.Repo(name)
	action := transport.PullScope
	if push {
		action = transport.PushScope // which is pull and push
	}
	scopes := []string{repo.Scope(action)}
	for _, other := range from {
		scopes = append(scopes, r.address.Registry.Repo(other).Scope(transport.PullScope))
	}
	c, err := r.client(ctx, scopes...)
	if err != nil {
		return nil, err
	}
	return &RemoteRepository{remote: r, name: repo.RepositoryStr(), http: c}, nil
}
