package auth

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// TokenConfig says whose tokens are accepted (distribution's auth.token).
type TokenConfig struct {
	Realm   string // where clients get a token; not needed with AutoRedirect
	Service string // what tokens must be made out to ("aud")
	Issuer  string // who must have made them ("iss")
	// RootCertBundle and JWKS are files; at least one is given. The first holds
	// certificates and public keys in PEM: each key verifies tokens, and each
	// certificate the chains in tokens ("x5c").
	RootCertBundle string
	JWKS           string
	// SigningAlgorithms are those accepted; none means every asymmetric one.
	SigningAlgorithms []string
	// AutoRedirect sends clients to AutoRedirectPath (default "/auth/token") on
	// the host that they asked, by https.
	AutoRedirect     bool
	AutoRedirectPath string

	Now func() time.Time // the default is time.Now
}

// Tokens accepts the bearer tokens of an external issuer (Docker Registry v2
// authentication, "Token Authentication Specification"). Only the configured
// keys count: a key or an address of one that comes in a token ("jwk", "jku")
// is ignored (CVE-2025-24976), and symmetric algorithms are refused.
type Tokens struct {
	config     TokenConfig
	algorithms []jose.SignatureAlgorithm
	keys       *tokenKeys
	now        func() time.Time
}

// leeway is how far the clocks of issuer and registry may be apart.
const leeway = time.Minute

// asymmetric are the algorithms that a public key can verify.
func asymmetric() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}
}

// OpenTokens reads the keys, once. Its errors begin with the setting below
// auth.token that is wrong.
func OpenTokens(c TokenConfig) (*Tokens, error) {
	t := &Tokens{config: c, now: c.Now, algorithms: asymmetric()}
	if t.now == nil {
		t.now = time.Now
	}
	if t.config.AutoRedirectPath == "" {
		t.config.AutoRedirectPath = "/auth/token"
	}
	switch {
	case c.Issuer == "":
		return nil, errors.New("issuer is missing")
	case c.Service == "":
		return nil, errors.New("service is missing")
	case c.Realm == "" && !c.AutoRedirect:
		return nil, errors.New("realm is missing; it is where clients get a token")
	case c.RootCertBundle == "" && c.JWKS == "":
		return nil, errors.New("rootcertbundle or jwks is missing: a file with the issuer's public keys")
	}
	if len(c.SigningAlgorithms) > 0 {
		t.algorithms = nil
		for _, name := range c.SigningAlgorithms {
			if alg := jose.SignatureAlgorithm(name); slices.Contains(asymmetric(), alg) {
				t.algorithms = append(t.algorithms, alg)
				continue
			}
			return nil, fmt.Errorf("signingalgorithms: %q is not possible; use some of %v", name, asymmetric())
		}
	}
	var err error
	t.keys, err = loadTokenKeys(c.RootCertBundle, c.JWKS)
	return t, err
}

// claims are those of a registry token.
type claims struct {
	Issuer    string           `json:"iss"`
	Subject   string           `json:"sub"`
	Audience  jwt.Audience     `json:"aud"`
	Expiry    *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf"`
	Access    []access         `json:"access"`
}

type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// verify returns who bears the token. Its error says what is wrong with it and
// is for the log; it holds nothing of the token's signature.
func (t *Tokens) verify(raw string) (Identity, error) {
	parsed, err := jwt.ParseSigned(raw, t.algorithms)
	if err != nil {
		return Identity{}, errors.New("the token is malformed, or signed with an algorithm that is not accepted")
	}
	if len(parsed.Headers) != 1 {
		return Identity{}, errors.New("the token does not have one signature")
	}
	var c claims
	if err := t.checkSignature(parsed, &c); err != nil {
		return Identity{}, err
	}
	now := t.now()
	switch {
	case c.Issuer != t.config.Issuer:
		return Identity{}, fmt.Errorf("the token is of issuer %q", c.Issuer)
	case !c.Audience.Contains(t.config.Service):
		return Identity{}, fmt.Errorf("the token is for service %q", []string(c.Audience))
	case c.Expiry == nil:
		return Identity{}, errors.New("the token does not expire")
	case now.After(c.Expiry.Time().Add(leeway)):
		return Identity{}, errors.New("the token has expired")
	case c.NotBefore != nil && now.Add(leeway).Before(c.NotBefore.Time()):
		return Identity{}, errors.New("the token is not valid yet")
	}
	return Identity{name: c.Subject, kind: bearer, grants: c.grants()}, nil
}

// checkSignature verifies the token with the key that its header names, and
// decodes the claims only then.
func (t *Tokens) checkSignature(token *jwt.JSONWebToken, c *claims) error {
	header := token.Headers[0]
	chains, err := header.Certificates(x509.VerifyOptions{
		Roots: t.keys.roots, CurrentTime: t.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	switch {
	case errors.Is(err, jose.ErrMissingX5cHeader):
	case err != nil || len(chains) == 0:
		return errors.New("the certificate chain in the token does not lead to the configured certificates")
	default:
		key := chains[0][0].PublicKey
		if !fits(key, header.Algorithm) || token.Claims(key, c) != nil {
			return errors.New("the token's signature does not match the certificate in it")
		}
		return nil
	}
	for _, k := range t.keys.named(header.KeyID) {
		if k.algorithm != "" && k.algorithm != header.Algorithm || !fits(k.key, header.Algorithm) {
			continue
		}
		if token.Claims(k.key, c) == nil {
			return nil
		}
		*c = claims{}
	}
	return errors.New("no configured key has made the token's signature")
}

// grants are the rights that a token lists. Types and actions that the
// registry does not know count for nothing.
func (c *claims) grants() *grants {
	g := &grants{exact: make(map[string][]oci.Action)}
	for _, a := range c.Access {
		switch {
		case a.Type == "repository" && slices.Contains(a.Actions, "*"):
			g.exact[a.Name] = oci.Actions()
		case a.Type == "repository":
			for _, s := range a.Actions {
				if action, err := oci.ParseAction(s); err == nil {
					g.exact[a.Name] = append(g.exact[a.Name], action)
				}
			}
		case a.Type == "registry" && a.Name == "catalog" && slices.Contains(a.Actions, "*"):
			g.wholeListed = true
		}
	}
	return g
}

// challenge returns the WWW-Authenticate value that sends a client for a token
// of this scope. failure is "", "invalid_token" or "insufficient_scope".
func (t *Tokens) challenge(r *http.Request, scope, failure string) string {
	realm := t.config.Realm
	if t.config.AutoRedirect {
		realm = "https://" + r.Host + t.config.AutoRedirectPath
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Bearer realm=%s,service=%s", quoted(realm), quoted(t.config.Service))
	if scope != "" {
		fmt.Fprintf(&b, ",scope=%s", quoted(scope))
	}
	if failure != "" {
		fmt.Fprintf(&b, ",error=%s", quoted(failure))
	}
	return b.String()
}

// quoted returns s as a quoted-string (RFC 9110 section 5.6.4), without what
// cannot be in a header.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= ' ' && c != 0x7f:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
