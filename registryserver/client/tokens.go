package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// CreateToken issues a token. It is in Token.Token of the answer and nowhere
// else. Where an answer was lost and the call repeated, another token is left
// that nobody has seen, until it expires.
func (c *Client) CreateToken(ctx context.Context, spec TokenSpec) (Token, error) {
	var t Token
	if _, err := oci.ParseUsername(spec.Username); err != nil {
		return t, err
	}
	err := c.do(ctx, request{method: http.MethodPost, path: "/tokens", body: spec}, &t)
	return t, err
}

// GetToken returns a token, without its secret. See IsNotFound.
func (c *Client) GetToken(ctx context.Context, id string) (Token, error) {
	var t Token
	err := c.do(ctx, request{method: http.MethodGet, path: tokenPath(id)}, &t)
	return t, err
}

// DeleteToken revokes a token: at once on the server that is asked, and within
// seconds on others. See IsNotFound.
func (c *Client) DeleteToken(ctx context.Context, id string) error {
	return c.do(ctx, request{method: http.MethodDelete, path: tokenPath(id)}, nil)
}

// ListTokens yields every token, also those that are not active any more, in
// the order in which they expire. It ends at the first error.
func (c *Client) ListTokens(ctx context.Context) iter.Seq2[Token, error] {
	return list[Token](ctx, c, "/tokens")
}

func tokenPath(id string) string { return "/tokens/" + url.PathEscape(id) }
