package adminapi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

func TestUsers(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	rec := w.want(201, "", "POST", "/users", `{"username":"ci@x","password":"ci-password","policies":["read-only","read-only"]}`)
	if rec.Header().Get("Location") != "/api/v1/users/ci@x" {
		t.Errorf("Location %s", rec.Header().Get("Location"))
	}
	etag := rec.Header().Get("ETag")
	u := decodeBody[client.User](t, rec)
	if etag != `"`+u.Revision+`"` || !u.Enabled || !u.HasPassword || u.CredentialRevision == "" || len(u.Policies) != 1 {
		t.Errorf("%+v, ETag %s", u, etag)
	}
	for _, secret := range []string{"ci-password", "$2a$"} {
		if strings.Contains(rec.Body.String(), secret) || strings.Contains(w.logs.String(), secret) {
			t.Errorf("%s shows", secret)
		}
	}
	w.want(409, oci.CodeConflict, "POST", "/users", `{"username":"ci@x"}`)

	rec = w.want(200, "", "GET", "/users/ci@x", "")
	if rec.Header().Get("ETag") != etag || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", rec.Header())
	}
	w.want(304, "", "GET", "/users/ci@x", "", "If-None-Match: "+etag)
	w.want(304, "", "GET", "/users/ci@x", "", "If-None-Match: \"x\", W/"+etag)
	w.want(200, "", "GET", "/users/ci@x", "", `If-None-Match: "x"`)
	w.want(200, "", "HEAD", "/users/ci@x", "")

	const put = `{"policies":[],"enabled":true}`
	w.want(412, oci.CodePreconditionFailed, "PUT", "/users/ci@x", put, `If-Match: "stale"`)
	w.want(412, oci.CodePreconditionFailed, "PUT", "/users/ci@x", put, `If-Match: W/`+etag)
	w.want(412, oci.CodePreconditionFailed, "PUT", "/users/ci@x", put, `If-None-Match: *`)
	w.want(412, oci.CodePreconditionFailed, "PUT", "/users/ci@x", put, `If-None-Match: `+etag)
	w.want(412, oci.CodePreconditionFailed, "DELETE", "/users/ci@x", "", `If-Match: "stale"`)
	w.want(400, oci.CodeInvalid, "PUT", "/users/ci@x", put, `If-Match: stale`)
	w.want(400, oci.CodeInvalid, "DELETE", "/users/ci@x", "", `If-Match: "`)
	w.want(404, oci.CodeNotFound, "PUT", "/users/nobody", put, `If-Match: *`)
	rec = w.want(200, "", "PUT", "/users/ci@x", put, `If-Match: "x", `+etag)
	if got := decodeBody[client.User](t, rec); got.CredentialRevision != u.CredentialRevision || got.Revision == u.Revision {
		t.Errorf("%+v", got)
	}
	w.want(200, "", "PUT", "/users/ci@x", `{"username":"ci@x","policies":["admin"],"enabled":false,"description":"d","password":"another one"}`, "If-Match: *")
	w.want(200, "", "PUT", "/users/ci@x", put, `If-None-Match: "x"`)

	w.want(400, oci.CodeInvalid, "PUT", "/users/ci@x", `{"password":"only the password"}`)
	w.want(400, oci.CodeInvalid, "PUT", "/users/ci@x", `{"username":"other","policies":[],"enabled":true}`)
	w.want(400, oci.CodeInvalid, "PUT", "/users/ci@x", `{"policies":null,"enabled":true}`)
	for _, name := range []string{"a%2Fb", "%00", "%2e%2e", "a%20b", strings.Repeat("a", 129)} {
		w.want(400, oci.CodeInvalid, "GET", "/users/"+name, "")
		w.want(400, oci.CodeInvalid, "PUT", "/users/"+name, put)
		w.want(400, oci.CodeInvalid, "DELETE", "/users/"+name, "")
	}
	w.want(409, oci.CodeConflict, "DELETE", "/users/root", "")
	w.want(409, oci.CodeConflict, "PUT", "/users/root", `{"policies":["admin"],"enabled":false}`)
	w.want(204, "", "DELETE", "/users/ci@x", "")
	rec = w.want(404, oci.CodeNotFound, "DELETE", "/users/ci@x", "")
	if !strings.Contains(rec.Body.String(), `{"kind":"user","name":"ci@x"}`) {
		t.Errorf("detail of %s", rec.Body)
	}
	w.want(404, oci.CodeNotFound, "GET", "/users/ci@x", "")
	if !strings.Contains(w.logs.String(), "changed by the admin API") || !strings.Contains(w.logs.String(), "path=/api/v1/users/ci@x user=root") {
		t.Errorf("changes are not logged:\n%s", w.logs)
	}
}

