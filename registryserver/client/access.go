package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Access says whether a user may do something with a repository, and why;
// username "" stands for callers without credentials.
func (c *Client) Access(ctx context.Context, username string, action oci.Action, repository string) (Access, error) {
	var a Access
	if _, err := oci.ParseRepository(repository); err != nil {
		return a, err
	}
	q := url.Values{"repository": {repository}, "action": {string(action)}}
	if username != "" {
		q.Set("username", username)
	}
	err := c.do(ctx, request{method: http.MethodGet, path: "/access", query: q}, &a)
	return a, err
}
