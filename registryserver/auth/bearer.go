package auth

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// token authenticates by a bearer token.
func (g *Gate) token(ctx context.Context, r *http.Request, c credentials) (Identity, error) {
	if text, ok := parseTokenText(c.token); ok && g.config.Issued != nil {
		if g.config.Directory.stale() {
			return Identity{}, errStale()
		}
		id, err := g.issued(ctx, text, g.config.ClientAddr(r))
		if err == nil && id.name == "" {
			err = g.refuseToken(ctx, "it was revoked, has expired, or its user is disabled, gone or has another password")
		}
		return id, err
	}
	if g.ServesTokens() {
		return g.scopedToken(ctx, c.token)
	}
	if g.config.Tokens == nil {
		return Identity{}, oci.Errorf(oci.CodeUnauthorized, "this registry takes no bearer tokens; log in with user name and password")
	}
	id, err := g.config.Tokens.verify(c.token)
	if err != nil {
		return Identity{}, g.refuseToken(ctx, err.Error())
	}
	id.grants.also = g.config.Directory.current.Load().anonymous
	return id, nil
}

// issuedText returns the password as an issued token, if it has that form. Where
// it turns out to be none, it is a password like any other.
func (g *Gate) issuedText(password []byte) (tokenText, bool) {
	if g.config.Issued == nil || len(password) != tokenTextSize {
		return tokenText{}, false
	}
	return parseTokenText(string(password))
}

// refuseToken logs why a token does not count. The client need not know.
func (g *Gate) refuseToken(ctx context.Context, reason string) error {
	g.refused.Add(1)
	g.config.Log.LogAttrs(ctx, slog.LevelInfo, "token refused", slog.String("reason", reason))
	return oci.Errorf(oci.CodeUnauthorized, "the token is invalid or has expired; get a new one")
}

// issued returns who bears a token that the admin API issued; the zero Identity
// is nobody, since the token does not count.
func (g *Gate) issued(ctx context.Context, text tokenText, client string) (Identity, error) {
	record, err := g.config.Issued.verify(ctx, text, client)
	if oci.ErrorCode(err) == oci.CodeTooManyRequests {
		g.turnedAway.Add(1)
	}
	if err != nil || record == nil {
		return Identity{}, err
	}
	a, err := g.holder(ctx, record.Username, record.Generation)
	if err != nil || a == nil {
		return Identity{}, err
	}
	id := a.identity
	id.token, id.narrowed = text.id, record.limit
	return id, nil
}

// holder returns the user whom a token was made for, or nil where that user is
// gone, disabled, or of another generation. Before it says so, it looks whether
// another server has changed that.
func (g *Gate) holder(ctx context.Context, username, generation string) (*account, error) {
	fits := func(a *account) bool { return a != nil && a.enabled && a.identity.generation == generation }
	if a := g.account([]byte(username)); fits(a) {
		return a, nil
	}
	if err := g.config.Directory.recheck(ctx); err != nil {
		return nil, err
	}
	if a := g.account([]byte(username)); fits(a) {
		return a, nil
	}
	return nil, nil
}