func TestIdempotencyKey(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	for path, body := range map[string]string{"/users": `{"username":"ci"}`, "/policies": `{"name":"p","rules":[]}`, "/repositories": `{"name":"r"}`} {
		first := w.want(201, "", "POST", path, body, "Idempotency-Key: k-1")
		again := w.want(201, "", "POST", path, body, "Idempotency-Key: k-1")
		if first.Body.String() != again.Body.String() || first.Header().Get("ETag") != again.Header().Get("ETag") {
			t.Errorf("%s and %s", first.Body, again.Body)
		}
		w.want(409, oci.CodeConflict, "POST", path, body, "Idempotency-Key: k-2")
	}
}

func TestPolicies(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	rec := w.want(201, "", "POST", "/policies", `{"name":"team","rules":[{"repositories":["team/*"],"actions":["pull","push","pull"]}]}`)
	if rec.Header().Get("Location") != "/api/v1/policies/team" || rec.Header().Get("ETag") == "" {
		t.Errorf("headers %v", rec.Header())
	}
	etag := rec.Header().Get("ETag")
	if p := decodeBody[client.Policy](t, rec); len(p.Rules) != 1 || len(p.Rules[0].Actions) != 2 || p.Anonymous || p.BuiltIn {
		t.Errorf("%+v", p)
	}
	for body, want := range map[string]string{
		`{"name":"x"}`:              "rules is missing",
		`{"rules":[]}`:              "name is missing",
		`{"name":"X","rules":[]}`:   "invalid policy name",
		`{"name":"x","rules":[{}]}`: "rules[0]: a rule needs",
		`{"name":"x","rules":{}}`:   "rules has a value of the wrong type",
		`{"name":"x","rule":[]}`:    "unknown field",
		`{"name":"x","rules":[{"repositories":["a"],"actions":["pull"]},{"repositories":["A"],"actions":["pull"]}]}`: "rules[1]: invalid repository glob",
		`{"name":"x","rules":[{"repositories":["a"],"actions":["fly"]}]}`:                                            "rules[0]: unknown action",
		`{"name":"x","rules":[{"repositories":["a"],"actions":["pull"],"action":"x"}]}`:                              "unknown field",
		`{"name":"x","rules":[` + strings.Repeat(`{"repositories":["a"],"actions":["pull"]},`, 100) + `{}]}`:         "at most 100",
	} {
		if rec := w.want(400, oci.CodeInvalid, "POST", "/policies", body); !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%.60s: got %s, want %q", body, rec.Body, want)
		}
	}
	w.want(409, oci.CodeConflict, "POST", "/policies", `{"name":"team","rules":[]}`)
	w.want(409, oci.CodeConflict, "POST", "/policies", `{"name":"admin","rules":[]}`)
	w.want(409, oci.CodeConflict, "PUT", "/policies/read-only", `{"rules":[]}`)
	w.want(409, oci.CodeConflict, "DELETE", "/policies/read-write", "")
	w.want(412, oci.CodePreconditionFailed, "PUT", "/policies/team", `{"rules":[]}`, `If-Match: "stale"`)
	w.want(200, "", "PUT", "/policies/team", `{"name":"team","rules":[],"anonymous":true}`, "If-Match: "+etag)
	w.want(400, oci.CodeInvalid, "PUT", "/policies/team", `{"name":"other","rules":[]}`)
	w.want(400, oci.CodeInvalid, "PUT", "/policies/team", `{"anonymous":false}`)
	w.want(404, oci.CodeNotFound, "PUT", "/policies/other", `{"rules":[]}`)
	w.want(400, oci.CodeInvalid, "GET", "/policies/UPPER", "")

	w.want(201, "", "POST", "/users", `{"username":"ci","policies":["team"]}`)
	rec = w.want(409, oci.CodeConflict, "DELETE", "/policies/team", "")
	if !strings.Contains(rec.Body.String(), `"users":["ci"]`) {
		t.Errorf("detail of %s", rec.Body)
	}
	w.want(204, "", "DELETE", "/users/ci", "")
	w.want(412, oci.CodePreconditionFailed, "DELETE", "/policies/team", "", "If-Match: "+etag)
	w.want(204, "", "DELETE", "/policies/team", "")
	w.want(404, oci.CodeNotFound, "GET", "/policies/team", "")
	if rec := w.want(200, "", "GET", "/policies/admin", ""); rec.Header().Get("ETag") != `"built-in"` || !decodeBody[client.Policy](t, rec).BuiltIn {
		t.Errorf("headers %v", rec.Header())
	}
	if p := decodeBody[client.Page[client.Policy]](t, w.want(200, "", "GET", "/policies", "")); len(p.Items) != 3 || p.Next != "" {
		t.Errorf("%+v", p)
	}
}

