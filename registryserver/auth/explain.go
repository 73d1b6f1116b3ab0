package auth

import (
	"context"
	"maps"
	"slices"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Reason is why somebody may do something, or may not.
type Reason string

// The reasons. The first six allow, the others do not.
const (
	ReasonOpen      Reason = "open"             // nobody can be authenticated, so anybody may
	ReasonPolicy    Reason = "policy"           // a policy of the user
	ReasonBuiltIn   Reason = "built_in_policy"  // admin, read-write or read-only
	ReasonAnonymous Reason = "anonymous_policy" // one that holds for callers without credentials, and so for all
	ReasonPublic    Reason = "anonymous_pull"   // a setting of the repository, which holds for all
	ReasonHTPasswd  Reason = "htpasswd"         // users of the htpasswd file may do everything
	ReasonDisabled  Reason = "disabled"         // the user is disabled and cannot log in
	ReasonUnknown   Reason = "unknown_user"     // there is no such user
	ReasonNoPolicy  Reason = "no_policy"        // no policy allows it
)

// Explanation is the answer to: may this user do that, and why?
type Explanation struct {
	Allowed bool
	Reason  Reason
	Policy  string    // that allows it; "" for none
	Rule    *oci.Rule // of the policy
	Index   int       // of Rule in the policy
}

// Explain says whether the user, or a caller without credentials where
// username is "", may do something with a repository, by what the storage says
// now; what a repository is open for may be a few seconds old. It says what
// Authorize would once the user has logged in.
func (g *Gate) Explain(ctx context.Context, username string, a oci.Action, repo oci.Repository) (Explanation, error) {
	doc, err := g.config.Directory.fresh(ctx)
	if err != nil {
		return Explanation{}, err
	}
	u, known := doc.Users[username]
	switch {
	case g.Open():
		return Explanation{Allowed: true, Reason: ReasonOpen}, nil
	case username == "":
	case known && !u.Enabled:
		return Explanation{Reason: ReasonDisabled}, nil
	case known:
		if e, ok := doc.explain(u.Policies, ReasonPolicy, a, repo); ok {
			return e, nil
		}
	case g.account([]byte(username)) != nil: // of the htpasswd file, since it is not of the directory
		if g.account([]byte(username)).identity.May(a, repo) {
			return Explanation{Allowed: true, Reason: ReasonHTPasswd}, nil
		}
	default:
		return Explanation{Reason: ReasonUnknown}, nil
	}
	if e, ok := doc.explain(doc.anonymous(), ReasonAnonymous, a, repo); ok {
		return e, nil
	}
	public, err := g.anybodyMay(ctx, a, repo)
	if public {
		return Explanation{Allowed: true, Reason: ReasonPublic}, err
	}
	return Explanation{Reason: ReasonNoPolicy}, err
}

// explain looks for the first rule of the policies that allows it.
func (d *document) explain(policies []string, reason Reason, a oci.Action, repo oci.Repository) (Explanation, bool) {
	for _, name := range policies {
		rules, err := d.rules(name)
		if err != nil {
			continue // a snapshot was made of this document, so all of them parse
		}
		for i, rule := range rules {
			if !rule.Allows(a, repo) {
				continue
			}
			if slices.Contains(oci.BuiltInPolicies(), name) {
				reason = ReasonBuiltIn
			}
			return Explanation{Allowed: true, Reason: reason, Policy: name, Rule: &rule, Index: i}, true
		}
	}
	return Explanation{}, false
}

// anonymous returns the names of the policies that hold for callers without
// credentials, sorted.
func (d *document) anonymous() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(d.Policies)) {
		if d.Policies[name].Anonymous {
			names = append(names, name)
		}
	}
	return names
}
