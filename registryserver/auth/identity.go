package auth

import (
	"slices"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Identity is who sent a request, and what they may do: a snapshot that does
// not change while the request is served. The zero Identity is a caller
// without credentials who may do nothing.
type Identity struct {
	name   string
	kind   identityKind
	admin  bool
	grants *grants

	generation string // of the user, which tokens are bound to

	token    string  // id of the issued token that the caller bears, or ""
	narrowed *grants // what that token is narrowed to; nil: not at all
	scoped   *grants // what a token of /token was asked for; nil: no such token
}

type identityKind uint8

const (
	anonymous identityKind = iota
	user                   // of the directory or the htpasswd file
	bearer                 // of a token that an external issuer signed
)

// Name returns the user name, the subject of a token, or "" for a caller
// without credentials. A name from an htpasswd file or a token may hold any
// character.
func (id Identity) Name() string { return id.name }

// Anonymous reports whether the request bore no credentials.
func (id Identity) Anonymous() bool { return id.kind == anonymous }

// Token returns the id of the issued token that the caller bears, or "".
func (id Identity) Token() string { return id.token }

// Scoped reports whether the caller bears a token of /token.
func (id Identity) Scoped() bool { return id.scoped != nil }

// Admin reports whether the caller may use the admin API. Only users of the
// directory ever may, and no token of less than all that the user may.
func (id Identity) Admin() bool { return id.admin && id.narrowed == nil && id.scoped == nil }

// May reports whether the caller has the right a on the repository.
func (id Identity) May(a oci.Action, repo oci.Repository) bool {
	return id.mayUnscoped(a, repo) && (id.scoped == nil || id.scoped.allow(a, repo))
}

// mayUnscoped is May for a token that was asked for everything.
func (id Identity) mayUnscoped(a oci.Action, repo oci.Repository) bool {
	return !repo.IsZero() && id.grants.allow(a, repo) && (id.narrowed == nil || id.narrowed.allow(a, repo))
}

// MayMount reports whether the caller may push a blob by naming a repository
// that has it, which takes the right to pull there. Clients do not ask for a
// token with that right, or cannot, where they leave it to the registry to find
// the repository; so the scope of a token of /token does not count here.
func (id Identity) MayMount(from oci.Repository) bool { return id.mayUnscoped(oci.Pull, from) }

// MayList reports whether the catalog shows the repository to the caller:
// those that they may pull, and all where a token of an external issuer grants
// registry:catalog:*. A token of /token lists what its bearer may pull.
func (id Identity) MayList(repo oci.Repository) bool {
	if id.scoped.catalog() {
		return id.mayUnscoped(oci.Pull, repo)
	}
	return id.grants.catalog() || id.May(oci.Pull, repo)
}

// CheckCatalog returns nil if the caller may ask for the catalog, and otherwise
// the error to answer with. It is UNAUTHORIZED: other credentials help.
func (id Identity) CheckCatalog() error {
	switch {
	case id.scoped != nil && !id.scoped.catalog():
		return oci.Errorf(oci.CodeUnauthorized, "the token was not asked for registry:catalog:*")
	case id.kind == anonymous && id.scoped == nil:
		return loginFirst(nil)
	}
	return nil
}

func loginFirst(detail any) error {
	return &oci.Error{Code: oci.CodeUnauthorized, Message: "authentication required; log in to this registry first", Detail: detail}
}

// Check returns nil where May is true, and otherwise the error to answer with:
// UNAUTHORIZED, with a challenge, where other credentials may help, or DENIED.
// A token is always answered with a challenge: its bearer can get one with more
// scope (RFC 6750 section 3.1; distribution answers 401, and so do we).
func (id Identity) Check(a oci.Action, repo oci.Repository) error {
	switch {
	case id.May(a, repo):
		return nil
	case id.kind == bearer || id.mayUnscoped(a, repo):
		return &oci.Error{Code: oci.CodeUnauthorized, Message: "the token does not grant " + string(a) + " in repository " + repo.String(), Detail: missing(a, repo)}
	case id.kind == anonymous:
		return loginFirst(missing(a, repo))
	case id.narrowed != nil && id.grants.allow(a, repo):
		return &oci.Error{Code: oci.CodeDenied, Message: "the token of user " + id.name + " is narrowed, and may not " + string(a) + " in repository " + repo.String(), Detail: missing(a, repo)}
	}
	return &oci.Error{Code: oci.CodeDenied, Message: "user " + id.name + " may not " + string(a) + " in repository " + repo.String() + "; a policy that grants it is needed", Detail: missing(a, repo)}
}

func missing(a oci.Action, repo oci.Repository) any {
	return map[string]string{"action": string(a), "repository": repo.String()}
}

// grants are rights. They are immutable and shared by many identities; nil
// grants nothing.
type grants struct {
	everywhere []oci.Action // on every repository
	rules      []oci.Rule
	also       *grants // what callers without credentials may do

	// Of a token: exact names, and the catalog.
	exact       map[string][]oci.Action
	wholeListed bool
}

func (g *grants) allow(a oci.Action, repo oci.Repository) bool {
	for ; g != nil; g = g.also {
		if slices.Contains(g.everywhere, a) || slices.Contains(g.exact[repo.String()], a) ||
			slices.ContainsFunc(g.rules, func(r oci.Rule) bool { return r.Allows(a, repo) }) {
			return true
		}
	}
	return false
}

func (g *grants) catalog() bool { return g != nil && g.wholeListed }

// add adds a rule, and remembers rights on every repository apart: they are
// the common case, and cost no matching.
func (g *grants) add(rules ...oci.Rule) {
	for _, r := range rules {
		if slices.ContainsFunc(r.Repositories, oci.Glob.MatchesAll) {
			g.everywhere = append(g.everywhere, r.Actions...)
		} else {
			g.rules = append(g.rules, r)
		}
	}
}

// everything is what anyone may do in an open registry.
func everything() *grants { return &grants{everywhere: oci.Actions()} }