func TestRepositories(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	w.push("team/app", "v1", "v10", "latest")
	w.push("team", "x")
	w.want(200, "", "GET", "/repositories/team%2Fapp", "")
	w.want(404, oci.CodeNameUnknown, "GET", "/repositories/other", "")
	w.want(400, oci.CodeNameInvalid, "GET", "/repositories/Team", "")
	w.want(400, oci.CodeNameInvalid, "GET", "/repositories/team%2F..%2Fother", "")
	w.want(400, oci.CodeNameInvalid, "DELETE", "/repositories/%2e%2e", "")
	tags := decodeBody[client.Page[client.Tag]](t, w.want(200, "", "GET", "/repositories/team%2Fapp/tags", ""))
	if got := fmt.Sprint(tags.Items); !strings.HasPrefix(got, "[{latest ") || len(tags.Items) != 3 || tags.Items[1].Name != "v1" || tags.Items[2].Name != "v10" {
		t.Errorf("%+v", tags)
	}
	w.want(404, oci.CodeNameUnknown, "GET", "/repositories/other/tags", "")
	rec := w.want(200, "", "GET", "/repositories/team%2Fapp/tags/v1", "")
	etag := rec.Header().Get("ETag")
	if tag := decodeBody[client.Tag](t, rec); etag != `"`+tag.Digest.String()+`"` {
		t.Errorf("%+v, ETag %s", tag, etag)
	}
	w.want(404, oci.CodeManifestUnknown, "GET", "/repositories/team%2Fapp/tags/v2", "")
	w.want(400, oci.CodeTagInvalid, "GET", "/repositories/team%2Fapp/tags/-v", "")
	w.want(412, oci.CodePreconditionFailed, "DELETE", "/repositories/team%2Fapp/tags/v1", "", `If-Match: "sha256:x"`)
	w.want(404, oci.CodeManifestUnknown, "DELETE", "/repositories/team%2Fapp/tags/v2", "", `If-Match: "sha256:x"`)
	w.want(204, "", "DELETE", "/repositories/team%2Fapp/tags/v1", "", "If-Match: "+etag)
	w.want(404, oci.CodeManifestUnknown, "DELETE", "/repositories/team%2Fapp/tags/v1", "")
	w.want(204, "", "DELETE", "/repositories/team%2Fapp/tags/v10", "")
	w.want(204, "", "DELETE", "/repositories/team?force=true", "")
	w.want(404, oci.CodeNameUnknown, "DELETE", "/repositories/team", "")
	w.want(200, "", "GET", "/repositories/team%2Fapp", "") // one below it stays
}

