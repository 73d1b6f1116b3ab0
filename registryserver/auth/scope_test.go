package auth

import (
	"fmt"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func TestParseScope(t *testing.T) {
	for want, values := range map[string][]string{
		"":                                     {"", "  ", "repository", "repository:a", "repository:A:pull", "x:y:z", "registry:catalog:pull", "registry:other:*", ":", "::", ":::"},
		"repository:a/b:pull,push":             {"repository:a/b:push,pull,push,fly"},
		"repository:a:pull,push,delete":        {"repository:a:*"},
		"repository:a:pull,push":               {"repository:a:pull", "repository:a:push"},
		"repository:a:pull repository:b:push":  {"repository:a:pull repository:b:push"},
		"repository:a:pull registry:catalog:*": {"registry:catalog:*  repository:a:pull"},
		"repository:plugin/x:pull":             {"repository(plugin):plugin/x:pull"},
		"repository:a:":                        {"repository:a:fly"},
	} {
		s, err := ParseScope(values)
		if err != nil || s.String() != want {
			t.Errorf("%q: %q, %v; want %q", values, s, err, want)
		}
	}
	_, err := ParseScope([]string{strings.Repeat("x", maxScopeBytes), "y"})
	wantCode(t, err, oci.CodeInvalid)
	var many []string
	for i := range maxScopeItems + 1 {
		many = append(many, fmt.Sprintf("repository:a%d:pull", i))
	}
	_, err = ParseScope(many)
	wantCode(t, err, oci.CodeInvalid)
	if s, err := ParseScope(many[1:]); err != nil || len(s.items) != maxScopeItems {
		t.Errorf("%v, %v", s, err)
	}
}

// FuzzScope: what is parsed is bounded, writes and parses back as itself, and
// never grants more than the identity may.
func FuzzScope(f *testing.F) {
	for _, s := range []string{"", "repository:a:pull", "repository:a:pull,push repository:b:*", "registry:catalog:*", "repository(x):a:b:c", "\x00:\xff:", "repository:localhost:5000/a:pull"} {
		f.Add(s)
	}
	team, err := oci.ParseRule([]string{"a", "team/*"}, []string{"pull"})
	if err != nil {
		f.Fatal(err)
	}
	may := new(grants)
	may.add(team)
	id := Identity{kind: user, grants: may}
	f.Fuzz(func(t *testing.T, value string) {
		s, err := ParseScope([]string{value})
		if err != nil {
			wantCode(t, err, oci.CodeInvalid)
			return
		}
		if len(s.items) > maxScopeItems || len(s.String()) > len(value)+len(s.items)*20 {
			t.Errorf("%q became %q", value, s)
		}
		again, err := ParseScope([]string{s.String()})
		if err != nil || again.String() != s.String() {
			t.Errorf("%q reads back as %q, %v", s, again, err)
		}
		scoped := id
		allowed, err := s.allowed(func(a oci.Action, repo oci.Repository) (bool, error) { return id.May(a, repo), nil })
		if err != nil {
			t.Fatal(err)
		}
		scoped.scoped = allowed.grants()
		for _, item := range s.items {
			for _, a := range oci.Actions() {
				if scoped.May(a, item.repo) && !id.May(a, item.repo) {
					t.Errorf("%q grants %s in %s", value, a, item.repo)
				}
			}
		}
	})
}
