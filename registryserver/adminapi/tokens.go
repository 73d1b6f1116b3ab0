package adminapi

import (
	"fmt"
	"net/http"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// tokenBody is client.TokenSpec with what is missing told from what is empty.
type tokenBody struct {
	Username    *string       `json:"username"`
	Description *string       `json:"description"`
	ExpiresIn   *int64        `json:"expires_in"`
	Access      []client.Rule `json:"access"`
}

func (a *api) listTokens(r *http.Request) (answer, error) {
	limit, after, err := paging(r)
	if err != nil {
		return answer{}, err
	}
	tokens, next, err := a.Tokens.Tokens(r.Context(), after, limit)
	p := client.Page[client.Token]{Items: []client.Token{}, Next: next}
	for _, t := range tokens {
		p.Items = append(p.Items, wireToken(t))
	}
	return answer{body: p, next: next}, err
}

// createToken answers the token, this once. A repeated request makes another
// one: what was lost on the way cannot be told again, and expires by itself.
func (a *api) createToken(r *http.Request) (answer, error) {
	var body tokenBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	if _, err := createKey(r); err != nil {
		return answer{}, err
	}
	spec, err := body.spec()
	if err != nil {
		return answer{}, err
	}
	spec.CreatedBy = identity(r.Context()).Name()
	t, secret, err := a.Tokens.Issue(r.Context(), spec)
	if err != nil {
		return answer{}, err
	}
	wire := wireToken(t)
	wire.Token = secret
	return answer{status: http.StatusCreated, body: wire, etag: t.ID, location: "/tokens/" + t.ID}, nil
}

func (a *api) getToken(r *http.Request) (answer, error) {
	t, err := a.Tokens.Token(r.Context(), clip(r.PathValue("token")))
	return answer{body: wireToken(t)}, err
}

func (a *api) deleteToken(r *http.Request) (answer, error) {
	return answer{}, a.Tokens.Revoke(r.Context(), clip(r.PathValue("token")))
}

func (b tokenBody) spec() (auth.TokenSpec, error) {
	lifetime := int64(oci.DefaultTokenLifetime / time.Second)
	if b.ExpiresIn != nil {
		lifetime = *b.ExpiresIn
	}
	if most := int64(oci.MaxTokenLifetime / time.Second); lifetime < 0 || lifetime > most {
		lifetime = most + 1 // which is refused, and does not overflow below
	}
	spec := auth.TokenSpec{Username: or(b.Username, ""), Description: or(b.Description, ""), Lifetime: time.Duration(lifetime) * time.Second}
	switch {
	case b.Username == nil:
		return spec, oci.Errorf(oci.CodeInvalid, "the field username is missing")
	case b.Access != nil && len(b.Access) == 0:
		return spec, oci.Errorf(oci.CodeInvalid, "the field access is an empty list, which would allow nothing; leave it out for all that the user may do")
	case len(b.Access) > oci.MaxRules:
		return spec, oci.Errorf(oci.CodeInvalid, "the token is narrowed to %d rules; at most %d are allowed", len(b.Access), oci.MaxRules)
	}
	for i, r := range b.Access {
		rule, err := oci.ParseRule(r.Repositories, r.Actions)
		if err != nil {
			return spec, &oci.Error{Code: oci.CodeInvalid, Message: fmt.Sprintf("access[%d]: %s", i, message(err)), Detail: map[string]int{"rule": i}}
		}
		spec.Access = append(spec.Access, rule)
	}
	return spec, nil
}

func wireToken(t auth.Token) client.Token {
	w := client.Token{
		ID: t.ID, Username: t.Username, Description: t.Description, Access: []client.Rule{},
		CreatedBy: t.CreatedBy, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, Active: t.Active,
	}
	for _, r := range t.Access {
		w.Access = append(w.Access, wireRule(r))
	}
	return w
}