func TestPutTag(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	w.push("team/app", "v1")
	one := decodeBody[client.Tag](t, w.want(200, "", "GET", "/repositories/team%2Fapp/tags/v1", "")).Digest.String()
	two := w.pushAnother("two", "team/app", "v2")
	body := func(digest string) string { return fmt.Sprintf(`{"digest":%q}`, digest) }
	const stable = "/repositories/team%2Fapp/tags/stable"
	points := func(want string) {
		t.Helper()
		if got := decodeBody[client.Tag](t, w.want(200, "", "GET", stable, "")); got.Digest.String() != want {
			t.Errorf("the tag points at %s, want %s", got.Digest, want)
		}
	}

	w.want(412, oci.CodePreconditionFailed, "PUT", stable, body(one), `If-Match: "`+one+`"`)
	w.want(404, oci.CodeManifestUnknown, "GET", stable, "")
	rec := w.want(201, "", "PUT", stable, body(one), "If-None-Match: *")
	if rec.Header().Get("Location") != client.BasePath+stable || rec.Header().Get("ETag") != `"`+one+`"` {
		t.Errorf("%v", rec.Header())
	}
	if got := decodeBody[client.Tag](t, rec); got.Name != "stable" || got.Digest.String() != one || got.MediaType != indexType || got.Size == 0 {
		t.Errorf("%+v", got)
	}
	w.want(200, "", "PUT", stable, body(one), "If-None-Match: *") // the answer was lost
	w.want(412, oci.CodePreconditionFailed, "PUT", stable, body(two), "If-None-Match: *")
	w.want(412, oci.CodePreconditionFailed, "PUT", stable, body(two), `If-Match: "`+two+`"`)
	points(one)
	w.want(200, "", "PUT", stable, body(two), `If-Match: "`+one+`"`)
	points(two)
	w.want(200, "", "PUT", stable, body(two), `If-Match: "`+one+`"`)
	w.want(200, "", "PUT", stable, body(one))
	points(one)

	absent := oci.FromBytes([]byte("absent")).String()
	w.want(404, oci.CodeManifestUnknown, "PUT", stable, body(absent))
	w.want(404, oci.CodeManifestUnknown, "PUT", "/repositories/other/tags/v1", body(one)) // another's manifest
	w.want(400, oci.CodeDigestInvalid, "PUT", stable, body("sha256:x"))
	w.want(400, oci.CodeInvalid, "PUT", stable, `{}`)
	w.want(400, oci.CodeInvalid, "PUT", stable, `{"digest":1}`)
	w.want(400, oci.CodeInvalid, "PUT", stable, body(one), "If-Match: x")
	w.want(400, oci.CodeTagInvalid, "PUT", "/repositories/team%2Fapp/tags/-v", body(one))
	w.want(400, oci.CodeNameInvalid, "PUT", "/repositories/Team/tags/v", body(one))
	points(one)
	w.want(404, oci.CodeNameUnknown, "GET", "/repositories/other", "")
}

// TestPutTagOvertaken: somebody else moves the tag while a conditional request
// is under way.
func TestPutTagOvertaken(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	w.push("team/app", "stable")
	one := decodeBody[client.Tag](t, w.want(200, "", "GET", "/repositories/team%2Fapp/tags/stable", "")).Digest.String()
	two := w.pushAnother("two", "team/app", "v2")
	w.want(200, "", "GET", "/server", "") // the password is remembered
	done := false
	w.faults.On(func(c storagetest.Call) storagetest.Fault {
		if c.Op == "Records.Put" && strings.HasSuffix(c.Key, "/tags/stable/current/link") && !done {
			done = true
			w.pushAnother("three", "team/app", "stable")
		}
		return storagetest.None
	})
	w.want(412, oci.CodePreconditionFailed, "PUT", "/repositories/team%2Fapp/tags/stable", fmt.Sprintf(`{"digest":%q}`, two), `If-Match: "`+one+`"`)
	if !done {
		t.Error("nobody came in between")
	}
}

