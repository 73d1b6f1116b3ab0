package adminapi

import (
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func TestReplications(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	const body = `{"url":"https://DR.example/mirror/","username":"me","password":"the destination's password","repositories":["team/**"],"tags":["v*","latest"]}`
	w.want(404, oci.CodeNotFound, "GET", "/replications/dr", "")
	w.want(412, oci.CodePreconditionFailed, "PUT", "/replications/dr", body, `If-Match: "x"`)
	rec := w.want(201, "", "PUT", "/replications/dr", body, "If-None-Match: *")
	etag := rec.Header().Get("ETag")
	if rec.Header().Get("Location") != client.BasePath+"/replications/dr" || strings.Contains(rec.Body.String(), "the destination's") {
		t.Errorf("%v %s", rec.Header(), rec.Body)
	}
	r := decodeBody[client.Replication](t, rec)
	if r.URL != "https://dr.example/mirror" || !r.HasPassword || !r.Enabled || r.Problem != "" || strings.Join(r.Repositories, " ") != "team/**" || strings.Join(r.Tags, " ") != "latest v*" {
		t.Errorf("%+v", r)
	}
	w.want(200, "", "PUT", "/replications/dr", body, "If-None-Match: *") // the answer was lost
	w.want(412, oci.CodePreconditionFailed, "PUT", "/replications/dr", strings.Replace(body, "the d", "another d", 1), "If-None-Match: *")
	kept := decodeBody[client.Replication](t, w.want(200, "", "PUT", "/replications/dr", `{"url":"https://dr.example","username":"me","enabled":false}`, "If-Match: "+etag))
	if kept.CredentialRevision != r.CredentialRevision || kept.Enabled || len(kept.Repositories)+len(kept.Tags) != 0 {
		t.Errorf("%+v", kept)
	}
	w.want(412, oci.CodePreconditionFailed, "DELETE", "/replications/dr", "", "If-Match: "+etag)
	w.want(201, "", "PUT", "/replications/open", `{"url":"http://plain.example","insecure":true}`)
	page := decodeBody[client.Page[client.Replication]](t, w.want(200, "", "GET", "/replications?limit=1", ""))
	if len(page.Items) != 1 || page.Items[0].Name != "dr" || page.Next != "dr" {
		t.Errorf("%+v", page)
	}
	for name, bad := range map[string]string{
		"dr": `{"url":"https://evil.example","username":"me"}`, "a": `{"url":"dr.example"}`, "b": `{}`, "Dr": body, "c": `{"name":"d","url":"https://dr.example"}`,
		"e": `{"url":"https://dr.example","username":"me"}`, "f": `{"url":"http://dr.example"}`, "g": `{"url":"https://dr.example","password":"x"}`,
		"h": `{"url":"https://dr.example","repositories":["***"]}`, "i": `{"url":"https://dr.example","tags":[""]}`, "j": `{"url":"https://me:pw@dr.example"}`,
		"k": `{"url":"https://dr.example","username":"me","password":""}`,
	} {
		w.want(400, oci.CodeInvalid, "PUT", "/replications/"+name, bad)
	}
	w.want(204, "", "DELETE", "/replications/dr", "")
	w.want(404, oci.CodeNotFound, "DELETE", "/replications/dr", "")
}
