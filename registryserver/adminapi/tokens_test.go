package adminapi

import (
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func TestTokens(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	w.want(201, "", "POST", "/users", `{"username":"ci"}`)
	rec := w.want(201, "", "POST", "/tokens", `{"username":"ci","description":"d","expires_in":600,"access":[{"repositories":["a/*"],"actions":["pull"]}]}`)
	issued := decodeBody[client.Token](t, rec)
	if rec.Header().Get("Location") != "/api/v1/tokens/"+issued.ID || issued.Token == "" || issued.CreatedBy != "root" || !issued.Active ||
		issued.ExpiresAt.Sub(issued.CreatedAt).Seconds() != 600 || len(issued.Access) != 1 || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%+v %v", issued, rec.Header())
	}
	again := w.want(200, "", "GET", "/tokens/"+issued.ID, "")
	page := w.want(200, "", "GET", "/tokens?limit=1", "")
	for _, body := range []string{again.Body.String(), page.Body.String(), w.logs.String()} {
		if strings.Contains(body, issued.Token) || strings.Contains(body, issued.Token[30:]) {
			t.Errorf("the token shows: %s", body)
		}
	}
	hour := decodeBody[client.Token](t, w.want(201, "", "POST", "/tokens", `{"username":"ci"}`))
	if hour.ExpiresAt.Sub(hour.CreatedAt).Hours() != 1 || len(hour.Access) != 0 {
		t.Errorf("%+v", hour)
	}
	first := decodeBody[client.Page[client.Token]](t, w.want(200, "", "GET", "/tokens?limit=1", ""))
	second := decodeBody[client.Page[client.Token]](t, w.want(200, "", "GET", "/tokens?limit=1&after="+first.Next, ""))
	if first.Items[0].ID != issued.ID || len(second.Items) != 1 || second.Items[0].ID != hour.ID || second.Next != "" {
		t.Errorf("pages %+v %+v", first, second)
	}
	for _, body := range []string{
		`{}`, `{"username":"nobody"}`, `{"username":"a/b"}`, `{"username":"ci","expires_in":59}`, `{"username":"ci","expires_in":7776001}`,
		`{"username":"ci","expires_in":-1}`, `{"username":"ci","expires_in":9223372036854775807}`, `{"username":"ci","expires_in":0}`, `{"username":"ci","expires_in":1.5}`,
		`{"username":"ci","access":[]}`, `{"username":"ci","access":[{"repositories":["A"],"actions":["pull"]}]}`, `{"username":"ci","access":[{"repositories":["a"],"actions":[]}]}`,
		`{"username":"ci","token":"rkt_"}`,
	} {
		w.want(400, oci.CodeInvalid, "POST", "/tokens", body)
	}
	w.want(204, "", "DELETE", "/tokens/"+issued.ID, "")
	rec = w.want(404, oci.CodeNotFound, "DELETE", "/tokens/"+issued.ID, "")
	if !strings.Contains(rec.Body.String(), `"kind":"token"`) {
		t.Errorf("%s", rec.Body)
	}
	w.want(404, oci.CodeNotFound, "GET", "/tokens/"+issued.ID, "")
	w.want(404, oci.CodeNotFound, "GET", "/tokens/..%2Fdirectory", "")
}

// TestTokensAsCredentials: an admin's token is an admin, unless it is narrowed;
// nobody else's is.
func TestTokensAsCredentials(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	w.want(201, "", "POST", "/users", `{"username":"ci","policies":["read-write"]}`)
	issue := func(body string) string {
		t.Helper()
		return decodeBody[client.Token](t, w.want(201, "", "POST", "/tokens", body)).Token
	}
	admin, narrow, ci := issue(`{"username":"root"}`), issue(`{"username":"root","access":[{"repositories":["**"],"actions":["pull","push","delete"]}]}`), issue(`{"username":"ci"}`)
	for token, tc := range map[string]struct {
		user   string
		status int
		code   oci.Code
	}{admin: {"root", 201, ""}, narrow: {"root", 403, oci.CodeDenied}, ci: {"ci", 403, oci.CodeDenied}, admin + "x": {"root", 401, oci.CodeUnauthorized}} {
		w.user = [2]string{}
		w.want(tc.status, tc.code, "POST", "/tokens", `{"username":"ci"}`, "Authorization: Bearer "+token)
		w.user = [2]string{tc.user, token}
		w.want(tc.status, tc.code, "POST", "/tokens", `{"username":"ci"}`)
	}
	if log := w.logs.String(); !strings.Contains(log, "path=/api/v1/tokens user=root token=") {
		t.Errorf("what a token changed is not logged with its id:\n%s", log)
	}
}
