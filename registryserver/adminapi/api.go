// Package adminapi is the HTTP of the admin API, below /api/v1/: users,
// policies, certificates, webhooks, replications, repositories, tags, and what the server says of itself. Its wire
// types are those of package client; openapi.yaml describes it, and a test
// holds the two together. Pushing and pulling is package ociapi's.
package adminapi

import (
	"context"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/certificates"
	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/events"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/proxycache"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/replication"
)

// Config is what the API is made of. All but Log and the switches are needed.
type Config struct {
	Gate      *auth.Gate
	Directory *auth.Directory
	Tokens    *auth.IssuedTokens
	Registry  *registry.Registry
	// Certificates are those that can be installed.
	Certificates *certificates.Store
	// Webhooks are the receivers of events.
	Webhooks *events.Store
	// Notify is told what a request did to images, as package ociapi's is. Nil for
	// nobody.
	Notify func(*http.Request, events.Event)
	// Proxies are pull-through caches.
	Proxies *proxycache.Store
	// Replications copy what is pushed to other registries; ReplicationsTaken says
	// how many events this server is delivering to one of events.Receivers.
	Replications      *replication.Replicator
	ReplicationsTaken func(receiver string) int
	// Server says the version, storage and capabilities of the server; the rest
	// of client.Server is filled in here.
	Server func() client.Server
	Log    *slog.Logger // the default is slog.Default()
	// DeletesDisabled refuses to delete repositories and tags: set it where
	// storage.delete.enabled is written as false, or the registry is read-only.
	DeletesDisabled bool
	// ReadOnly refuses to move tags, as pushes are refused.
	ReadOnly bool
	// Collections are garbage collections; nil for none.
	Collections Collections
	// Grace is that of collections, for previews of retention.
	Grace time.Duration
}

// api is the handler.
type api struct {
	Config
	mux      *http.ServeMux
	document []byte // OpenAPI, in JSON
}

// endpoint is one method of one path.
type endpoint struct {
	method, path string // path below client.BasePath
	handle       func(*http.Request) (answer, error)
	query        []string // the parameters it knows
	public       bool     // needs no admin
	reads        bool     // changes nothing, whatever its method
}

// New returns the handler of everything below client.BasePath.
func New(c Config) (http.Handler, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Notify == nil {
		c.Notify = func(*http.Request, events.Event) {}
	}
	doc, err := loadDocument()
	if err != nil {
		return nil, err
	}
	a := &api{Config: c, mux: http.NewServeMux(), document: doc}
	allowed := make(map[string][]string)
	for _, e := range a.endpoints() {
		a.mux.Handle(e.method+" "+client.BasePath+e.path, a.serve(e))
		allowed[e.path] = append(allowed[e.path], e.method)
	}
	for p, methods := range allowed {
		a.mux.Handle(client.BasePath+p, a.notAllowed(methods))
	}
	a.mux.HandleFunc("/", a.notFound)
	return a, nil
}

