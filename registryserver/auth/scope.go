package auth

import (
	"slices"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Scope is what a client asks a token for (Docker Registry v2 authentication,
// "Token Scope Documentation"). The zero Scope asks for nothing but a name.
type Scope struct {
	items   []scopeItem // one for each repository
	catalog bool        // registry:catalog:*
}

type scopeItem struct {
	repo    oci.Repository
	actions []oci.Action
}

// Bounds of a scope: a token that holds it has to fit into a header.
const (
	maxScopeBytes = 4 << 10
	maxScopeItems = 50
)

// ParseScope parses the values of scope parameters, each one or more of
// "repository:NAME:ACTION,ACTION" and "registry:catalog:*" with spaces between
// them. What it does not know, and names that no repository can have, count for
// nothing. INVALID for more than a token can hold.
func ParseScope(values []string) (Scope, error) {
	var s Scope
	size := 0
	for _, value := range values {
		if size += len(value); size > maxScopeBytes {
			return Scope{}, oci.Errorf(oci.CodeInvalid, "the scopes take more than %d bytes; ask for several tokens", maxScopeBytes)
		}
		if err := s.addAll(value); err != nil {
			return Scope{}, err
		}
	}
	return s, nil
}

func (s *Scope) addAll(value string) error {
	for item := range strings.FieldsSeq(value) {
		if err := s.add(item); err != nil {
			return err
		}
	}
	return nil
}

func (s *Scope) add(item string) error {
	kind, rest, _ := strings.Cut(item, ":")
	// A name may hold a host with a port, so the actions come after the last
	// colon.
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		return nil
	}
	name, actions := rest[:i], strings.Split(rest[i+1:], ",")
	kind, _, _ = strings.Cut(kind, "(") // "repository(plugin)" is a repository
	switch {
	case kind == "registry" && name == "catalog" && slices.Contains(actions, "*"):
		s.catalog = true
		return nil
	case kind != "repository":
		return nil
	}
	repo, err := oci.ParseRepository(name)
	if err != nil {
		return nil //nolint:nilerr // no repository has that name, so there is nothing to grant
	}
	at := slices.IndexFunc(s.items, func(i scopeItem) bool { return i.repo == repo })
	if at < 0 {
		if len(s.items) == maxScopeItems {
			return oci.Errorf(oci.CodeInvalid, "the scopes name more than %d repositories; ask for several tokens", maxScopeItems)
		}
		at = len(s.items)
		s.items = append(s.items, scopeItem{repo: repo})
	}
	for _, a := range oci.Actions() {
		if (slices.Contains(actions, string(a)) || slices.Contains(actions, "*")) && !slices.Contains(s.items[at].actions, a) {
			s.items[at].actions = append(s.items[at].actions, a)
		}
	}
	return nil
}

// String writes the scope as ParseScope reads it.
func (s Scope) String() string {
	var parts []string
	for _, item := range s.items {
		parts = append(parts, "repository:"+item.repo.String()+":"+joinActions(item.actions))
	}
	if s.catalog {
		parts = append(parts, "registry:catalog:*")
	}
	return strings.Join(parts, " ")
}

// allowed returns what of the scope may be done.
func (s Scope) allowed(may func(oci.Action, oci.Repository) (bool, error)) (Scope, error) {
	allowed := Scope{catalog: s.catalog}
	for _, item := range s.items {
		var actions []oci.Action
		for _, a := range item.actions {
			ok, err := may(a, item.repo)
			if err != nil {
				return Scope{}, err
			}
			if ok {
				actions = append(actions, a)
			}
		}
		if len(actions) > 0 {
			allowed.items = append(allowed.items, scopeItem{item.repo, actions})
		}
	}
	return allowed, nil
}

// grants are the rights that the scope names.
func (s Scope) grants() *grants {
	g := &grants{exact: make(map[string][]oci.Action, len(s.items)), wholeListed: s.catalog}
	for _, item := range s.items {
		g.exact[item.repo.String()] = item.actions
	}
	return g
}
