package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// ScopedTokens makes and reads the tokens of /token: good for a few minutes,
// for what was asked for and no more. They are sealed with a key of the server
// and stored nowhere, so that every server with that key takes them.
type ScopedTokens struct {
	keys  *Keyring
	realm func(*http.Request) string
	now   func() time.Time
}

// ScopedConfig is what ScopedTokens need. Keys and Realm are required.
type ScopedConfig struct {
	// Keys must be secret from whoever can read the storage, if that is not the
	// machine itself: they are what logins rest on.
	Keys *Keyring
	// Realm returns the URL of /token for the client that sent a request, or ""
	// where it cannot be told: the client then is asked for a password.
	Realm func(*http.Request) string
	Now   func() time.Time // the default is time.Now
}

// NewScopedTokens returns the tokens of /token.
func NewScopedTokens(c ScopedConfig) *ScopedTokens {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &ScopedTokens{keys: c.Keys, realm: c.Realm, now: c.Now}
}

const (
	// scopedLifetime is how long a token of /token is good. Clients get another
	// one when it is over.
	scopedLifetime = 5 * time.Minute
	scopedPurpose  = "scoped token"
	maxScopedToken = 12 << 10
)

// ScopedToken is the answer of /token.
type ScopedToken struct {
	Token    string // secret
	Scope    Scope  // what of that which was asked for it grants
	IssuedAt time.Time
	Lifetime time.Duration
}

// scopedClaims are what is sealed in a token, in JSON.
type scopedClaims struct {
	Subject    string `json:"sub,omitempty"` // "" is a caller without credentials
	Generation string `json:"gen,omitempty"` // of the subject
	Token      string `json:"tok,omitempty"` // id of the issued token that the subject logged in with
	IssuedAt   int64  `json:"iat"`
	Expires    int64  `json:"exp"`
	Scope      string `json:"scope,omitempty"`

	grants *grants // of Scope
}

// issue makes a token for what the identity may do.
func (t *ScopedTokens) issue(id Identity, allowed Scope) (ScopedToken, error) {
	now := t.now().UTC().Truncate(time.Second)
	issued := ScopedToken{Scope: allowed, IssuedAt: now, Lifetime: scopedLifetime}
	plain, err := json.Marshal(scopedClaims{
		Subject: id.name, Generation: id.generation, Token: id.token,
		IssuedAt: now.Unix(), Expires: now.Add(scopedLifetime).Unix(), Scope: issued.Scope.String(),
	})
	if err != nil {
		return ScopedToken{}, err
	}
	sealed, err := t.keys.Seal(scopedPurpose, plain, nil)
	if err != nil {
		return ScopedToken{}, fmt.Errorf("seal a token: %w", err)
	}
	issued.Token = base64.RawURLEncoding.EncodeToString(sealed)
	return issued, nil
}

// open returns what is sealed in a token. Its error is for the log and holds
// nothing of the token.
func (t *ScopedTokens) open(token string) (scopedClaims, error) {
	var c scopedClaims
	if len(token) > maxScopedToken {
		return c, errors.New("the token is too long")
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil {
		return c, errors.New("the token is none of this registry")
	}
	plain, err := t.keys.Open(scopedPurpose, sealed, nil)
	if err != nil {
		return c, errors.New("the token was not made with a key of this registry")
	}
	if err := json.Unmarshal(plain, &c); err != nil {
		return c, errors.New("the token was made by a newer server")
	}
	switch now := t.now(); {
	case now.After(time.Unix(c.Expires, 0).Add(leeway)):
		return c, errors.New("the token has expired")
	case now.Add(leeway).Before(time.Unix(c.IssuedAt, 0)):
		return c, errors.New("the token is not valid yet; do the clocks differ?")
	}
	var scope Scope
	if err := scope.addAll(c.Scope); err != nil {
		return c, errors.New("the token was made by a newer server")
	}
	c.grants = scope.grants()
	return c, nil
}

// ServesTokens reports whether the registry makes tokens at /token.
func (g *Gate) ServesTokens() bool { return g.config.Scoped != nil && g.config.Tokens == nil }

// IssueScoped makes a token for who has logged in, or for a caller without
// credentials. UNAUTHORIZED for who came with such a token, and for a caller
// without credentials who may do nothing of what is asked for: that is where
// clients say best that a login is missing. Other errors are those of
// AnonymousPull.
func (g *Gate) IssueScoped(ctx context.Context, id Identity, scope Scope) (ScopedToken, error) {
	if id.scoped != nil {
		return ScopedToken{}, oci.Errorf(oci.CodeUnauthorized, "a token of this path is no login; send user name and password")
	}
	allowed, err := scope.allowed(func(a oci.Action, repo oci.Repository) (bool, error) {
		if id.mayUnscoped(a, repo) {
			return true, nil
		}
		return g.anybodyMay(ctx, a, repo)
	})
	if err != nil {
		return ScopedToken{}, err
	}
	if id.Anonymous() && len(scope.items) > 0 && len(allowed.items) == 0 {
		return ScopedToken{}, loginFirst(nil)
	}
	g.scoped.Add(1)
	return g.config.Scoped.issue(id, allowed)
}

// scopedToken returns who bears a token of /token. What that user may do is
// looked up now: the token only narrows it.
func (g *Gate) scopedToken(ctx context.Context, token string) (Identity, error) {
	c, err := g.config.Scoped.open(token)
	if err != nil {
		return Identity{}, g.refuseToken(ctx, err.Error())
	}
	id := g.stranger()
	if c.Subject != "" {
		if g.config.Directory.stale() {
			return Identity{}, errStale()
		}
		a, err := g.holder(ctx, c.Subject, c.Generation)
		switch {
		case err != nil:
			return Identity{}, err
		case a == nil:
			return Identity{}, g.refuseToken(ctx, "its user is disabled, gone or has another password")
		}
		id = a.identity
	}
	if c.Token != "" {
		record, err := g.config.Issued.lookup(ctx, c.Token, "")
		switch {
		case err != nil:
			return Identity{}, err
		case record == nil:
			return Identity{}, g.refuseToken(ctx, "the issued token that it was got with was revoked or has expired")
		}
		id.token, id.narrowed = c.Token, record.limit
	}
	id.scoped = c.grants
	return id, nil
}

// scopedChallenge sends a client for a token, or returns "" where it cannot be
// told where to.
func (g *Gate) scopedChallenge(r *http.Request, scope string) string {
	realm := g.config.Scoped.realm(r)
	if realm == "" {
		return ""
	}
	challenge := "Bearer realm=" + quoted(realm) + ",service=" + quoted(r.Host)
	if scope != "" {
		challenge += ",scope=" + quoted(scope)
	}
	if c, err := parseAuthorization(r.Header["Authorization"], nil); err == nil && c.scheme == bearerScheme {
		failure := "insufficient_scope"
		if _, err := g.config.Scoped.open(c.token); err != nil {
			failure = "invalid_token"
		}
		challenge += ",error=" + quoted(failure)
	}
	return challenge
}
