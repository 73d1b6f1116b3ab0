package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Server describes the server.
func (c *Client) Server(ctx context.Context) (Server, error) {
	var s Server
	err := c.do(ctx, request{method: http.MethodGet, path: "/server"}, &s)
	return s, err
}

// CreateUser makes a user. A user of that name that exists already is an error
// of code CONFLICT, unless an earlier try of this very call made it.
func (c *Client) CreateUser(ctx context.Context, spec UserSpec) (User, error) {
	var u User
	if _, err := oci.ParseUsername(spec.Username); err != nil {
		return u, err
	}
	spec.Policies = orEmpty(spec.Policies)
	err := c.do(ctx, request{method: http.MethodPost, path: "/users", body: spec}, &u)
	return u, err
}

// GetUser returns a user. See IsNotFound.
func (c *Client) GetUser(ctx context.Context, username string) (User, error) {
	var u User
	path, err := userPath(username)
	if err != nil {
		return u, err
	}
	err = c.do(ctx, request{method: http.MethodGet, path: path}, &u)
	return u, err
}

// UpdateUser makes the user spec.Username what spec says; without a password
// in spec, the password stays. Unless ifRevision is empty, the user must still
// have that revision, or the error is of code PRECONDITION_FAILED. The last
// enabled admin cannot be disabled or lose its policy (CONFLICT).
func (c *Client) UpdateUser(ctx context.Context, spec UserSpec, ifRevision string) (User, error) {
	var u User
	path, err := userPath(spec.Username)
	if err != nil {
		return u, err
	}
	spec.Policies = orEmpty(spec.Policies)
	err = c.do(ctx, request{method: http.MethodPut, path: path, body: spec, ifRevision: ifRevision}, &u)
	return u, err
}

// DeleteUser removes a user; ifRevision is as for UpdateUser. The last enabled
// admin cannot be removed (CONFLICT). See IsNotFound.
func (c *Client) DeleteUser(ctx context.Context, username, ifRevision string) error {
	path, err := userPath(username)
	if err != nil {
		return err
	}
	return c.do(ctx, request{method: http.MethodDelete, path: path, ifRevision: ifRevision}, nil)
}

// ListUsers yields every user in the byte order of names. It ends at the first
// error.
func (c *Client) ListUsers(ctx context.Context) iter.Seq2[User, error] {
	return list[User](ctx, c, "/users")
}

func userPath(username string) (string, error) {
	name, err := oci.ParseUsername(username)
	return "/users/" + url.PathEscape(name), err
}

// orEmpty makes nil an empty list, which JSON tells apart.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
