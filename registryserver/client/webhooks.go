package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// PutWebhook makes a webhook, or changes the one of that name. The server
// seals secrets, and refuses them without an http.secret to do so (CONFLICT).
// Unless ifRevision is empty, a webhook of that name must be there and have
// that revision, or the error is of code PRECONDITION_FAILED.
func (c *Client) PutWebhook(ctx context.Context, spec WebhookSpec, ifRevision string) (Webhook, error) {
	return c.putWebhook(ctx, spec, request{ifRevision: ifRevision})
}

// CreateWebhook is PutWebhook where there must be no webhook of that name
// (PRECONDITION_FAILED).
func (c *Client) CreateWebhook(ctx context.Context, spec WebhookSpec) (Webhook, error) {
	return c.putWebhook(ctx, spec, request{ifAbsent: true})
}

func (c *Client) putWebhook(ctx context.Context, spec WebhookSpec, r request) (Webhook, error) {
	var hook Webhook
	path, err := webhookPath(spec.Name)
	if err != nil {
		return hook, err
	}
	spec.Repositories, spec.Actions = orEmpty(spec.Repositories), orEmpty(spec.Actions)
	r.method, r.path, r.body = http.MethodPut, path, spec
	err = c.do(ctx, r, &hook)
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
