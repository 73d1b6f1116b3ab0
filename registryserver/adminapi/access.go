package adminapi

import (
	"fmt"
	"net/http"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// maxAccessUsername bounds the name that an access check takes: that of a user
// in an htpasswd file follows no rule.
const maxAccessUsername = 256

func (a *api) getAccess(r *http.Request) (answer, error) {
	q := r.URL.Query()
	username := q.Get("username")
	if len(username) > maxAccessUsername {
		return answer{}, oci.Errorf(oci.CodeInvalid, "the parameter username is longer than %d bytes", maxAccessUsername)
	}
	repo, err := oci.ParseRepository(q.Get("repository"))
	if err != nil {
		return answer{}, &oci.Error{Code: oci.CodeInvalid, Message: "the parameter repository: " + message(err)}
	}
	action, err := oci.ParseAction(q.Get("action"))
	if err != nil {
		return answer{}, &oci.Error{Code: oci.CodeInvalid, Message: "the parameter action: " + message(err)}
	}
	e, err := a.Gate.Explain(r.Context(), username, action, repo)
	if err != nil {
		return answer{}, err
	}
	access := client.Access{
		Username: username, Repository: repo.String(), Action: string(action),
		Allowed: e.Allowed, Reason: string(e.Reason), Policy: e.Policy, Explanation: explain(username, e),
	}
	if e.Rule != nil {
		rule := wireRule(*e.Rule)
		access.Rule, access.RuleIndex = &rule, &e.Index
	}
	return answer{body: access}, nil
}

// explain says it in a sentence.
func explain(username string, e auth.Explanation) string {
	who := "user " + clip(username)
	if username == "" {
		who = "a caller without credentials"
	}
	switch e.Reason {
	case auth.ReasonOpen:
		return "nobody is configured who could log in, so anybody may do everything"
	case auth.ReasonPolicy:
		return fmt.Sprintf("%s has the policy %s, whose rule %d allows it", who, e.Policy, e.Index)
	case auth.ReasonBuiltIn:
		return fmt.Sprintf("%s has the built-in policy %s", who, e.Policy)
	case auth.ReasonAnonymous:
		return fmt.Sprintf("rule %d of the policy %s allows it to everybody, also without credentials", e.Index, e.Policy)
	case auth.ReasonPublic:
		return "the setting anonymous_pull of the repository allows it to everybody, also without credentials"
	case auth.ReasonHTPasswd:
		return who + " is in the htpasswd file, whose users may do everything"
	case auth.ReasonDisabled:
		return who + " is disabled and cannot log in"
	case auth.ReasonUnknown:
		return "there is no " + who
	}
	return "no policy allows it to " + who
}
