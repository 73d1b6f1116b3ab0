package adminapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// TestDocumentCoversRoutes: every endpoint is in the OpenAPI document, and the
// other way round.
func TestDocumentCoversRoutes(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi)
	if err != nil {
		t.Fatal(err)
	}
	var described, served []string
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			described = append(described, method+" "+path)
			if op.OperationID == "" || op.Summary == "" || op.Responses.Default() == nil {
				t.Errorf("%s %s lacks an operationId, a summary or a default response", method, path)
			}
			var query []string
			for _, p := range op.Parameters {
				if p.Value.In == "query" {
					query = append(query, p.Value.Name)
				}
			}
			for _, e := range new(api).endpoints() {
				if e.method == method && e.path == path && (!slices.Equal(query, e.query) || e.public != (op.Security != nil)) {
					t.Errorf("%s %s: the document has query %v and security %v", method, path, query, op.Security)
				}
			}
		}
	}
	for _, e := range new(api).endpoints() {
		served = append(served, e.method+" "+e.path)
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("described:\n%s\nserved:\n%s", strings.Join(described, "\n"), strings.Join(served, "\n"))
	}
}

// TestOnlyAdmins: every endpoint that is not public.
func TestOnlyAdmins(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	w.push("team/app", "v1")
	w.want(201, "", "POST", "/users", `{"username":"ci","policies":["read-write"],"password":"ci-password"}`)
	w.want(201, "", "POST", "/users", `{"username":"off","policies":["admin"],"enabled":false,"password":"off-password"}`)
	fill := strings.NewReplacer("{username}", "ci", "{policy}", "admin", "{certificate}", "main", "{webhook}", "main", "{prefix}", "hub", "{token}", strings.Repeat("0", 24), "{repository}", "team%2Fapp", "{tag}", "v1")
	for _, e := range new(api).endpoints() {
		for _, tc := range []struct {
			name, password string
			status         int
			code           oci.Code
		}{
			{"", "", 401, oci.CodeUnauthorized}, {"ci", "ci-password", 403, oci.CodeDenied}, {"root", "wrong", 401, oci.CodeUnauthorized},
			{"off", "off-password", 401, oci.CodeUnauthorized}, {"nobody", "x", 401, oci.CodeUnauthorized},
		} {
			w.user = [2]string{tc.name, tc.password}
			body := ""
			if e.method == "POST" || e.method == "PUT" {
				body = "{}"
			}
			if e.public {
				w.want(200, "", e.method, fill.Replace(e.path), body)
				continue
			}
			// Repeated failures may be slowed down; that is no way in either.
			rec := w.do(e.method, fill.Replace(e.path), body)
			if rec.Code != tc.status && rec.Code != http.StatusTooManyRequests {
				t.Errorf("%s %s as %q: %d %s", e.method, e.path, tc.name, rec.Code, rec.Body)
			}
			if challenge := rec.Header().Get("WWW-Authenticate"); (challenge == `Basic realm="registry"`) != (rec.Code == 401) {
				t.Errorf("challenge %q with %d", challenge, rec.Code)
			}
			if after := rec.Header().Get("Retry-After"); (after != "") != (rec.Code == 429) {
				t.Errorf("Retry-After %q with %d", after, rec.Code)
			}
		}
	}
}

