package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// RetentionRule is a rule of a retention policy; see oci.ParseRetentionRule.
type RetentionRule = oci.RetentionRuleSpec

// RetentionPolicy says which tags and untagged manifests garbage collections delete
// in the repositories that its globs match.
type RetentionPolicy struct {
	Name         string          `json:"name"`
	Description  string          `json:"description"`
	Repositories []string        `json:"repositories"`
	Rules        []RetentionRule `json:"rules"`
	// Revision is as a user's.
	Revision  string    `json:"revision"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// RetentionPolicySpec is what a retention policy shall be, whole.
type RetentionPolicySpec struct {
	Name         string          `json:"name"`
	Description  string          `json:"description"`
	Repositories []string        `json:"repositories"`
	Rules        []RetentionRule `json:"rules"`
}

// RetentionPreviewSpec says what a preview looks at.
type RetentionPreviewSpec struct {
	// Policy stands in for the one of its name, or beside those that there are. Nil
	// is for those alone.
	Policy *RetentionPolicySpec `json:"policy,omitempty"`
	// Repositories are globs that narrow the preview; none is all.
	Repositories []string `json:"repositories,omitempty"`
}

// RetentionVictim is a tag, or a manifest without one, that would be deleted if a
// collection ran now.
type RetentionVictim struct {
	Repository string     `json:"repository"`
	Tag        string     `json:"tag,omitempty"` // "" is an untagged manifest
	Digest     oci.Digest `json:"digest,omitzero"`
	PushedAt   time.Time  `json:"pushed_at"`
	PulledAt   time.Time  `json:"pulled_at,omitzero"` // to the day; zero if no rule asks, or nobody has
	Policy     string     `json:"policy"`
	Rule       int        `json:"rule"` // counted from 1
	Reason     string     `json:"reason"`
}

// CreateRetentionPolicy makes a policy. One of that name that exists already is an
// error of code CONFLICT, unless an earlier try of this very call made it.
func (c *Client) CreateRetentionPolicy(ctx context.Context, spec RetentionPolicySpec) (RetentionPolicy, error) {
	var p RetentionPolicy
	if _, err := oci.ParsePolicyName(spec.Name); err != nil {
		return p, err
	}
	err := c.do(ctx, request{method: http.MethodPost, path: "/retention-policies", body: spec}, &p)
	return p, err
}

// GetRetentionPolicy returns a policy. See IsNotFound.
func (c *Client) GetRetentionPolicy(ctx context.Context, name string) (RetentionPolicy, error) {
	var p RetentionPolicy
	path, err := retentionPath(name)
	if err != nil {
		return p, err
	}
	err = c.do(ctx, request{method: http.MethodGet, path: path}, &p)
	return p, err
}

// UpdateRetentionPolicy makes the policy spec.Name what spec says; ifRevision is as
// for UpdateUser.
func (c *Client) UpdateRetentionPolicy(ctx context.Context, spec RetentionPolicySpec, ifRevision string) (RetentionPolicy, error) {
	var p RetentionPolicy
	path, err := retentionPath(spec.Name)
	if err != nil {
		return p, err
	}
	err = c.do(ctx, request{method: http.MethodPut, path: path, body: spec, ifRevision: ifRevision}, &p)
	return p, err
}

// DeleteRetentionPolicy removes a policy; ifRevision is as for UpdateUser. See
// IsNotFound.
func (c *Client) DeleteRetentionPolicy(ctx context.Context, name, ifRevision string) error {
	path, err := retentionPath(name)
	if err != nil {
		return err
	}
	return c.do(ctx, request{method: http.MethodDelete, path: path, ifRevision: ifRevision}, nil)
}

// ListRetentionPolicies yields every policy in the byte order of names. It ends at
// the first error.
func (c *Client) ListRetentionPolicies(ctx context.Context) iter.Seq2[RetentionPolicy, error] {
	return list[RetentionPolicy](ctx, c, "/retention-policies")
}

// previewPage is how much is asked for at once.
const previewPage = 1000

// PreviewRetention yields what retention policies would delete if a collection ran
// now, and deletes nothing. It ends at the first error.
func (c *Client) PreviewRetention(ctx context.Context, spec RetentionPreviewSpec) iter.Seq2[RetentionVictim, error] {
	type body struct {
		RetentionPreviewSpec
		Limit int    `json:"limit"`
		After string `json:"after,omitempty"`
	}
	return func(yield func(RetentionVictim, error) bool) {
		for after := ""; ; {
			var page Page[RetentionVictim]
			err := c.do(ctx, request{method: http.MethodPost, path: "/retention-preview", body: body{spec, previewPage, after}}, &page)
			if err == nil && page.Next == after && after != "" {
				err = fmt.Errorf("POST /retention-preview: the server's pages do not advance")
			}
			if err != nil {
				yield(RetentionVictim{}, err)
				return
			}
			for _, v := range page.Items {
				if !yield(v, nil) {
					return
				}
			}
			if after = page.Next; after == "" {
				return
			}
		}
	}
}

func retentionPath(s string) (string, error) {
	name, err := oci.ParsePolicyName(s)
	return "/retention-policies/" + url.PathEscape(name), err
}
