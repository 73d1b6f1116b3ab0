package adminapi

import (
	"fmt"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func TestWebhooks(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	w.want(404, oci.CodeNotFound, "GET", "/webhooks/ci", "")
	w.want(404, oci.CodeNotFound, "PUT", "/webhooks/ci", `{"url":"http://ci/"}`)
	rec := w.want(201, "", "POST", "/webhooks", `{"name":"ci","url":"http://ci/","secret":"a secret to sign with","authorization":"Bearer of news"}`)
	made := decodeBody[client.Webhook](t, rec)
	if rec.Header().Get("Location") != client.BasePath+"/webhooks/ci" || rec.Header().Get("ETag") != `"`+made.Revision+`"` {
		t.Errorf("%v", rec.Header())
	}
	if made.Format != "distribution" || !made.Enabled || made.Blobs || strings.Join(made.Actions, " ") != "push delete" || len(made.Repositories) != 0 || !made.HasSecret || !made.HasAuthorization || made.SecretRevision == "" {
		t.Errorf("%+v", made)
	}
	w.want(409, oci.CodeConflict, "POST", "/webhooks", `{"name":"ci","url":"http://ci/"}`)
	etag := rec.Header().Get("ETag")
	w.want(304, "", "GET", "/webhooks/ci", "", "If-None-Match: "+etag)
	rec = w.want(200, "", "PUT", "/webhooks/ci", `{"url":"https://other/","description":"d","format":"cloudevents","actions":["pull","mount"],"blobs":true,"repositories":["team/*"],"enabled":false,"authorization":""}`, "If-Match: "+etag)
	if got := decodeBody[client.Webhook](t, rec); got.URL != "https://other/" || got.Description != "d" || got.Format != "cloudevents" || got.Enabled || !got.Blobs || !got.HasSecret || got.HasAuthorization || got.SecretRevision == made.SecretRevision || got.CreatedAt != made.CreatedAt {
		t.Errorf("%+v", got)
	}
	w.want(412, oci.CodePreconditionFailed, "PUT", "/webhooks/ci", `{"url":"https://other/"}`, "If-Match: "+etag)
	w.want(201, "", "POST", "/webhooks", `{"name":"b","url":"http://ci/"}`, "Idempotency-Key: k")
	w.want(201, "", "POST", "/webhooks", `{"name":"b","url":"http://ci/"}`, "Idempotency-Key: k") // the answer was lost
	page := decodeBody[client.Page[client.Webhook]](t, w.want(200, "", "GET", "/webhooks?limit=1", ""))
	if len(page.Items) != 1 || page.Items[0].Name != "b" || page.Next != "b" {
		t.Errorf("%+v", page)
	}
	w.want(412, oci.CodePreconditionFailed, "DELETE", "/webhooks/ci", "", "If-Match: "+etag)
	w.want(204, "", "DELETE", "/webhooks/ci", "")
	w.want(404, oci.CodeNotFound, "DELETE", "/webhooks/ci", "")
	if strings.Contains(w.logs.String(), "sign with") || strings.Contains(w.logs.String(), "of news") {
		t.Error("a secret is logged")
	}
}

// TestBadWebhooks: what is wrong is named, and secrets are never repeated.
func TestBadWebhooks(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	w.want(201, "", "POST", "/webhooks", `{"name":"ci","url":"http://ci/"}`)
	for body, want := range map[string]string{
		`{"name":"x"}`:                                                                                     "url is missing",
		`{"url":"http://ci/"}`:                                                                             "name is missing",
		`{"name":"X","url":"http://ci/"}`:                                                                  "invalid webhook name",
		`{"name":"x","url":"ci.example.com"}`:                                                              "not an absolute http or https URL",
		`{"name":"x","url":"file:///etc/passwd"}`:                                                          "not an absolute http or https URL",
		`{"name":"x","url":"http://a:hunter2@ci/"}`:                                                        "user name or password",
		`{"name":"x","url":"http://ci/","format":"xml"}`:                                                   "use distribution or cloudevents",
		`{"name":"x","url":"http://ci/","actions":[]}`:                                                     "no actions",
		`{"name":"x","url":"http://ci/","actions":["pushed"]}`:                                             "use push, pull, delete or mount",
		`{"name":"x","url":"http://ci/","actions":["push","push"]}`:                                        "named twice",
		`{"name":"x","url":"http://ci/","repositories":["Team/["]}`:                                        "glob",
		`{"name":"x","url":"http://ci/","secret":"hunter2"}`:                                               "the secret has 7 bytes; use 16 to 4096",
		`{"name":"x","url":"http://ci/","authorization":"hunter2\nX: y"}`:                                  "cannot be a header",
		`{"name":"x","url":"http://ci/","secrets":"hunter2"}`:                                              "unknown field",
		`{"name":"x","url":"http://ci/","description":"` + strings.Repeat("x", 1025) + `"}`:                "at most 1024",
		fmt.Sprintf(`{"name":"x","url":"http://ci/%s"}`, strings.Repeat("x", 2048)):                        "at most 2048",
		fmt.Sprintf(`{"name":"x","url":"http://ci/","repositories":["a"%s]}`, strings.Repeat(`,"a"`, 100)): "at most 100",
	} {
		rec := w.want(400, oci.CodeInvalid, "POST", "/webhooks", body)
		if !strings.Contains(rec.Body.String(), want) || strings.Contains(rec.Body.String(), "hunter2") {
			t.Errorf("%.80s: %s, want %s", body, rec.Body, want)
		}
	}
	rec := w.want(400, oci.CodeInvalid, "PUT", "/webhooks/ci", `{"name":"other","url":"http://ci/"}`)
	if !strings.Contains(rec.Body.String(), "cannot be renamed") {
		t.Errorf("%s", rec.Body)
	}
	w.want(400, oci.CodeInvalid, "GET", "/webhooks/-", "")
	w.want(400, oci.CodeInvalid, "DELETE", "/webhooks/-", "")
	if strings.Contains(w.logs.String(), "hunter2") {
		t.Error("a secret is logged")
	}
}