func TestOpenRegistryHasNoAdmin(t *testing.T) {
	w := newWorld(t, nil)
	w.user = [2]string{}
	rec := w.want(401, oci.CodeUnauthorized, "POST", "/users", `{"username":"root","policies":["admin"],"password":"takeover!"}`)
	if !strings.Contains(rec.Body.String(), "REGISTRY_ADMIN_USERNAME") {
		t.Errorf("%s does not say how to get an admin", rec.Body)
	}
	if !w.dir.Empty() {
		t.Error("a stranger made a user")
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	for _, target := range []string{"", "/", "/user", "/users/", "/users/a/b", "//users", "/users/../users", "/users//", "/./users", "/repositories/a/b", "/repositories/a/tags/"} {
		w.want(404, oci.CodeNotFound, "GET", target, "")
	}
	for target, allow := range map[string]string{
		"/users": "GET, POST, HEAD", "/users/a": "GET, PUT, DELETE, HEAD", "/server": "GET, HEAD", "/repositories/a": "GET, PUT, DELETE, HEAD",
	} {
		rec := w.want(405, oci.CodeMethodNotAllowed, "PATCH", target, "")
		if got := rec.Header().Get("Allow"); got != allow {
			t.Errorf("%s: Allow %s, want %s", target, got, allow)
		}
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, httptest.NewRequest("GET", "/v2/", nil))
	if rec.Code != 404 || rec.Header().Get("Content-Type") != "application/json" {
		t.Errorf("another path: %d %s", rec.Code, rec.Body)
	}
}

func TestServer(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	s := decodeBody[client.Server](t, w.want(200, "", "GET", "/server", ""))
	if s.Version != "1.2.3" || s.Open || !s.DeleteEnabled || s.PasswordPolicy.MaxBytes != 72 || s.Storage.Driver != "filesystem" || len(s.APIVersions) != 1 {
		t.Errorf("%+v", s)
	}
}

func TestDocument(t *testing.T) {
	w := newWorld(t, nil)
	w.user = [2]string{}
	rec := w.want(200, "", "GET", "/openapi.json", "")
	if doc := decodeBody[map[string]any](t, rec); doc["openapi"] != "3.0.3" {
		t.Errorf("%v", doc["openapi"])
	}
	w.want(200, "", "GET", "/openapi.yaml", "")
	w.want(304, "", "GET", "/openapi.json", "", "If-None-Match: "+rec.Header().Get("ETag"))
	w.want(200, "", "HEAD", "/openapi.json", "")
}

// TestBadBodies: what is wrong with a body is named, and never repeated.
func TestBadBodies(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	deep := strings.Repeat(`[`, 100_000)
	for body, want := range map[string]string{
		`{"username":"a","pasword":"secret-word"}`: `unknown field \"pasword\"`,
		`{"username":"a","password":7777777777}`:   "password has a value of the wrong type",
		`{"username":["secret-word"]}`:             "username has a value of the wrong type",
		`["secret-word"]`:                          "not a JSON object",
		`"secret-word"`:                            "not a JSON object",
		`{"username":"a"} {"username":"b"}`:        "more than one JSON document",
		`{"username":"a"}x`:                        "more than one JSON document",
		`{"username":"a","password":"secret-word`:  "middle of the JSON",
		`{"username":secret-word}`:                 "not valid JSON",
		`{"password":"secret-word"}`:               "username is missing",
		`{}`:                                       "username is missing",
		`null`:                                     "username is missing",
		` `:                                        "empty",
		`{"username":` + deep + `}`:                "",
		`{"username":"a","policies":[` + deep:      "",
		`{"username":"a/b"}`:                       "invalid user name",
		`{"username":"a","password":"secret"}`:     "at least 8",
		`{"username":"a","policies":["nope"]}`:     "no policy nope",
		`{"username":"a","password_hash":"{SHA}secret-word"}`:           "not a bcrypt hash",
		`{"username":"a","password":"secret-word","password_hash":"x"}`: "either a password or",
	} {
		rec := w.want(400, oci.CodeInvalid, "POST", "/users", body)
		if !strings.Contains(rec.Body.String(), want) || strings.Contains(rec.Body.String(), "secret-word") || strings.Contains(rec.Body.String(), "7777") {
			t.Errorf("%.60s: got %s, want %q", body, rec.Body, want)
		}
	}
	w.want(400, oci.CodeInvalid, "POST", "/users", "")
	w.want(400, oci.CodeInvalid, "POST", "/users", `{"username":"a"}`, "Content-Type: text/plain")
	w.want(400, oci.CodeInvalid, "POST", "/users", `{"username":"a"}`, "Idempotency-Key: "+strings.Repeat("x", 129))
	big := `{"username":"a","description":"` + strings.Repeat("x", maxBody) + `"}`
	w.want(413, oci.CodeRequestEntityTooLarge, "POST", "/users", big)
	w.want(413, oci.CodeRequestEntityTooLarge, "POST", "/users", `{"username":"a"}`+strings.Repeat(" ", maxBody))
	if all, err := w.dir.Users(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("something was stored: %v %v", all, err)
	}
	if strings.Contains(w.logs.String(), "secret") {
		t.Error("a secret is logged")
	}
}

func TestBadQueries(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	for _, q := range []string{"limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "limit=99999999999999999999", "limit=1e2"} {
		w.want(400, oci.CodePaginationInvalid, "GET", "/users?"+q, "")
		w.want(400, oci.CodePaginationInvalid, "GET", "/repositories?"+q, "")
	}
	for _, q := range []string{"last=a", "limit=1&limit=2", "after=" + strings.Repeat("a", 256), "%zz", "a;b"} {
		w.want(400, oci.CodeInvalid, "GET", "/users?"+q, "")
	}
	w.want(400, oci.CodeInvalid, "GET", "/server?x=1", "")
}

// TestStorageFaults: no fault of the storage shows to the client, and all are
// logged.
func TestStorageFaults(t *testing.T) {
	for _, target := range []string{"GET /users", "GET /users/root", "GET /access?repository=a&action=pull", "GET /tokens", "GET /tokens/060rl0g0000000000000000g", "POST /users", "GET /policies", "GET /repositories", "GET /repositories/a", "GET /repositories/a/tags", "GET /repositories/a/tags/b"} {
		w := newWorld(t, nil).withAdmin()
		w.want(200, "", "GET", "/server", "") // the password is remembered
		w.faults.On(func(storagetest.Call) storagetest.Fault { return storagetest.NotApplied })
		method, path, _ := strings.Cut(target, " ")
		body := ""
		if method == "POST" {
			body = `{"username":"ci","password":"ci-password"}`
		}
		rec := w.do(method, path, body)
		if rec.Code != 500 && rec.Code != 503 || strings.Contains(rec.Body.String(), "injected") {
			t.Errorf("%s: %d %s", target, rec.Code, rec.Body)
		}
		if !strings.Contains(w.logs.String(), "injected") || strings.Contains(w.logs.String(), "ci-password") {
			t.Errorf("%s: logs\n%s", target, w.logs)
		}
	}
}

func TestEndedRequest(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, w.request("GET", "/users", "").WithContext(ctx))
	if rec.Code != statusClientClosedRequest || rec.Body.Len() > 0 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// TestClient runs the client against the API: the two must understand each
// other.
func TestClient(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	srv := httptest.NewServer(w.handler)
	t.Cleanup(srv.Close)
	c, err := client.New(client.Config{Endpoint: srv.URL, Username: "root", Password: adminPassword, MaxRetries: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err = c.Server(ctx)
	must(err)
	p, err := c.CreatePolicy(ctx, client.PolicySpec{Name: "team", Rules: []client.Rule{{Repositories: []string{"team/*"}, Actions: []string{"pull"}}}})
	must(err)
	token, err := c.CreateToken(ctx, client.TokenSpec{Username: "root", ExpiresIn: 60})
	must(err)
	bearer, err := client.New(client.Config{Endpoint: srv.URL, Token: token.Token, MaxRetries: -1})
	must(err)
	if got, err := bearer.GetToken(ctx, token.ID); err != nil || got.ID != token.ID || got.Token != "" {
		t.Errorf("%+v, %v", got, err)
	}
	for listed, err := range c.ListTokens(ctx) {
		if err != nil || listed.ID != token.ID {
			t.Errorf("%+v, %v", listed, err)
		}
	}
	must(c.DeleteToken(ctx, token.ID))
	if _, err := c.GetToken(ctx, token.ID); !client.IsNotFound(err) {
		t.Errorf("a token that is gone: %v", err)
	}
	if a, err := c.Access(ctx, "root", oci.Delete, "team/app"); err != nil || !a.Allowed || a.Policy != "admin" {
		t.Errorf("%+v, %v", a, err)
	}
	p, err = c.UpdatePolicy(ctx, client.PolicySpec{Name: "team", Anonymous: true}, p.Revision)
	must(err)
	if got, err := c.GetPolicy(ctx, "team"); err != nil || got.Revision != p.Revision || !got.Anonymous || len(got.Rules) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	password := "ci-password"
	u, err := c.CreateUser(ctx, client.UserSpec{Username: "ci@team", Policies: []string{"team"}, Enabled: true, Password: &password})
	must(err)
	if _, err := c.CreateUser(ctx, client.UserSpec{Username: "ci@team"}); !client.IsConflict(err) {
		t.Errorf("made twice: %v", err)
	}
	if err := c.DeletePolicy(ctx, "team", ""); !client.IsConflict(err) {
		t.Errorf("a policy in use: %v", err)
	}
	if _, err := c.UpdateUser(ctx, client.UserSpec{Username: "ci@team"}, "stale"); !client.IsConflict(err) {
		t.Errorf("a stale revision: %v", err)
	}
	v, err := c.UpdateUser(ctx, client.UserSpec{Username: "ci@team", Description: "x"}, u.Revision)
	must(err)
	if v.CredentialRevision != u.CredentialRevision || v.Description != "x" || v.Enabled || len(v.Policies) != 0 || v.Revision == u.Revision {
		t.Errorf("%+v", v)
	}
	for i := range 3 {
		_, err = c.CreateUser(ctx, client.UserSpec{Username: fmt.Sprint("u", i)})
		must(err)
	}
	var names []string
	for u, err := range c.ListUsers(ctx) {
		must(err)
		names = append(names, u.Username)
	}
	if want := []string{"ci@team", "root", "u0", "u1", "u2"}; !slices.Equal(names, want) {
		t.Errorf("got %v", names)
	}
	must(c.DeleteUser(ctx, "ci@team", v.Revision))
	if _, err := c.GetUser(ctx, "ci@team"); !client.IsNotFound(err) {
		t.Errorf("a user that is gone: %v", err)
	}
	must(c.DeletePolicy(ctx, "team", ""))
	if _, err := c.GetPolicy(ctx, "team"); !client.IsNotFound(err) {
		t.Errorf("a policy that is gone: %v", err)
	}
	w.push("team/app", "v1", "v2")
	tag, err := c.GetTag(ctx, "team/app", "v1")
	must(err)
	if tag.Digest.IsZero() || tag.MediaType != indexType || tag.Size == 0 {
		t.Errorf("%+v", tag)
	}
	another := oci.MustDigest(w.pushAnother("another", "team/app", "v3"))
	if moved, err := c.PutTag(ctx, "team/app", "v1", another, tag.Digest); err != nil || moved.Digest != another {
		t.Errorf("%+v, %v", moved, err)
	}
	if _, err := c.PutTag(ctx, "team/app", "v1", tag.Digest, tag.Digest); !client.IsConflict(err) {
		t.Errorf("a tag that has moved: %v", err)
	}
	if _, err := c.CreateTag(ctx, "team/app", "v1", tag.Digest); !client.IsConflict(err) {
		t.Errorf("a tag that is there: %v", err)
	}
	if _, err := c.PutTag(ctx, "team/app", "v1", oci.FromBytes(nil), oci.Digest{}); !client.IsNotFound(err) {
		t.Errorf("a manifest that is not there: %v", err)
	}
	must(c.DeleteTag(ctx, "team/app", "v1"))
	if _, err := c.GetTag(ctx, "team/app", "v1"); !client.IsNotFound(err) {
		t.Errorf("a tag that is gone: %v", err)
	}
	made, err := c.CreateRepository(ctx, client.RepositorySpec{Name: "made", ImmutableTagPatterns: []string{"v*"}})
	must(err)
	if _, err := c.CreateRepository(ctx, client.RepositorySpec{Name: "team/app"}); !client.IsConflict(err) {
		t.Errorf("a repository that a push made: %v", err)
	}
	set, err := c.UpdateRepository(ctx, client.RepositorySpec{Name: "made", Description: "d"}, made.Revision)
	must(err)
	if got, err := c.GetRepository(ctx, "made"); err != nil || got.Revision != set.Revision || got.Description != "d" || len(got.ImmutableTagPatterns) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := c.UpdateRepository(ctx, client.RepositorySpec{Name: "made"}, made.Revision); !client.IsConflict(err) {
		t.Errorf("a stale revision: %v", err)
	}
	w.push("made", "v1")
	_, err = c.UpdateRepository(ctx, client.RepositorySpec{Name: "made", ImmutableTagPatterns: []string{"v*"}}, set.Revision)
	must(err)
	for what, err := range map[string]error{"tag": c.DeleteTag(ctx, "made", "v1"), "repository": c.DeleteRepository(ctx, "made", true)} {
		if !client.IsImmutable(err) {
			t.Errorf("deletion of a %s with an immutable tag: %v", what, err)
		}
	}
	_, err = c.UpdateRepository(ctx, client.RepositorySpec{Name: "made"}, "")
	must(err)
	must(c.DeleteRepository(ctx, "made", true))
	if err := c.DeleteRepository(ctx, "team/app", false); !client.IsConflict(err) {
		t.Errorf("a repository that is not empty: %v", err)
	}
	must(c.DeleteRepository(ctx, "team/app", true))
	if _, err := c.GetRepository(ctx, "team/app"); !client.IsNotFound(err) {
		t.Errorf("a repository that is gone: %v", err)
	}
	for _, err := range c.ListTags(ctx, "team/app") {
		if !client.IsNotFound(err) {
			t.Errorf("tags of a repository that is gone: %v", err)
		}
	}
	wrong, err := client.New(client.Config{Endpoint: srv.URL + "/elsewhere", Username: "root", Password: adminPassword, MaxRetries: -1})
	must(err)
	if _, err := wrong.GetUser(ctx, "root"); err == nil || client.IsNotFound(err) {
		t.Errorf("a wrong endpoint looks like a user that is gone: %v", err)
	}
}

// TestWireTypes: auth's detail of a missing object is the client's.
func TestWireTypes(t *testing.T) {
	a, err := json.Marshal(auth.NotFound{Kind: "user", Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(client.Missing{Kind: "user", Name: "x"})
	if err != nil || string(a) != string(b) {
		t.Errorf("%s and %s differ", a, b)
	}
}
