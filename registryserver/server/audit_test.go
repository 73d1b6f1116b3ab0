package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/registrykit/terraform-provider-registry/registryserver/audit"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

const auditedServer = "admin: {username: root, password: correct-horse}\nhttp: {secret: s}\naudit: {enabled: true}"

// request sends a request with a body.
func (s *Server) request(method, target, authorization, contentType, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = "192.0.2.7:4711"
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("User-Agent", "a client")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

// events returns what the audit log has in the storage, as words.
func (s *Server) events(t *testing.T) (words []string) {
	t.Helper()
	s.flushAudit(t.Context())
	err := audit.Read(t.Context(), s.records, time.Time{}, func(e audit.Event) error {
		allowed := "allowed"
		if !e.Allowed {
			allowed = "refused"
		}
		parts := []string{e.Action, allowed, fmt.Sprint(e.Status), e.User, e.Repository, e.Reference, strings.Join(e.Tags, ",")}
		words = append(words, strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " "))
		if e.Client != "192.0.2.7" || e.UserAgent != "a client" || e.RequestID == "" || time.Since(e.Time) > time.Minute || e.Method == "" || e.Path == "" {
			t.Errorf("event %+v", e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return words
}

// TestAudit: what is noted of what is done, in the log and in the storage.
func TestAudit(t *testing.T) {
	s, log := newTestServer(t, auditedServer)
	root, reader := basic("root", "correct-horse"), basic("joe", "a password of joe")
	blob := "{}"
	digest := oci.FromBytes([]byte(blob)).String()
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/x","digest":%q,"size":2},"layers":[]}`, digest)
	const kind = "application/vnd.oci.image.manifest.v1+json"
	image := oci.FromBytes([]byte(manifest)).String()
	for _, c := range []struct {
		method, target, auth, kind, body string
		status                           int
		want                             string // "": nothing is noted
	}{
		{"GET", "/v2/", "", "", "", 401, ""},
		{"GET", "/v2/team/app/manifests/v1", "", "", "", 401, ""},
		{"GET", "/healthz", "", "", "", 200, ""},
		{"GET", "/v2/", root, "", "", 200, ""},
		{"GET", "/v2/", basic("root", "wr0ng-s3cret"), "", "", 401, "login refused 401"},
		{"GET", "/token", basic("my-s3cret-as-a-name", "x"), "", "", 401, "login refused 401"},
		{"POST", "/token", "", "application/x-www-form-urlencoded", "grant_type=password&username=root&password=wr0ng-s3cret", 401, "login refused 401"},
		{"GET", "/token?scope=repository:team/app:pull", root, "", "", 200, ""},
		{"POST", "/api/v1/users", root, "application/json", `{"username":"joe","password":"a password of joe","policies":["read-only"]}`, 201, "admin allowed 201 root"},
		{"GET", "/api/v1/users", root, "", "", 200, ""},
		{"GET", "/api/v1/users", reader, "", "", 403, "admin refused 403 joe"},
		{"POST", "/v2/team/app/blobs/uploads/?digest=" + digest, root, "application/octet-stream", blob, 201, ""},
		{"POST", "/v2/team/app/blobs/uploads/", reader, "", "", 403, "push refused 403 joe team/app"},
		{"HEAD", "/v2/team/app/blobs/" + digest, root, "", "", 200, ""},
		{"PUT", "/v2/team/app/manifests/v1", root, kind, manifest, 201, "push allowed 201 root team/app v1"},
		{"PUT", "/v2/team/app/manifests/" + image + "?tag=a&tag=b", root, kind, manifest, 201, "push allowed 201 root team/app " + image + " a,b"},
		{"PUT", "/v2/team/app/manifests/v2", reader, kind, manifest, 403, "push refused 403 joe team/app v2"},
		{"PUT", "/v2/team/app/manifests/v3", root, kind, "{", 400, "push allowed 400 root team/app v3"},
		{"HEAD", "/v2/team/app/manifests/v1", reader, "", "", 200, ""},
		{"GET", "/v2/team/app/manifests/v1", reader, "", "", 200, "pull allowed 200 joe team/app v1"},
		{"GET", "/v2/team/app/manifests/absent", reader, "", "", 404, "pull allowed 404 joe team/app absent"},
		{"GET", "/v2/team/app/blobs/" + digest, reader, "", "", 200, ""},
		{"GET", "/v2/team/app/tags/list", reader, "", "", 200, ""},
		{"GET", "/api/v1/archives/team/app:v1", reader, "", "", 200, "pull allowed 200 joe team/app v1"},
		{"DELETE", "/v2/team/app/manifests/v1", reader, "", "", 403, "delete refused 403 joe team/app v1"},
		{"DELETE", "/api/v1/repositories/team%2Fapp/tags/a", root, "", "", 204, "admin allowed 204 root team/app a"},
		{"DELETE", "/v2/team/app/manifests/b", root, "", "", 202, "delete allowed 202 root team/app b"},
		{"DELETE", "/v2/team/app/manifests/" + image, root, "", "", 202, "delete allowed 202 root team/app " + image},
		{"DELETE", "/v2/team/app/blobs/" + digest, root, "", "", 202, "delete allowed 202 root team/app " + digest},
		{"GET", "/v2/Nowhere/manifests/x", root, "", "", 400, ""},
	} {
		before, lines := s.events(t), strings.Count(log.String(), "msg=audit")
		w := s.request(c.method, c.target, c.auth, c.kind, c.body)
		if w.Code != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.target, w.Code, w.Body)
		}
		got := s.events(t)[len(before):]
		want := []string{}
		if c.want != "" {
			want = append(want, c.want)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s %s: noted %q, want %q", c.method, c.target, got, want)
		}
		if n := strings.Count(log.String(), "msg=audit") - lines; n != len(want) {
			t.Errorf("%s %s: %d lines in the log, want %d", c.method, c.target, n, len(want))
		}
	}
	for _, secret := range []string{"s3cret", "correct-horse", "a password"} {
		for key, err := range s.records.List(t.Context(), audit.Folder, "") {
			if err != nil {
				t.Fatal(err)
			}
			if rec, err := s.records.Get(t.Context(), key); err != nil || strings.Contains(string(rec.Value), secret) {
				t.Errorf("%s holds a secret (%v): %s", key, err, rec.Value)
			}
		}
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if n := testutil.ToFloat64(s.metrics.auditEvents.WithLabelValues("delete", "true")); n != 3 {
		t.Errorf("%v deletions are counted", n)
	}
	if n := strings.Count(log.String(), "digest="+image); n < 4 {
		t.Errorf("the digest of the image is in %d lines", n)
	}
}

// TestAuditOff: nothing is noted unless it is configured, and pulls, and what is in
// the storage, only if they are.
func TestAuditOff(t *testing.T) {
	for config, want := range map[string][2]bool{ // a pull is in the log, something is in the storage
		"":                                       {false, false},
		"\naudit: {enabled: false}":              {false, false},
		"\naudit: {enabled: true}":               {true, true},
		"\naudit: {enabled: true, pulls: false}": {false, true},
		"\naudit: {enabled: true, storage: false}":                                      {true, false},
		"\naudit: {enabled: true}\nstorage: {maintenance: {readonly: {enabled: true}}}": {true, false},
	} {
		s, log := newTestServer(t, tokenServer+config)
		s.request(http.MethodGet, "/v2/app/manifests/v1", basic("root", "correct-horse"), "", "")
		s.request(http.MethodGet, "/v2/", basic("root", "wrong"), "", "")
		if got := [2]bool{strings.Contains(log.String(), "action=pull"), len(s.events(t)) > 0}; got != want {
			t.Errorf("%q: %v, want %v\n%s", config, got, want, log)
		}
	}
}
