package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// CreateWebhook makes a webhook. One of that name that exists already is an
// error of code CONFLICT, unless an earlier try of this very call made it. The
// server seals secrets, and refuses them without an http.secret to do so
// (CONFLICT, too).
func (c *Client) CreateWebhook(ctx context.Context, spec WebhookSpec) (Webhook, error) {
	var hook Webhook
	if _, err := oci.ParseWebhookName(spec.Name); err != nil {
		return hook, err
	}
	spec.Repositories, spec.Actions = orEmpty(spec.Repositories), orEmpty(spec.Actions)
	err := c.do(ctx, request{method: http.MethodPost, path: "/webhooks", body: spec}, &hook)
	return hook, err
}

// UpdateWebhook makes the webhook spec.Name what spec says; ifRevision is as for
// UpdateUser.
func (c *Client) UpdateWebhook(ctx context.Context, spec WebhookSpec, ifRevision string) (Webhook, error) {
	var hook Webhook
	path, err := webhookPath(spec.Name)
	if err != nil {
		return hook, err
	}
	spec.Repositories, spec.Actions = orEmpty(spec.Repositories), orEmpty(spec.Actions)
	err = c.do(ctx, request{method: http.MethodPut, path: path, body: spec, ifRevision: ifRevision}, &hook)
	return hook, err
}

// GetWebhook returns a webhook. See IsNotFound.
func (c *Client) GetWebhook(ctx context.Context, name string) (Webhook, error) {
	var hook Webhook
	path, err := webhookPath(name)
	if err != nil {
		return hook, err
	}
	err = c.do(ctx, request{method: http.MethodGet, path: path}, &hook)
	return hook, err
}

// DeleteWebhook removes a webhook; ifRevision is as for UpdateUser. See
// IsNotFound.
func (c *Client) DeleteWebhook(ctx context.Context, name, ifRevision string) error {
	path, err := webhookPath(name)
	if err != nil {
		return err
	}
	return c.do(ctx, request{method: http.MethodDelete, path: path, ifRevision: ifRevision}, nil)
}

// ListWebhooks yields every webhook in the byte order of names. It ends at the
// first error.
func (c *Client) ListWebhooks(ctx context.Context) iter.Seq2[Webhook, error] {
	return list[Webhook](ctx, c, "/webhooks")
}

func webhookPath(s string) (string, error) {
	name, err := oci.ParseWebhookName(s)
	return "/webhooks/" + url.PathEscape(name), err
}
