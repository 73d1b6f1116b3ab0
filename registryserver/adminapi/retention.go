package adminapi

import (
	"net/http"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

// retentionBody is client.RetentionPolicySpec with what is missing told from what
// is empty.
type retentionBody struct {
	Name         *string                  `json:"name"`
	Description  *string                  `json:"description"`
	Repositories *[]string                `json:"repositories"`
	Rules        *[]oci.RetentionRuleSpec `json:"rules"`
}

func (a *api) listRetentionPolicies(r *http.Request) (answer, error) {
	all, err := a.Registry.RetentionPolicies(r.Context())
	if err != nil {
		return answer{}, err
	}
	policies := make([]client.RetentionPolicy, len(all))
	for i, p := range all {
		policies[i] = wireRetention(p)
	}
	p, err := page(r, policies, func(p client.RetentionPolicy) string { return p.Name })
	return answer{body: p, next: p.Next}, err
}

func (a *api) createRetentionPolicy(r *http.Request) (answer, error) {
	var body retentionBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	key, err := createKey(r)
	if err != nil {
		return answer{}, err
	}
	spec, err := body.spec("")
	if err != nil {
		return answer{}, err
	}
	p, err := a.Registry.CreateRetentionPolicy(r.Context(), spec, key)
	ans := retentionAnswer(p)
	ans.status, ans.location = http.StatusCreated, "/retention-policies/"+escaped(p.Name)
	return ans, err
}

func (a *api) getRetentionPolicy(r *http.Request) (answer, error) {
	name, err := oci.ParsePolicyName(r.PathValue("policy"))
	if err != nil {
		return answer{}, err
	}
	p, err := a.Registry.RetentionPolicy(r.Context(), name)
	return retentionAnswer(p), err
}

func (a *api) updateRetentionPolicy(r *http.Request) (answer, error) {
	name, err := oci.ParsePolicyName(r.PathValue("policy"))
	if err != nil {
		return answer{}, err
	}
	var body retentionBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	may, err := condition(r)
	if err != nil {
		return answer{}, err
	}
	spec, err := body.spec(name)
	if err != nil {
		return answer{}, err
	}
	p, err := a.Registry.UpdateRetentionPolicy(r.Context(), spec, may)
	return retentionAnswer(p), err
}

func (a *api) deleteRetentionPolicy(r *http.Request) (answer, error) {
	name, err := oci.ParsePolicyName(r.PathValue("policy"))
	if err != nil {
		return answer{}, err
	}
	may, err := condition(r)
	if err != nil {
		return answer{}, err
	}
	return answer{}, a.Registry.DeleteRetentionPolicy(r.Context(), name, may)
}

// previewBody is client.RetentionPreviewSpec with what is missing told from what is
// empty, and which page is wanted.
type previewBody struct {
	Policy       *retentionBody `json:"policy"`
	Repositories []string       `json:"repositories"`
	Limit        *int           `json:"limit"`
	After        string         `json:"after"`
}

// previewRetention changes nothing. It is a POST since a policy is too large for a
// query.
func (a *api) previewRetention(r *http.Request) (answer, error) {
	var body previewBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	p := registry.RetentionPreview{After: body.After, Limit: or(body.Limit, defaultLimit), Grace: a.Grace}
	if p.Limit < 1 || p.Limit > maxLimit {
		return answer{}, oci.Errorf(oci.CodePaginationInvalid, "the field limit is a number from 1 to %d", maxLimit)
	}
	if body.Policy != nil {
		spec, err := body.Policy.spec("")
		if err == nil {
			err = spec.Check()
		}
		if err != nil {
			return answer{}, err
		}
		p.Policy = &spec
	}
	if len(body.Repositories) > 0 {
		var err error
		if p.Repositories, err = oci.ParseRetentionRepositories(body.Repositories); err != nil {
			return answer{}, err
		}
	}
	victims, next, err := a.Registry.PreviewRetention(r.Context(), p)
	if err != nil {
		return answer{}, err
	}
	wire := client.Page[client.RetentionVictim]{Items: make([]client.RetentionVictim, len(victims)), Next: next}
	for i, v := range victims {
		wire.Items[i] = client.RetentionVictim{
			Repository: v.Repository.String(), Tag: v.Tag.String(), Digest: v.Digest, PushedAt: v.Pushed.UTC().Truncate(time.Second),
			PulledAt: v.Pulled, Policy: v.Policy, Rule: v.Rule, Reason: v.Reason,
		}
	}
	return answer{body: wire}, nil
}

// spec parses a policy of that name, or of its own name where that is "".
func (b retentionBody) spec(name string) (registry.RetentionSpec, error) {
	spec := registry.RetentionSpec{Name: or(b.Name, name), Description: or(b.Description, "")}
	switch {
	case spec.Name == "":
		return spec, oci.Errorf(oci.CodeInvalid, "the field name is missing")
	case name != "" && spec.Name != name:
		return spec, oci.Errorf(oci.CodeInvalid, "the field name is not the name in the path; a retention policy cannot be renamed")
	case b.Repositories == nil || b.Rules == nil:
		return spec, oci.Errorf(oci.CodeInvalid, "the fields repositories and rules are needed")
	}
	var err error
	if spec.Repositories, err = oci.ParseRetentionRepositories(*b.Repositories); err != nil {
		return spec, err
	}
	spec.Rules, err = oci.ParseRetentionRules(*b.Rules)
	return spec, err
}

func retentionAnswer(p registry.RetentionPolicy) answer {
	return answer{body: wireRetention(p), etag: p.Revision}
}

func wireRetention(p registry.RetentionPolicy) client.RetentionPolicy {
	w := client.RetentionPolicy{
		Name: p.Name, Description: p.Description, Repositories: make([]string, len(p.Repositories)), Rules: make([]client.RetentionRule, len(p.Rules)),
		Revision: p.Revision, CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
	for i, g := range p.Repositories {
		w.Repositories[i] = g.String()
	}
	for i, rule := range p.Rules {
		w.Rules[i] = rule.Spec()
	}
	return w
}
