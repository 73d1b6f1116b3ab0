package adminapi

import (
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func TestProxyCaches(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	const body = `{"upstream_url":"https://docker.io","username":"me","password":"the upstream's password"}`
	w.want(404, oci.CodeNotFound, "GET", "/proxy-caches/hub", "")
	w.want(412, oci.CodePreconditionFailed, "PUT", "/proxy-caches/hub", body, `If-Match: "x"`)
	rec := w.want(201, "", "PUT", "/proxy-caches/hub", body, "If-None-Match: *")
	etag := rec.Header().Get("ETag")
	if rec.Header().Get("Location") != client.BasePath+"/proxy-caches/hub" || strings.Contains(rec.Body.String(), "the upstream's") {
		t.Errorf("%v %s", rec.Header(), rec.Body)
	}
	c := decodeBody[client.ProxyCache](t, rec)
	if c.UpstreamURL != "https://registry-1.docker.io" || !c.HasPassword || c.RevalidateAfterSeconds != 600 || c.Problem != "" {
		t.Errorf("%+v", c)
	}
	w.want(200, "", "PUT", "/proxy-caches/hub", body, "If-None-Match: *") // the answer was lost
	w.want(412, oci.CodePreconditionFailed, "PUT", "/proxy-caches/hub", strings.Replace(body, "the up", "another up", 1), "If-None-Match: *")
	w.want(200, "", "PUT", "/proxy-caches/hub", `{"upstream_url":"https://docker.io","username":"me","revalidate_after_seconds":0}`, "If-Match: "+etag)
	bounded := w.want(200, "", "PUT", "/proxy-caches/hub", `{"upstream_url":"https://docker.io","username":"me","revalidate_after_seconds":0,"max_size_bytes":5000000000}`)
	if now := decodeBody[client.ProxyCache](t, bounded); now.MaxSizeBytes != 5_000_000_000 || now.Revision == c.Revision {
		t.Errorf("%+v", now)
	}
	w.want(412, oci.CodePreconditionFailed, "DELETE", "/proxy-caches/hub", "", "If-Match: "+etag)
	w.want(201, "", "PUT", "/proxy-caches/mirror%2Fquay", `{"upstream_url":"https://quay.io"}`)
	page := decodeBody[client.Page[client.ProxyCache]](t, w.want(200, "", "GET", "/proxy-caches?limit=1", ""))
	if len(page.Items) != 1 || page.Items[0].Prefix != "hub" || page.Next != "hub" {
		t.Errorf("%+v", page)
	}
	for path, bad := range map[string]string{
		"hub": `{"upstream_url":"https://evil.example","username":"me"}`, "a": `{"upstream_url":"docker.io"}`, "b": `{}`, "Hub": body,
		"c": `{"prefix":"d","upstream_url":"https://quay.io"}`, "e": `{"upstream_url":"https://quay.io","revalidate_after_seconds":-1}`,
		"i": `{"upstream_url":"https://quay.io","max_size_bytes":-1}`,
		"f": `{"upstream_url":"https://quay.io","username":"me"}`, "g": `{"upstream_url":"http://quay.io","username":"me","password":"x"}`,
	} {
		w.want(400, oci.CodeInvalid, "PUT", "/proxy-caches/"+path, bad)
	}
	w.push("hub/app", "v1") // of a time before the cache
	d := decodeBody[client.Tag](t, w.want(200, "", "GET", "/repositories/hub%2Fapp/tags/v1", "")).Digest
	w.want(405, oci.CodeUnsupported, "PUT", "/repositories/hub%2Fapp/tags/v2", `{"digest":"`+d.String()+`"}`)
	w.want(204, "", "DELETE", "/proxy-caches/hub", "")
	w.want(404, oci.CodeNotFound, "DELETE", "/proxy-caches/hub", "")
	w.want(201, "", "PUT", "/repositories/hub%2Fapp/tags/v2", `{"digest":"`+d.String()+`"}`)
}