func TestReadOnly(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.ReadOnly = true }).withAdmin()
	w.push("team/app", "v1")
	one := decodeBody[client.Tag](t, w.want(200, "", "GET", "/repositories/team%2Fapp/tags/v1", "")).Digest
	w.want(405, oci.CodeUnsupported, "PUT", "/repositories/team%2Fapp/tags/v2", fmt.Sprintf(`{"digest":%q}`, one))
}

func TestRepositorySettings(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	rec := w.want(201, "", "POST", "/repositories", `{"name":"team/app","description":"d","anonymous_pull":true,"immutable_tag_patterns":["v*","1.*","v*"]}`)
	etag := rec.Header().Get("ETag")
	made := decodeBody[client.Repository](t, rec)
	if rec.Header().Get("Location") != "/api/v1/repositories/team%2Fapp" || etag != `"`+made.Revision+`"` || made.CreatedAt.IsZero() ||
		!made.AnonymousPull || made.Description != "d" || strings.Join(made.ImmutableTagPatterns, " ") != "1.* v*" {
		t.Errorf("%+v, headers %v", made, rec.Header())
	}
	w.want(409, oci.CodeConflict, "POST", "/repositories", `{"name":"team/app"}`)
	if got := decodeBody[client.Repository](t, w.want(200, "", "GET", "/repositories/team%2Fapp", "")); got.Revision != made.Revision {
		t.Errorf("%+v", got)
	}
	w.want(304, "", "GET", "/repositories/team%2Fapp", "", "If-None-Match: "+etag)
	if tags := decodeBody[client.Page[client.Tag]](t, w.want(200, "", "GET", "/repositories/team%2Fapp/tags", "")); len(tags.Items) != 0 {
		t.Errorf("%+v", tags)
	}
	for body, want := range map[string]string{
		`{}`:                           "name is missing",
		`{"name":"x","quota":1}`:       "unknown field",
		`{"name":"x","description":1}`: "description has a value of the wrong type",
		`{"name":"x","immutable_tag_patterns":["v**"]}`:                                                 "invalid tag pattern",
		`{"name":"x","immutable_tag_patterns":[""]}`:                                                    "write * for every tag",
		`{"name":"x","description":"\u0000"}`:                                                           "control character",
		`{"name":"x","immutable_tag_patterns":["v"` + strings.Repeat(`,"v"`, oci.MaxTagPatterns) + `]}`: "at most 20",
	} {
		if rec := w.want(400, oci.CodeInvalid, "POST", "/repositories", body); !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%.60s: got %s, want %q", body, rec.Body, want)
		}
	}
	w.want(400, oci.CodeNameInvalid, "POST", "/repositories", `{"name":"Team"}`)

	const put = `{"anonymous_pull":false,"immutable_tag_patterns":["v*"]}`
	w.want(412, oci.CodePreconditionFailed, "PUT", "/repositories/team%2Fapp", put, `If-Match: "stale"`)
	w.want(400, oci.CodeInvalid, "PUT", "/repositories/team%2Fapp", `{"anonymous_pull":true}`)
	w.want(400, oci.CodeInvalid, "PUT", "/repositories/team%2Fapp", `{"immutable_tag_patterns":[]}`)
	w.want(400, oci.CodeInvalid, "PUT", "/repositories/team%2Fapp", `{"name":"team",`+put[1:])
	w.want(404, oci.CodeNameUnknown, "PUT", "/repositories/other", put)
	if got := decodeBody[client.Repository](t, w.want(200, "", "PUT", "/repositories/team%2Fapp", put, "If-Match: "+etag)); got.Revision == made.Revision || got.Description != "" || got.AnonymousPull {
		t.Errorf("%+v", got)
	}

	w.push("team/app", "v1", "latest")
	w.push("pushed", "v1")
	if rec := w.want(200, "", "GET", "/repositories/pushed", ""); rec.Header().Get("ETag") != `"default"` || !strings.Contains(rec.Body.String(), `"revision":"default"`) || strings.Contains(rec.Body.String(), "_at") {
		t.Errorf("%s, headers %v", rec.Body, rec.Header())
	}
	w.want(409, oci.CodeConflict, "POST", "/repositories", `{"name":"pushed"}`)
	list := decodeBody[client.Page[client.Repository]](t, w.want(200, "", "GET", "/repositories", ""))
	if len(list.Items) != 2 || list.Items[0].Name != "pushed" || list.Items[0].ImmutableTagPatterns == nil || strings.Join(list.Items[1].ImmutableTagPatterns, " ") != "v*" {
		t.Errorf("%+v", list)
	}
	w.want(412, oci.CodePreconditionFailed, "PUT", "/repositories/pushed", put, `If-Match: "x"`)
	w.want(200, "", "PUT", "/repositories/pushed", `{"anonymous_pull":false,"immutable_tag_patterns":[]}`, `If-Match: "default"`)
	w.want(412, oci.CodePreconditionFailed, "PUT", "/repositories/pushed", put, `If-Match: "default"`)

	w.want(400, oci.CodeInvalid, "DELETE", "/repositories/pushed?force=1", "")
	w.want(412, oci.CodePreconditionFailed, "DELETE", "/repositories/pushed?force=true", "", `If-Match: "x"`)
	if rec := w.want(409, oci.CodeConflict, "DELETE", "/repositories/pushed", ""); !strings.Contains(rec.Body.String(), "it has 1 tag and 1 manifest;") || !strings.Contains(rec.Body.String(), `{"manifests":1,"tags":1}`) {
		t.Errorf("%s", rec.Body)
	}
	w.want(204, "", "DELETE", "/repositories/pushed?force=true", "")
	rec = w.want(403, oci.CodeDenied, "DELETE", "/repositories/team%2Fapp?force=true", "")
	if !strings.Contains(rec.Body.String(), "tag v1") {
		t.Errorf("%s", rec.Body)
	}
	w.want(403, oci.CodeDenied, "DELETE", "/repositories/team%2Fapp/tags/v1", "")
	w.want(204, "", "DELETE", "/repositories/team%2Fapp/tags/latest", "")
	w.want(200, "", "PUT", "/repositories/team%2Fapp", `{"anonymous_pull":false,"immutable_tag_patterns":[]}`)
	w.want(204, "", "DELETE", "/repositories/team%2Fapp?force=true", "")
	w.want(404, oci.CodeNameUnknown, "GET", "/repositories/team%2Fapp", "")
}

