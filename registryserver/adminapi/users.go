package adminapi

import (
	"net/http"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// userBody is client.UserSpec with what is missing told from what is empty.
type userBody struct {
	Username     *string   `json:"username"`
	Policies     *[]string `json:"policies"`
	Enabled      *bool     `json:"enabled"`
	Description  *string   `json:"description"`
	Password     *string   `json:"password"`
	PasswordHash *string   `json:"password_hash"`
}

func (a *api) listUsers(r *http.Request) (answer, error) {
	all, err := a.Directory.Users(r.Context())
	if err != nil {
		return answer{}, err
	}
	users := make([]client.User, len(all))
	for i, u := range all {
		users[i] = wireUser(u)
	}
	p, err := page(r, users, func(u client.User) string { return u.Username })
	return answer{body: p, next: p.Next}, err
}

func (a *api) createUser(r *http.Request) (answer, error) {
	var body userBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	key, err := createKey(r)
	if err != nil {
		return answer{}, err
	}
	if body.Username == nil {
		return answer{}, oci.Errorf(oci.CodeInvalid, "the field username is missing")
	}
	u, err := a.Directory.CreateUser(r.Context(), body.spec(*body.Username), key)
	return answer{status: http.StatusCreated, body: wireUser(u), etag: u.Revision, location: "/users/" + escaped(u.Username)}, err
}

func (a *api) getUser(r *http.Request) (answer, error) {
	name, err := oci.ParseUsername(r.PathValue("username"))
	if err != nil {
		return answer{}, err
	}
	u, err := a.Directory.User(r.Context(), name)
	return answer{body: wireUser(u), etag: u.Revision}, err
}

func (a *api) updateUser(r *http.Request) (answer, error) {
	name, err := oci.ParseUsername(r.PathValue("username"))
	if err != nil {
		return answer{}, err
	}
	var body userBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	may, err := condition(r)
	switch {
	case err != nil:
		return answer{}, err
	case body.Username != nil && *body.Username != name:
		return answer{}, oci.Errorf(oci.CodeInvalid, "the field username is not the name in the path; a user cannot be renamed")
	case body.Policies == nil || body.Enabled == nil:
		return answer{}, oci.Errorf(oci.CodeInvalid, "PUT replaces the user: the fields policies and enabled are needed; without password and password_hash, the password stays")
	}
	u, err := a.Directory.UpdateUser(r.Context(), body.spec(name), may)
	return answer{body: wireUser(u), etag: u.Revision}, err
}

func (a *api) deleteUser(r *http.Request) (answer, error) {
	name, err := oci.ParseUsername(r.PathValue("username"))
	if err != nil {
		return answer{}, err
	}
	may, err := condition(r)
	if err != nil {
		return answer{}, err
	}
	return answer{}, a.Directory.DeleteUser(r.Context(), name, may)
}

// spec fills in what may be left out.
func (b userBody) spec(name string) auth.UserSpec {
	return auth.UserSpec{
		Username: name, Policies: or(b.Policies, nil), Enabled: or(b.Enabled, true), Description: or(b.Description, ""),
		Password: b.Password, PasswordHash: b.PasswordHash,
	}
}

func or[T any](p *T, fallback T) T {
	if p == nil {
		return fallback
	}
	return *p
}

func wireUser(u auth.User) client.User {
	policies := u.Policies
	if policies == nil {
		policies = []string{}
	}
	return client.User{
		Username: u.Username, Policies: policies, Enabled: u.Enabled, Description: u.Description, HasPassword: u.HasPassword,
		CredentialRevision: u.CredentialRevision, Revision: u.Revision, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
}