// endpoints is the whole API.
func (a *api) endpoints() []endpoint {
	paging := []string{"limit", "after"}
	return []endpoint{
		{method: "GET", path: "/server", handle: a.getServer},
		{method: "GET", path: "/openapi.json", handle: a.getDocument, public: true},
		{method: "GET", path: "/openapi.yaml", handle: a.getDocumentYAML, public: true},

		{method: "GET", path: "/users", handle: a.listUsers, query: paging},
		{method: "POST", path: "/users", handle: a.createUser},
		{method: "GET", path: "/users/{username}", handle: a.getUser},
		{method: "PUT", path: "/users/{username}", handle: a.updateUser},
		{method: "DELETE", path: "/users/{username}", handle: a.deleteUser},

		{method: "GET", path: "/policies", handle: a.listPolicies, query: paging},
		{method: "POST", path: "/policies", handle: a.createPolicy},
		{method: "GET", path: "/policies/{policy}", handle: a.getPolicy},
		{method: "PUT", path: "/policies/{policy}", handle: a.updatePolicy},
		{method: "DELETE", path: "/policies/{policy}", handle: a.deletePolicy},

		{method: "GET", path: "/tokens", handle: a.listTokens, query: paging},
		{method: "POST", path: "/tokens", handle: a.createToken},
		{method: "GET", path: "/tokens/{token}", handle: a.getToken},
		{method: "DELETE", path: "/tokens/{token}", handle: a.deleteToken},

		{method: "GET", path: "/access", handle: a.getAccess, query: []string{"username", "repository", "action"}},

		{method: "GET", path: "/certificates", handle: a.listCertificates, query: paging},
		{method: "GET", path: "/certificates/{certificate}", handle: a.getCertificate},
		{method: "PUT", path: "/certificates/{certificate}", handle: a.putCertificate},
		{method: "DELETE", path: "/certificates/{certificate}", handle: a.deleteCertificate},

		{method: "GET", path: "/collections", handle: a.listCollections},
		{method: "POST", path: "/collections", handle: a.startCollection},
		{method: "GET", path: "/storage/exclusive", handle: a.getExclusive},
		{method: "PUT", path: "/storage/exclusive", handle: a.putExclusive},
		{method: "DELETE", path: "/storage/exclusive", handle: a.deleteExclusive},
		{method: "GET", path: "/webhooks", handle: a.listWebhooks, query: paging},
		{method: "POST", path: "/webhooks", handle: a.createWebhook},
		{method: "GET", path: "/webhooks/{webhook}", handle: a.getWebhook},
		{method: "PUT", path: "/webhooks/{webhook}", handle: a.updateWebhook},
		{method: "DELETE", path: "/webhooks/{webhook}", handle: a.deleteWebhook},

		{method: "GET", path: "/retention-policies", handle: a.listRetentionPolicies, query: paging},
		{method: "POST", path: "/retention-policies", handle: a.createRetentionPolicy},
		{method: "GET", path: "/retention-policies/{policy}", handle: a.getRetentionPolicy},
		{method: "PUT", path: "/retention-policies/{policy}", handle: a.updateRetentionPolicy},
		{method: "DELETE", path: "/retention-policies/{policy}", handle: a.deleteRetentionPolicy},
		{method: "POST", path: "/retention-preview", handle: a.previewRetention, reads: true},

		{method: "GET", path: "/proxy-caches", handle: a.listProxyCaches, query: paging},
		{method: "GET", path: "/proxy-caches/{prefix}", handle: a.getProxyCache},
		{method: "PUT", path: "/proxy-caches/{prefix}", handle: a.putProxyCache},
		{method: "DELETE", path: "/proxy-caches/{prefix}", handle: a.deleteProxyCache},

		{method: "GET", path: "/replications", handle: a.listReplications, query: paging},
		{method: "GET", path: "/replications/{replication}", handle: a.getReplication},
		{method: "PUT", path: "/replications/{replication}", handle: a.putReplication},
		{method: "DELETE", path: "/replications/{replication}", handle: a.deleteReplication},

		{method: "GET", path: "/repositories", handle: a.listRepositories, query: paging},
		{method: "POST", path: "/repositories", handle: a.createRepository},
		{method: "GET", path: "/repositories/{repository}", handle: a.getRepository},
		{method: "PUT", path: "/repositories/{repository}", handle: a.updateRepository},
		{method: "DELETE", path: "/repositories/{repository}", handle: a.deleteRepository, query: []string{"force"}},
		{method: "GET", path: "/repositories/{repository}/tags", handle: a.listTags, query: paging},
		{method: "GET", path: "/repositories/{repository}/tags/{tag}", handle: a.getTag},
		{method: "PUT", path: "/repositories/{repository}/tags/{tag}", handle: a.putTag},
		{method: "DELETE", path: "/repositories/{repository}/tags/{tag}", handle: a.deleteTag},
	}
}

// ServeHTTP answers a request.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// The mux would redirect an unclean path, and a redirect turns a PUT into a
	// GET.
	if p := r.URL.EscapedPath(); path.Clean(p) != p {
		a.notFound(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// serve is the path of every request: authenticate, authorise, check, handle,
// answer.
func (a *api) serve(e endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := a.admit(r, e)
		if err != nil {
			a.writeError(w, r, err)
			return
		}
		if err := checkRequest(r, e); err != nil {
			a.writeError(w, r, err)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		ans, err := e.handle(r.WithContext(withIdentity(r.Context(), who)))
		if err != nil {
			a.writeError(w, r, err)
			return
		}
		if e.method != http.MethodGet && !e.reads {
			a.logChange(r, who)
		}
		if err := ans.write(w, r); err != nil {
			a.writeError(w, r, err)
		}
	})
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

// logChange says who has changed something; of a token that is its id, which is
// no secret.
func (a *api) logChange(r *http.Request, who auth.Identity) {
	attributes := []any{"method", r.Method, "path", r.URL.Path, "user", who.Name()}
	if who.Token() != "" {
		attributes = append(attributes, "token", who.Token())
	}
	a.Log.InfoContext(r.Context(), "changed by the admin API", attributes...)
}

// admit lets admins in, and everybody to public endpoints.
func (a *api) admit(r *http.Request, e endpoint) (auth.Identity, error) {
	if e.public {
		return auth.Identity{}, nil
	}
	who, err := a.Gate.Authenticate(r.Context(), r)
	switch {
	case err != nil:
		return who, err
	case who.Admin():
		return who, nil
	case who.Scoped() || who.Token() != "":
		return who, oci.Errorf(oci.CodeDenied, "the admin API takes tokens only of users with the policy admin, and only such as were issued by it and not narrowed")
	case who.Anonymous() && a.Gate.Open():
		return who, oci.Errorf(oci.CodeUnauthorized, "this server has no admin; restart it with REGISTRY_ADMIN_USERNAME and REGISTRY_ADMIN_PASSWORD set")
	case who.Anonymous():
		return who, oci.Errorf(oci.CodeUnauthorized, "authentication required; log in as an admin")
	}
	return who, oci.Errorf(oci.CodeDenied, "user %s is no admin; the policy admin is needed", who.Name())
}

func (a *api) notFound(w http.ResponseWriter, r *http.Request) {
	a.writeError(w, r, oci.Errorf(oci.CodeNotFound, "there is no such path in the admin API; %s/openapi.json lists those that are", client.BasePath))
}

func (a *api) notAllowed(methods []string) http.HandlerFunc {
	allow := strings.Join(methods, ", ")
	if strings.Contains(allow, "GET") {
		allow += ", HEAD"
	}
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		a.writeError(w, r, oci.Errorf(oci.CodeMethodNotAllowed, "this path does not support the method; it supports %s", allow))
	}
}