func TestDeletesDisabled(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.DeletesDisabled = true }).withAdmin()
	w.push("team/app", "v1")
	w.want(405, oci.CodeUnsupported, "DELETE", "/repositories/team%2Fapp", "")
	w.want(405, oci.CodeUnsupported, "DELETE", "/repositories/team%2Fapp/tags/v1", "")
	w.want(200, "", "GET", "/repositories/team%2Fapp/tags/v1", "")
	w.want(201, "", "POST", "/users", `{"username":"ci"}`)
	w.want(204, "", "DELETE", "/users/ci", "") // users are no content
	if s := decodeBody[client.Server](t, w.want(200, "", "GET", "/server", "")); s.DeleteEnabled {
		t.Error("the server says that deletes are enabled")
	}
}

func TestPages(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	for _, name := range []string{"a", "b", "c-d", "c", "c.e"} {
		w.want(201, "", "POST", "/users", fmt.Sprintf(`{"username":%q}`, name))
		w.push("r/"+name, name, name+"-2")
	}
	for _, list := range []struct{ path, want string }{
		{"/users", "a b c c-d c.e root"},
		{"/repositories", "r/a r/b r/c r/c-d r/c.e"},
		{"/repositories/r%2Fa/tags", "a a-2"},
		{"/policies", "admin read-only read-write"},
	} {
		for limit := 1; limit <= 7; limit++ {
			var got []string
			query, requests := fmt.Sprintf("?limit=%d", limit), 0
			for query != "" {
				rec := w.want(200, "", "GET", list.path+query, "")
				page := decodeBody[client.Page[map[string]any]](t, rec)
				if len(page.Items) > limit || requests > 10 {
					t.Fatalf("%s%s: %d items", list.path, query, len(page.Items))
				}
				for _, item := range page.Items {
					name, _ := item["name"].(string)
					if item["username"] != nil {
						name, _ = item["username"].(string)
					}
					got = append(got, name)
				}
				requests++
				link := rec.Header().Get("Link")
				if (link == "") != (page.Next == "") {
					t.Errorf("Link %q and next %q", link, page.Next)
				}
				query, _, _ = strings.Cut(strings.TrimPrefix(link, "<"), ">")
			}
			if s := strings.Join(got, " "); s != list.want {
				t.Errorf("%s in pages of %d: %s, want %s", list.path, limit, s, list.want)
			}
			if n := len(strings.Fields(list.want)); requests != (n+limit-1)/limit {
				t.Errorf("%s in pages of %d took %d requests", list.path, limit, requests)
			}
		}
	}
	if p := decodeBody[client.Page[client.User]](t, w.want(200, "", "GET", "/users?after=zzz", "")); p.Items == nil || len(p.Items) != 0 {
		t.Errorf("%+v", p)
	}
}

