package adminapi

import (
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func TestAccess(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	w.want(201, "", "POST", "/policies", `{"name":"team","rules":[{"repositories":["x"],"actions":["pull"]},{"repositories":["team/*"],"actions":["push","pull"]}]}`)
	w.want(201, "", "POST", "/users", `{"username":"ci@x","policies":["team"]}`)
	a := decodeBody[client.Access](t, w.want(200, "", "GET", "/access?username=ci%40x&repository=team%2Fapp&action=push", ""))
	if !a.Allowed || a.Reason != "policy" || a.Policy != "team" || a.RuleIndex == nil || *a.RuleIndex != 1 || a.Rule == nil || a.Rule.Repositories[0] != "team/*" {
		t.Errorf("%+v", a)
	}
	a = decodeBody[client.Access](t, w.want(200, "", "GET", "/access?repository=team%2Fapp&action=pull", ""))
	if a.Allowed || a.Reason != "no_policy" || !strings.Contains(a.Explanation, "without credentials") {
		t.Errorf("%+v", a)
	}
	for _, q := range []string{"", "?repository=a", "?action=pull", "?repository=A&action=pull", "?repository=a&action=admin", "?repository=a&action=pull&username=" + strings.Repeat("x", 257)} {
		w.want(400, oci.CodeInvalid, "GET", "/access"+q, "")
	}
}
