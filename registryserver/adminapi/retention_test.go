package adminapi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

func TestRetentionPolicies(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	const path, globs = "/retention-policies", `"repositories":["team/**"]`
	rec := w.want(201, "", "POST", path, `{"name":"ci",`+globs+`,"rules":[{"action":"delete","except_newest":3,"tag_patterns":["b","a"]}]}`, "Idempotency-Key: k")
	etag := rec.Header().Get("ETag")
	p := decodeBody[client.RetentionPolicy](t, rec)
	if rec.Header().Get("Location") != "/api/v1/retention-policies/ci" || etag != `"`+p.Revision+`"` || p.Rules[0].ExceptNewest != 3 || p.Rules[0].TagPatterns[0] != "a" {
		t.Errorf("%+v, headers %v", p, rec.Header())
	}
	w.want(201, "", "POST", path, `{"name":"ci",`+globs+`,"rules":[{"action":"delete","except_newest":3}]}`, "Idempotency-Key: k")
	w.want(409, oci.CodeConflict, "POST", path, `{"name":"ci",`+globs+`,"rules":[{"action":"keep","newest":3}]}`)
	for body, want := range map[string]string{
		`{` + globs + `,"rules":[{"action":"keep","newest":1}]}`:                                                              "name is missing",
		`{"name":"x",` + globs + `}`:                                                                                          "repositories and rules are needed",
		`{"name":"x","rules":[{"action":"keep","newest":1}]}`:                                                                 "repositories and rules are needed",
		`{"name":"X",` + globs + `,"rules":[{"action":"keep","newest":1}]}`:                                                   "invalid policy name",
		`{"name":"x",` + globs + `,"rules":[]}`:                                                                               "it needs 1 to 50",
		`{"name":"x","repositories":[],"rules":[{"action":"keep","newest":1}]}`:                                               "it needs 1 to 100",
		`{"name":"x",` + globs + `,"rules":[{"action":"keep","newest":1},{"action":"delete"}]}`:                               "rules[1]: a rule with the action delete needs",
		`{"name":"x",` + globs + `,"rules":[{"action":"keep","newest":1.5}]}`:                                                 "wrong type",
		`{"name":"x",` + globs + `,"rules":[{"action":"keep","latest":1}]}`:                                                   "unknown field",
		`{"name":"x",` + globs + `,"rules":[` + strings.Repeat(`{"action":"keep","newest":1},`, 50) + `{}]}`:                  "it needs 1 to 50",
		`{"name":"x",` + globs + `,"description":"` + strings.Repeat("x", 2000) + `","rules":[{"action":"keep","newest":1}]}`: "description",
	} {
		if rec := w.want(400, oci.CodeInvalid, "POST", path, body); !strings.Contains(rec.Body.String(), want) {
			t.Errorf("%.80s: got %s, want %q", body, rec.Body, want)
		}
	}
	w.want(200, "", "GET", path+"/ci", "")
	w.want(304, "", "GET", path+"/ci", "", "If-None-Match: "+etag)
	w.want(404, oci.CodeNotFound, "GET", path+"/other", "")
	w.want(400, oci.CodeInvalid, "GET", path+"/UPPER", "")
	const rules = `{` + globs + `,"rules":[{"action":"keep","newest":1}]}`
	w.want(412, oci.CodePreconditionFailed, "PUT", path+"/ci", rules, `If-Match: "stale"`)
	w.want(404, oci.CodeNotFound, "PUT", path+"/other", rules)
	w.want(400, oci.CodeInvalid, "PUT", path+"/ci", `{"name":"other",`+globs+`,"rules":[{"action":"keep","newest":1}]}`)
	w.want(400, oci.CodeInvalid, "PUT", path+"/ci", `{`+globs+`}`)
	w.want(200, "", "PUT", path+"/ci", rules, "If-Match: "+etag)
	if all := decodeBody[client.Page[client.RetentionPolicy]](t, w.want(200, "", "GET", path, "")); len(all.Items) != 1 || all.Items[0].Rules[0].Newest != 1 {
		t.Errorf("%+v", all)
	}
	w.want(412, oci.CodePreconditionFailed, "DELETE", path+"/ci", "", "If-Match: "+etag)
	w.want(204, "", "DELETE", path+"/ci", "")
	if rec := w.want(404, oci.CodeNotFound, "DELETE", path+"/ci", ""); !strings.Contains(rec.Body.String(), `{"kind":"retention policy","name":"ci"}`) {
		t.Errorf("detail of %s", rec.Body)
	}
}

// A preview in pages, of what is stored and of what somebody is about to store. It
// changes nothing, and is not logged as a change.
func TestRetentionPreview(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Grace = registry.NoGrace }).withAdmin()
	for _, repo := range []string{"team/a", "team/b", "x"} {
		for n := range 4 {
			w.pushAnother(fmt.Sprint(n), repo, fmt.Sprintf("b%d", n))
		}
	}
	const ci = `{"name":"ci","repositories":["team/*"],"rules":[{"action":"delete","except_newest":%d}]}`
	w.want(201, "", "POST", "/retention-policies", fmt.Sprintf(ci, 2))
	w.logs.Reset()
	preview := func(body string) string {
		var all []string
		for after := ""; ; {
			page := decodeBody[client.Page[client.RetentionVictim]](t, w.want(200, "", "POST", "/retention-preview", fmt.Sprintf(`{"limit":3,"after":%q%s}`, after, body)))
			for _, v := range page.Items {
				all = append(all, v.Repository+":"+v.Tag)
				if v.Policy != "ci" || v.Rule != 1 || v.Reason == "" || v.Digest.IsZero() || v.PushedAt.IsZero() {
					t.Errorf("%+v", v)
				}
			}
			if after = page.Next; after == "" {
				return strings.Join(all, " ")
			}
		}
	}
	for body, want := range map[string]string{
		"":                                "team/a:b0 team/a:b1 team/b:b0 team/b:b1",
		`,"repositories":["*/b"]`:         "team/b:b0 team/b:b1",
		`,"policy":` + fmt.Sprintf(ci, 3): "team/a:b0 team/b:b0",
		`,"policy":` + fmt.Sprintf(ci, 9): "",
		`,"repositories":["x","team/a"]`:  "team/a:b0 team/a:b1",
	} {
		if got := preview(body); got != want {
			t.Errorf("preview of %s: %q, want %q", body, got, want)
		}
	}
	if strings.Contains(w.logs.String(), "changed by the admin API") {
		t.Errorf("a preview is logged as a change: %s", w.logs)
	}
	for _, body := range []string{`{"limit":0}`, `{"limit":1001}`} {
		w.want(400, oci.CodePaginationInvalid, "POST", "/retention-preview", body)
	}
	for _, body := range []string{`{"after":"A"}`, `{"after":"a@b"}`, `{"after":"a:sha256:x"}`, `{"after":"a b"}`, `{"repositories":["A"]}`, `{"policy":{}}`, `{"policy":{"name":"A","repositories":["a"],"rules":[{"action":"keep","newest":1}]}}`, `{"policy":{"name":"a","repositories":["a"],"rules":[{"action":"keep"}]}}`} {
		w.want(400, oci.CodeInvalid, "POST", "/retention-preview", body)
	}
}
