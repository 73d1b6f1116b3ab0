// Package ociapi is the HTTP of the OCI distribution-spec 1.1, below /v2/, of
// Docker's token authentication, /token, and of images as archives, below
// ArchivesPath. A request takes one path: parse (a pure function), authenticate, authorise, a
// small handler from a table that returns an error, and one place that writes
// errors.
package ociapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/events"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/proxycache"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

// Config is what an API is made of. Registry, Gate and Keys are required.
type Config struct {
	Registry *registry.Registry
	Gate     *auth.Gate
	Keys     *auth.Keyring // seals upload sessions
	Log      *slog.Logger  // the default is slog.Default()

	// Proxy fetches what repositories of pull-through caches lack; nil for none.
	Proxy *proxycache.Cache

	// Prefix is where the API lies: "/" (the default) or "/some/path/".
	Prefix string
	// Host is the scheme and host of absolute URLs. Without it they are made
	// of what the request says.
	Host *url.URL
	// RelativeURLs makes Location headers relative to the host. They are
	// absolute where a Host is set.
	RelativeURLs bool
	// TrustedProxy says whether a request comes from a load balancer whose
	// X-Forwarded-Proto counts in absolute URLs. Nil trusts none.
	TrustedProxy func(*http.Request) bool
	// Headers are added to every answer.
	Headers http.Header

	// ReadOnly refuses every request that writes.
	ReadOnly bool
	// Deletes allows or refuses deletion. Nil leaves it to the delete right
	// where anybody can be authenticated, and refuses it otherwise.
	Deletes *bool
	// MaxCatalog and MaxTags bound one page. The default is 1000.
	MaxCatalog, MaxTags int
	// SessionLifetime is how long an upload may take. The default is 7 days.
	SessionLifetime time.Duration
	// RedirectExpiry is for how long a client can use the URL that it is sent to
	// for a blob, where the store has such URLs. 0 serves all blobs from here.
	RedirectExpiry time.Duration
	// Notify is told what a request did, before it is answered. What of the event
	// is about the request is left to it. Nil for nobody.
	Notify func(*http.Request, events.Event)
	// Now is the clock. The default is time.Now.
	Now func() time.Time
}

// API serves /v2/.
type API struct {
	Config
	handlers map[kind]map[string]handler
}

// handler answers one kind of request. It returns an error instead of writing
// one, and only before it wrote anything.
type handler func(w http.ResponseWriter, r *http.Request, req request) error

// New returns the API.
func New(c Config) *API {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Prefix == "" {
		c.Prefix = "/"
	}
	if c.MaxCatalog <= 0 {
		c.MaxCatalog = 1000
	}
	if c.MaxTags <= 0 {
		c.MaxTags = 1000
	}
	if c.SessionLifetime <= 0 {
		c.SessionLifetime = 7 * 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Notify == nil {
		c.Notify = func(*http.Request, events.Event) {}
	}
	a := &API{Config: c}
	a.handlers = map[kind]map[string]handler{
		kindPing:      {"GET": a.ping, "HEAD": a.ping},
		kindCatalog:   {"GET": a.catalog},
		kindTags:      {"GET": a.tags},
		kindManifest:  {"GET": a.getManifest, "HEAD": a.getManifest, "PUT": a.putManifest, "DELETE": a.deleteManifest},
		kindBlob:      {"GET": a.getBlob, "HEAD": a.getBlob, "DELETE": a.deleteBlob},
		kindUploads:   {"POST": a.startUpload},
		kindUpload:    {"GET": a.uploadStatus, "PATCH": a.patchUpload, "PUT": a.putUpload, "DELETE": a.cancelUpload},
		kindReferrers: {"GET": a.referrers},
		kindArchive:   {"GET": a.getArchive, "HEAD": a.getArchive},
	}
	return a
}

// ServeHTTP answers a request below Prefix + "v2".
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for name, values := range a.Headers {
		h[name] = values
	}
	h.Set("Docker-Distribution-Api-Version", "registry/2.0")
	h.Set("X-Content-Type-Options", "nosniff")
	u := *r.URL
	u.Path = "/" + strings.TrimPrefix(u.Path, a.Prefix)
	if u.RawPath != "" {
		u.RawPath = "/" + strings.TrimPrefix(u.RawPath, a.Prefix)
	}
	req, err := parse(r.Method, &u)
	if err == nil {
		err = a.serve(w, r, req)
	}
	if err != nil {
		a.writeError(w, r, req, err)
	}
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, req request) error {
	handle, ok := a.handlers[req.kind][req.method]
	if !ok {
		return methodNotAllowed(w, a.handlers[req.kind])
	}
	who, err := a.Gate.Authenticate(r.Context(), r)
	if err != nil {
		return err
	}
	if err := a.authorize(r.Context(), who, req); err != nil {
		return err
	}
	if err := a.permitted(r.Context(), req); err != nil {
		return err
	}
	return handle(w, r.WithContext(withIdentity(r.Context(), who)), req)
}

