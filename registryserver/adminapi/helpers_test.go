package adminapi

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"golang.org/x/crypto/bcrypt"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/certificates"
	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/events"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/proxycache"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/replication"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

const adminPassword = "correct horse battery"

// world is the API over a registry in memory, with the admin root.
type world struct {
	*testing.T
	handler  http.Handler
	dir      *auth.Directory
	registry *registry.Registry
	faults   *storagetest.Faults
	logs     *bytes.Buffer
	router   routers.Router // of the OpenAPI document
	user     [2]string      // who asks
}

func newWorld(t *testing.T, edit func(*Config)) *world {
	t.Helper()
	w := &world{T: t, faults: new(storagetest.Faults), logs: new(bytes.Buffer), user: [2]string{"root", adminPassword}}
	log := slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store := storagetest.NewMemory()
	records := w.faults.Records(store.Records())
	var err error
	if w.dir, err = auth.OpenDirectory(t.Context(), auth.DirectoryConfig{Records: records, BcryptCost: bcrypt.MinCost, Log: log}); err != nil {
		t.Fatal(err)
	}
	w.registry = registry.New(store.Blobs(), records, registry.Options{})
	tokens, err := auth.OpenIssuedTokens(auth.IssuedConfig{Records: records, Directory: w.dir, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	gate, err := auth.NewGate(auth.Config{Directory: w.dir, Issued: tokens, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Gate: gate, Directory: w.dir, Tokens: tokens, Registry: w.registry, Log: log, Server: func() client.Server {
		return client.Server{Version: "1.2.3", Storage: client.Storage{Driver: "filesystem"}}
	}}
	keys, err := auth.NewKeyring("the http secret")
	if err != nil {
		t.Fatal(err)
	}
	if c.Certificates, err = certificates.OpenStore(t.Context(), certificates.StoreConfig{Records: records, Keys: keys, Log: log, Served: true}); err != nil {
		t.Fatal(err)
	}
	if c.Webhooks, err = events.OpenStore(t.Context(), events.StoreConfig{Records: records, Keys: keys, Log: log}); err != nil {
		t.Fatal(err)
	}
	if c.Proxies, err = proxycache.OpenStore(t.Context(), proxycache.StoreConfig{Records: records, Keys: keys, Log: log}); err != nil {
		t.Fatal(err)
	}
	rules, err := replication.OpenStore(t.Context(), replication.StoreConfig{Records: records, Keys: keys, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	c.Replications, c.ReplicationsTaken = &replication.Replicator{Store: rules, Registry: w.registry}, func(string) int { return 0 }
	if edit != nil {
		edit(&c)
	}
	if w.handler, err = New(c); err != nil {
		t.Fatal(err)
	}
	w.loadDocument()
	return w
}

// withAdmin makes the admin who asks.
func (w *world) withAdmin() *world {
	w.Helper()
	if err := w.dir.EnsureAdmin(w.Context(), "root", adminPassword); err != nil {
		w.Fatal(err)
	}
	return w
}

func (w *world) loadDocument() {
	w.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(openapi)
	if err != nil {
		w.Fatal(err)
	}
	if err := doc.Validate(w.Context()); err != nil {
		w.Fatal(err)
	}
	if w.router, err = gorillamux.NewRouter(doc); err != nil {
		w.Fatal(err)
	}
}

// request makes a request; header holds "Name: value" lines.
func (w *world) request(method, target, body string, header ...string) *http.Request {
	w.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, client.BasePath+target, reader)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if w.user[0] != "" {
		r.SetBasicAuth(w.user[0], w.user[1])
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	return r
}

// do sends a request, and holds the exchange against the OpenAPI document: the
// answer always, and the request where it was accepted.
func (w *world) do(method, target, body string, header ...string) *httptest.ResponseRecorder {
	w.Helper()
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, w.request(method, target, body, header...))
	w.conforms(w.request(method, target, body, header...), rec)
	return rec
}

func (w *world) conforms(r *http.Request, rec *httptest.ResponseRecorder) {
	w.Helper()
	if r.Method == http.MethodHead {
		r.Method = http.MethodGet
	}
	route, params, err := w.router.FindRoute(r)
	if err != nil {
		return // the document knows no such path; TestDocumentCoversRoutes says whether it should
	}
	for name, value := range params { // the router leaves them escaped
		if params[name], err = url.PathUnescape(value); err != nil {
			w.Fatal(err)
		}
	}
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, RejectWhenRequestBodyNotSpecified: true,
	}}
	if rec.Code < 300 {
		if err := openapi3filter.ValidateRequest(w.Context(), in); err != nil {
			w.Errorf("%s %s was accepted, but the document forbids it: %v", r.Method, r.URL, err)
		}
	}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: rec.Code, Header: rec.Result().Header,
		Options: &openapi3filter.Options{IncludeResponseStatus: true}}
	out.SetBodyBytes(rec.Body.Bytes())
	if err := openapi3filter.ValidateResponse(w.Context(), out); err != nil {
		w.Errorf("the answer %d to %s %s is not as the document says: %v\n%s", rec.Code, r.Method, r.URL, err, rec.Body)
	}
}

// want sends a request and checks the status, and the code where it is an
// error. It returns the answer.
func (w *world) want(status int, code oci.Code, method, target, body string, header ...string) *httptest.ResponseRecorder {
	w.Helper()
	rec := w.do(method, target, body, header...)
	if rec.Code != status {
		w.Errorf("%s %s: status %d, want %d: %s", method, target, rec.Code, status, rec.Body)
	}
	if code != "" {
		var e client.ErrorBody
		if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil || len(e.Errors) != 1 || e.Errors[0].Code != code || e.Errors[0].Message == "" {
			w.Errorf("%s %s: error %s, want %s", method, target, rec.Body, code)
		}
	}
	return rec
}

func decodeBody[T any](t *testing.T, rec *httptest.ResponseRecorder) (v T) {
	t.Helper()
	dec := json.NewDecoder(rec.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

const indexType = "application/vnd.oci.image.index.v1+json"

// push makes tags in a repository.
func (w *world) push(repo string, tags ...string) {
	w.Helper()
	w.pushAnother("", repo, tags...)
}

// pushAnother is push of another manifest for each note.
func (w *world) pushAnother(note, repo string, tags ...string) string {
	w.Helper()
	p := registry.Push{Repository: oci.MustRepository(repo), ContentType: indexType,
		Body: []byte(`{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[],"annotations":{"note":"` + note + `"}}`)}
	for _, s := range tags {
		tag, err := oci.ParseTag(s)
		if err != nil {
			w.Fatal(err)
		}
		p.Tags = append(p.Tags, tag)
	}
	pushed, err := w.registry.PutManifest(w.Context(), p)
	if err != nil {
		w.Fatal(err)
	}
	return pushed.Digest.String()
}
