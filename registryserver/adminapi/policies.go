package adminapi

import (
	"fmt"
	"net/http"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// policyBody is client.PolicySpec with what is missing told from what is empty.
type policyBody struct {
	Name        *string        `json:"name"`
	Description *string        `json:"description"`
	Rules       *[]client.Rule `json:"rules"`
	Anonymous   *bool          `json:"anonymous"`
}

// builtInETag stands for the revision that built-in policies do not have.
const builtInETag = "built-in"

func (a *api) listPolicies(r *http.Request) (answer, error) {
	all, err := a.Directory.Policies(r.Context())
	if err != nil {
		return answer{}, err
	}
	policies := make([]client.Policy, len(all))
	for i, p := range all {
		policies[i] = wirePolicy(p)
	}
	p, err := page(r, policies, func(p client.Policy) string { return p.Name })
	return answer{body: p, next: p.Next}, err
}

func (a *api) createPolicy(r *http.Request) (answer, error) {
	var body policyBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	key, err := createKey(r)
	if err != nil {
		return answer{}, err
	}
	if body.Name == nil {
		return answer{}, oci.Errorf(oci.CodeInvalid, "the field name is missing")
	}
	spec, err := body.spec(*body.Name)
	if err != nil {
		return answer{}, err
	}
	p, err := a.Directory.CreatePolicy(r.Context(), spec, key)
	ans := policyAnswer(p)
	ans.status, ans.location = http.StatusCreated, "/policies/"+escaped(p.Name)
	return ans, err
}

func (a *api) getPolicy(r *http.Request) (answer, error) {
	name, err := oci.ParsePolicyName(r.PathValue("policy"))
	if err != nil {
		return answer{}, err
	}
	p, err := a.Directory.Policy(r.Context(), name)
	return policyAnswer(p), err
}

func (a *api) updatePolicy(r *http.Request) (answer, error) {
	name, err := oci.ParsePolicyName(r.PathValue("policy"))
	if err != nil {
		return answer{}, err
	}
	var body policyBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	may, err := condition(r)
	if err != nil {
		return answer{}, err
	}
	if body.Name != nil && *body.Name != name {
		return answer{}, oci.Errorf(oci.CodeInvalid, "the field name is not the name in the path; a policy cannot be renamed")
	}
	spec, err := body.spec(name)
	if err != nil {
		return answer{}, err
	}
	p, err := a.Directory.UpdatePolicy(r.Context(), spec, may)
	return policyAnswer(p), err
}

func (a *api) deletePolicy(r *http.Request) (answer, error) {
	name, err := oci.ParsePolicyName(r.PathValue("policy"))
	if err != nil {
		return answer{}, err
	}
	may, err := condition(r)
	if err != nil {
		return answer{}, err
	}
	return answer{}, a.Directory.DeletePolicy(r.Context(), name, may)
}

// spec parses the rules, and says which of them is wrong.
func (b policyBody) spec(name string) (auth.PolicySpec, error) {
	spec := auth.PolicySpec{Name: name, Description: or(b.Description, ""), Anonymous: or(b.Anonymous, false)}
	if b.Rules == nil {
		return spec, oci.Errorf(oci.CodeInvalid, "the field rules is missing")
	}
	if len(*b.Rules) > oci.MaxRules {
		return spec, oci.Errorf(oci.CodeInvalid, "the policy has %d rules; at most %d are allowed", len(*b.Rules), oci.MaxRules)
	}
	for i, r := range *b.Rules {
		rule, err := oci.ParseRule(r.Repositories, r.Actions)
		if err != nil {
			return spec, inRule(i, err)
		}
		spec.Rules = append(spec.Rules, rule)
	}
	return spec, nil
}

// inRule names the rule that an error is about, and keeps its code.
func inRule(i int, err error) error {
	return &oci.Error{Code: oci.CodeInvalid, Message: fmt.Sprintf("rules[%d]: %s", i, message(err)), Detail: map[string]int{"rule": i}}
}

func policyAnswer(p auth.Policy) answer {
	etag := p.Revision
	if p.BuiltIn {
		etag = builtInETag
	}
	return answer{body: wirePolicy(p), etag: etag}
}

func wirePolicy(p auth.Policy) client.Policy {
	w := client.Policy{
		Name: p.Name, Description: p.Description, Rules: make([]client.Rule, len(p.Rules)), Anonymous: p.Anonymous, BuiltIn: p.BuiltIn,
		Revision: p.Revision, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
	for i, r := range p.Rules {
		w.Rules[i] = wireRule(r)
	}
	return w
}

func wireRule(r oci.Rule) (w client.Rule) {
	for _, g := range r.Repositories {
		w.Repositories = append(w.Repositories, g.String())
	}
	for _, action := range r.Actions {
		w.Actions = append(w.Actions, string(action))
	}
	return w
}