func FuzzDecodePolicy(f *testing.F) {
	for _, s := range []string{`{}`, `{"name":"x","rules":[{"repositories":["a/*"],"actions":["pull"]}]}`, `{"rules":null}`, `[`, `{"name":1}`, `{"rules":[null]}`, `{"rules":[{"repositories":[""]}]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w := &world{T: t}
		var body policyBody
		if err := decode(w.request("POST", "/policies", s), &body); err != nil {
			if c := oci.ErrorCode(err); c != oci.CodeInvalid {
				t.Errorf("%v", err)
			}
			return
		}
		spec, err := body.spec("x")
		if err != nil && oci.ErrorCode(err) != oci.CodeInvalid {
			t.Errorf("%v", err)
		}
		if err == nil && len(spec.Rules) != len(*body.Rules) {
			t.Error("rules were lost")
		}
	})
}

func FuzzDecodeRepository(f *testing.F) {
	for _, s := range []string{`{}`, `{"name":"x","immutable_tag_patterns":["v*"],"anonymous_pull":true}`, `{"immutable_tag_patterns":null}`, `[`, `{"description":"\u0000"}`, `{"immutable_tag_patterns":[null]}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w := &world{T: t}
		var body repositoryBody
		err := decode(w.request("POST", "/repositories", s), &body)
		if err == nil {
			_, err = body.spec()
		}
		if err != nil && oci.ErrorCode(err) != oci.CodeInvalid {
			t.Errorf("%v", err)
		}
	})
}

func FuzzConditions(f *testing.F) {
	for _, s := range []string{"", "*", `"a"`, `W/"a"`, `"a", "b"`, `"`, `""`, `a`, `,`, `"a" "b"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w := &world{T: t}
		r := w.request("PUT", "/users/a", "")
		r.Header["If-Match"] = []string{s}
		may, err := condition(r)
		if err == nil && may != nil && may("a-revision") && !strings.Contains(s, "a-revision") && !strings.Contains(s, "*") {
			t.Errorf("%q lets everything pass", s)
		}
	})
}
