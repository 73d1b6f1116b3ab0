package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// CreatePolicy makes a policy. One of that name that exists already, or is
// built in, is an error of code CONFLICT, unless an earlier try of this very
// call made it.
func (c *Client) CreatePolicy(ctx context.Context, spec PolicySpec) (Policy, error) {
	var p Policy
	if _, err := oci.ParsePolicyName(spec.Name); err != nil {
		return p, err
	}
	spec.Rules = orEmpty(spec.Rules)
	err := c.do(ctx, request{method: http.MethodPost, path: "/policies", body: spec}, &p)
	return p, err
}

// GetPolicy returns a policy, also a built-in one. See IsNotFound.
func (c *Client) GetPolicy(ctx context.Context, name string) (Policy, error) {
	var p Policy
	path, err := policyPath(name)
	if err != nil {
		return p, err
	}
	err = c.do(ctx, request{method: http.MethodGet, path: path}, &p)
	return p, err
}

// UpdatePolicy makes the policy spec.Name what spec says; ifRevision is as for
// UpdateUser. A built-in policy cannot be changed (CONFLICT).
func (c *Client) UpdatePolicy(ctx context.Context, spec PolicySpec, ifRevision string) (Policy, error) {
	var p Policy
	path, err := policyPath(spec.Name)
	if err != nil {
		return p, err
	}
	spec.Rules = orEmpty(spec.Rules)
	err = c.do(ctx, request{method: http.MethodPut, path: path, body: spec, ifRevision: ifRevision}, &p)
	return p, err
}

// DeletePolicy removes a policy; ifRevision is as for UpdateUser. One that a
// user has, or that is built in, stays (CONFLICT). See IsNotFound.
func (c *Client) DeletePolicy(ctx context.Context, name, ifRevision string) error {
	path, err := policyPath(name)
	if err != nil {
		return err
	}
	return c.do(ctx, request{method: http.MethodDelete, path: path, ifRevision: ifRevision}, nil)
}

// ListPolicies yields every policy, built-in ones too, in the byte order of
// names. It ends at the first error.
func (c *Client) ListPolicies(ctx context.Context) iter.Seq2[Policy, error] {
	return list[Policy](ctx, c, "/policies")
}

func policyPath(s string) (string, error) {
	name, err := oci.ParsePolicyName(s)
	return "/policies/" + url.PathEscape(name), err
}