// authorize checks the right that the request needs. A caller without
// credentials is asked for some already at the ping: that is where Docker
// learns to send them.
func (a *API) authorize(ctx context.Context, who auth.Identity, req request) error {
	if action := req.action(); action != "" {
		return a.Gate.Authorize(ctx, who, action, req.repo)
	}
	switch {
	case a.Gate.Open():
	case req.kind == kindCatalog:
		return who.CheckCatalog()
	case who.Anonymous() && !who.Scoped():
		return oci.Errorf(oci.CodeUnauthorized, "authentication required; log in to this registry first")
	}
	return nil
}

// permitted applies the switches that hold whoever asks. It is the one gate
// for deletion (CVE-2026-41888 was a second way round such a gate).
func (a *API) permitted(ctx context.Context, req request) error {
	if a.ReadOnly && req.writes() {
		return oci.Errorf(oci.CodeUnsupported, "the registry is read-only for maintenance (storage.maintenance.readonly); try again later")
	}
	if !req.deletes() {
		if a.Proxy != nil && req.writes() {
			return a.Proxy.RefusePush(ctx, req.repo)
		}
		return nil
	}
	switch {
	case a.Deletes != nil && !*a.Deletes:
		return oci.Errorf(oci.CodeUnsupported, "deletion is switched off; set storage.delete.enabled to true")
	case a.Deletes == nil && a.Gate.Open():
		return oci.Errorf(oci.CodeUnsupported, "deletion is off while anybody may do everything; set storage.delete.enabled to true, or configure users")
	}
	return nil
}

// ping answers GET /v2/: the registry is here, and the credentials are good.
func (a *API) ping(w http.ResponseWriter, _ *http.Request, _ request) error {
	return writeJSON(w, "application/json", struct{}{})
}

// url returns the form in which a path of ours is given to a client.
func (a *API) url(r *http.Request, path string) string {
	if a.Host == nil && a.RelativeURLs {
		return path
	}
	return a.absolute(r, path)
}

// absolute returns a path of ours as clients outside of the request know it.
func (a *API) absolute(r *http.Request, path string) string {
	if a.Host != nil {
		return a.Host.Scheme + "://" + a.Host.Host + path
	}
	scheme, host := "http", r.Host
	if r.TLS != nil {
		scheme = "https"
	}
	// A load balancer that ends TLS says so here. A cache or a careless client
	// may pass on what a stranger wrote, so nobody else is believed.
	if a.TrustedProxy != nil && a.TrustedProxy(r) {
		if proto := r.Header.Get("X-Forwarded-Proto"); proto == "https" || proto == "http" {
			scheme = proto
		}
	}
	return scheme + "://" + host + path
}

func methodNotAllowed(w http.ResponseWriter, allowed map[string]handler) error {
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
		if _, ok := allowed[method]; ok {
			w.Header().Add("Allow", method)
		}
	}
	return &oci.Error{Code: oci.CodeMethodNotAllowed, Message: "the method is not supported here; the Allow header lists those that are"}
}

type contextKey struct{}

func withIdentity(ctx context.Context, who auth.Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, who)
}

// identity returns who sent the request that a handler answers.
func identity(ctx context.Context) auth.Identity {
	who, _ := ctx.Value(contextKey{}).(auth.Identity)
	return who
}
