package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// issuer makes tokens as an authorization server does.
type issuer struct {
	t      *testing.T
	key    crypto.Signer
	alg    jose.SignatureAlgorithm
	header map[jose.HeaderKey]any
	claims map[string]any
}

func newIssuer(t *testing.T, w *clock) *issuer {
	return &issuer{t: t, key: newECKey(t, elliptic.P256()), alg: jose.ES256, header: map[jose.HeaderKey]any{}, claims: map[string]any{
		"iss": "issuer.example", "aud": "registry.example", "sub": "ci",
		"exp": w.now().Add(5 * time.Minute).Unix(), "nbf": w.now().Unix(), "iat": w.now().Unix(),
		"access": []access{{"repository", "team/app", []string{"pull", "push"}}},
	}}
}

func newECKey(t *testing.T, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (i *issuer) token() string {
	i.t.Helper()
	opts := &jose.SignerOptions{ExtraHeaders: i.header}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: i.alg, Key: i.key}, opts.WithType("JWT"))
	if err != nil {
		i.t.Fatal(err)
	}
	raw, err := jwt.Signed(s).Claims(i.claims).Serialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return raw
}

func publicPEM(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// certificate signs a certificate for key; without a parent it signs itself.
func certificate(t *testing.T, key crypto.Signer, parent *x509.Certificate, parentKey crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "issuer"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func certPEM(c *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func x5c(certs ...*x509.Certificate) []string {
	var chain []string
	for _, c := range certs {
		chain = append(chain, base64.StdEncoding.EncodeToString(c.Raw))
	}
	return chain
}

// tokenWorld makes a gate that trusts bundle.
func tokenWorld(t *testing.T, bundle string, edit func(*TokenConfig)) *world {
	t.Helper()
	return newWorld(t, func(w *world, c *Config) {
		conf := TokenConfig{Realm: "https://auth.example/token", Service: "registry.example", Issuer: "issuer.example",
			RootCertBundle: tempFile(t, bundle), Now: w.clock.now}
		if edit != nil {
			edit(&conf)
		}
		tokens, err := OpenTokens(conf)
		if err != nil {
			t.Fatal(err)
		}
		c.Tokens = tokens
	})
}

func bearerRequest(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func (w *world) bearer(token string) (Identity, error) {
	return w.gate.Authenticate(w.Context(), bearerRequest(token))
}

func TestTokenRights(t *testing.T) {
	i := newIssuer(t, newClock())
	w := tokenWorld(t, publicPEM(t, i.key.Public()), nil)
	w.policy("public", true, "public/*", "pull")
	i.claims["access"] = []access{
		{"repository", "team/app", []string{"pull", "push", "frobnicate"}}, {"repository", "all", []string{"*"}},
		{"repository(plugin)", "plugin", []string{"pull"}}, {"repository", "team/app", []string{"delete"}},
	}
	id, err := w.bearer(i.token())
	if err != nil || id.Name() != "ci" || id.Anonymous() || id.Admin() {
		t.Fatalf("%+v, %v", id, err)
	}
	for name, want := range map[string]int{"team/app": 3, "all": 3, "plugin": 0, "team": 0, "team/app/x": 0, "public/a": 1} {
		n := 0
		for _, a := range oci.Actions() {
			if id.May(a, oci.MustRepository(name)) {
				n++
			}
		}
		if n != want {
			t.Errorf("%s: %d rights, want %d", name, n, want)
		}
	}
	wantCode(t, id.Check(oci.Pull, oci.MustRepository("other")), oci.CodeUnauthorized)
	if id.MayList(oci.MustRepository("other")) {
		t.Error("lists without registry:catalog:*")
	}
	i.claims["access"] = []access{{"registry", "catalog", []string{"*"}}}
	if id, err = w.bearer(i.token()); err != nil || !id.MayList(oci.MustRepository("other")) || id.May(oci.Pull, oci.MustRepository("other")) {
		t.Errorf("catalog: %v", err)
	}
	i.claims["sub"] = "root" // the name of an admin
	if id, err = w.bearer(i.token()); err != nil || id.Admin() {
		t.Errorf("a token makes an admin: %v", err)
	}
	if id, err = w.login("root", adminPassword); err != nil || !id.Admin() {
		t.Errorf("users of the directory cannot log in: %v", err)
	}
}

// TestTokenVerdicts: each of these alone decides about a token.
func TestTokenVerdicts(t *testing.T) {
	at := newClock().now()
	for name, tc := range map[string]struct {
		edit func(*issuer)
		ok   bool
	}{
		"good":          {func(*issuer) {}, true},
		"aud list":      {func(i *issuer) { i.claims["aud"] = []string{"x", "registry.example"} }, true},
		"other issuer":  {func(i *issuer) { i.claims["iss"] = "issuer.example.evil" }, false},
		"no issuer":     {func(i *issuer) { delete(i.claims, "iss") }, false},
		"other service": {func(i *issuer) { i.claims["aud"] = "registry" }, false},
		"no service":    {func(i *issuer) { delete(i.claims, "aud") }, false},
		"just expired":  {func(i *issuer) { i.claims["exp"] = at.Add(-50 * time.Second).Unix() }, true},
		"expired":       {func(i *issuer) { i.claims["exp"] = at.Add(-70 * time.Second).Unix() }, false},
		"no expiry":     {func(i *issuer) { delete(i.claims, "exp") }, false},
		"bad expiry":    {func(i *issuer) { i.claims["exp"] = "soon" }, false},
		"soon valid":    {func(i *issuer) { i.claims["nbf"] = at.Add(50 * time.Second).Unix() }, true},
		"not valid yet": {func(i *issuer) { i.claims["nbf"] = at.Add(70 * time.Second).Unix() }, false},
		"no nbf":        {func(i *issuer) { delete(i.claims, "nbf") }, true},
		"bad access":    {func(i *issuer) { i.claims["access"] = "all" }, false},
		"no access":     {func(i *issuer) { delete(i.claims, "access") }, true},
		"unknown kid":   {func(i *issuer) { i.header["kid"] = "other" }, false},
		"another key":   {func(i *issuer) { i.key = newECKey(i.t, elliptic.P256()) }, false},
		"its own x5c": {func(i *issuer) {
			i.key = newECKey(i.t, elliptic.P256())
			i.header["x5c"] = x5c(certificate(i.t, i.key, nil, nil))
		}, false},
		"jku":               {func(i *issuer) { i.key = newECKey(i.t, elliptic.P256()); i.header["jku"] = "https://evil.example" }, false},
		"own key under kid": {func(i *issuer) { i.header["kid"] = thumbprint(i.t, i.key.Public()) }, true},
		"libtrust kid":      {func(i *issuer) { i.header["kid"] = libtrustOf(i.t, i.key.Public()) }, true},
		"jwk of its own": {func(i *issuer) { // CVE-2025-24976: the key id of a trusted key, and another key
			trusted := thumbprint(i.t, i.key.Public())
			i.key = newECKey(i.t, elliptic.P256())
			i.header["jwk"] = jose.JSONWebKey{Key: i.key.Public(), KeyID: trusted}
		}, false},
		"jwk that is trusted": {func(i *issuer) { i.header["jwk"] = jose.JSONWebKey{Key: i.key.Public()} }, true},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t, newClock())
			w := tokenWorld(t, publicPEM(t, i.key.Public()), nil)
			tc.edit(i)
			id, err := w.bearer(i.token())
			if tc.ok != (err == nil) {
				t.Fatalf("got %v", err)
			}
			if !tc.ok {
				wantCode(t, err, oci.CodeUnauthorized)
				if id != (Identity{}) {
					t.Error("an identity beside an error")
				}
			}
		})
	}
}

func thumbprint(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

func libtrustOf(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return libtrustID(der)
}

// TestForgedAlgorithms: a public key is no HMAC key, and "none" no signature.
func TestForgedAlgorithms(t *testing.T) {
	i := newIssuer(t, newClock())
	bundle := publicPEM(t, i.key.Public())
	w := tokenWorld(t, bundle, nil)
	body := strings.Split(i.token(), ".")[1]
	part := func(v string) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) }
	hs, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(bundle)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := jwt.Signed(hs).Claims(i.claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	good := i.token()
	for name, token := range map[string]string{
		"HS256":           forged,
		"none":            part(`{"alg":"none"}`) + "." + body + ".",
		"None":            part(`{"alg":"None"}`) + "." + body + ".",
		"no signature":    good[:strings.LastIndex(good, ".")+1],
		"no alg":          part(`{}`) + "." + body + ".AAAA",
		"flipped":         good[:len(good)-4] + "AAAA",
		"truncated":       good[:len(good)/2],
		"two dots":        "..",
		"JSON":            `{"payload":"e30","signatures":[]}`,
		"control":         "a\x00b.c.d",
		"crit":            part(`{"alg":"ES256","crit":["x"],"x":1}`) + "." + body + ".AAAA",
		"deep":            part(strings.Repeat("[", 5000)) + "." + body + ".AAAA",
		"private jwk":     part(`{"alg":"ES256","jwk":{"kty":"oct","k":"AAAA"}}`) + "." + body + ".AAAA",
		"wrong algorithm": part(`{"alg":"RS256"}`) + good[strings.Index(good, "."):],
	} {
		_, err := w.bearer(token)
		if err == nil || oci.ErrorCode(err) != oci.CodeUnauthorized {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeyKinds(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p384, p521 := newECKey(t, elliptic.P384()), newECKey(t, elliptic.P521())
	for alg, key := range map[jose.SignatureAlgorithm]crypto.Signer{
		jose.RS256: rsaKey, jose.PS512: rsaKey, jose.ES384: p384, jose.ES512: p521, jose.EdDSA: edKey,
	} {
		i := newIssuer(t, newClock())
		i.key, i.alg = key, alg
		if _, err := tokenWorld(t, publicPEM(t, key.Public()), nil).bearer(i.token()); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		only := func(c *TokenConfig) { c.SigningAlgorithms = []string{"ES256"} }
		if _, err := tokenWorld(t, publicPEM(t, key.Public()), only).bearer(i.token()); err == nil {
			t.Errorf("%s is accepted although only ES256 is configured", alg)
		}
		for _, other := range asymmetric() {
			same := other == alg || strings.Contains("RS PS", string(alg[:2])) && strings.Contains("RS PS", string(other[:2]))
			if fits(key.Public(), string(other)) != same {
				t.Errorf("a key for %s and algorithm %s: fits %v", alg, other, !same)
			}
		}
	}
}

func TestCertificateChains(t *testing.T) {
	rootKey, middleKey, leafKey := newECKey(t, elliptic.P256()), newECKey(t, elliptic.P256()), newECKey(t, elliptic.P256())
	root := certificate(t, rootKey, nil, nil)
	middle := certificate(t, middleKey, root, rootKey)
	leaf := certificate(t, leafKey, middle, middleKey)
	w := tokenWorld(t, certPEM(root), nil)
	for name, tc := range map[string]struct {
		key   crypto.Signer
		chain []*x509.Certificate
		ok    bool
	}{
		"root itself":  {rootKey, nil, true},
		"chain":        {leafKey, []*x509.Certificate{leaf, middle}, true},
		"with root":    {leafKey, []*x509.Certificate{leaf, middle, root}, true},
		"broken chain": {leafKey, []*x509.Certificate{leaf}, false},
		"another key":  {newECKey(t, elliptic.P256()), []*x509.Certificate{leaf, middle}, false},
		"order":        {middleKey, []*x509.Certificate{leaf, middle}, false},
		"no chain":     {leafKey, nil, false},
	} {
		i := newIssuer(t, newClock())
		i.key = tc.key
		if tc.chain != nil {
			i.header["x5c"] = x5c(tc.chain...)
		}
		if _, err := w.bearer(i.token()); tc.ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.clock.add(2 * 365 * 24 * time.Hour) // all certificates have expired
	i := newIssuer(t, w.clock)
	i.key, i.header["x5c"] = leafKey, x5c(leaf, middle)
	if _, err := w.bearer(i.token()); err == nil {
		t.Error("an expired chain is accepted")
	}
}

func TestJWKS(t *testing.T) {
	i := newIssuer(t, newClock())
	file := func(keys ...jose.JSONWebKey) string {
		b, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		return tempFile(t, string(b))
	}
	use := func(path string) func(*TokenConfig) {
		return func(c *TokenConfig) { c.RootCertBundle, c.JWKS = "", path }
	}
	public := jose.JSONWebKey{Key: i.key.Public(), KeyID: "key-1", Algorithm: "ES256", Use: "sig"}
	w := tokenWorld(t, "", use(file(public)))
	for kid, ok := range map[string]bool{"": true, "key-1": true, thumbprint(t, i.key.Public()): true, "key-2": false} {
		delete(i.header, "kid")
		if kid != "" {
			i.header["kid"] = kid
		}
		if _, err := w.bearer(i.token()); ok != (err == nil) {
			t.Errorf("kid %q: %v", kid, err)
		}
	}
	delete(i.header, "kid")
	bound := public
	bound.Algorithm = "ES384"
	if _, err := tokenWorld(t, "", use(file(bound))).bearer(i.token()); err == nil {
		t.Error("a key serves another algorithm than its own")
	}
	for name, path := range map[string]string{
		"private":   file(jose.JSONWebKey{Key: i.key}),
		"symmetric": file(jose.JSONWebKey{Key: []byte("a secret of enough bytes")}),
		"none":      file(),
		"enc":       file(jose.JSONWebKey{Key: i.key.Public(), Use: "enc"}),
		"garbage":   tempFile(t, "{"),
		"missing":   tempFile(t, "") + "x",
	} {
		c := TokenConfig{Realm: "r", Service: "s", Issuer: "i", JWKS: path}
		if _, err := OpenTokens(c); err == nil || !strings.HasPrefix(err.Error(), "jwks: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokenConfigErrors(t *testing.T) {
	good := TokenConfig{Realm: "r", Service: "s", Issuer: "i", RootCertBundle: tempFile(t, publicPEM(t, newECKey(t, elliptic.P256()).Public()))}
	if _, err := OpenTokens(good); err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(newECKey(t, elliptic.P256()))
	if err != nil {
		t.Fatal(err)
	}
	p224 := newECKey(t, elliptic.P224())
	for name, edit := range map[string]func(*TokenConfig){
		"issuer is missing":        func(c *TokenConfig) { c.Issuer = "" },
		"service is missing":       func(c *TokenConfig) { c.Service = "" },
		"realm is missing":         func(c *TokenConfig) { c.Realm = "" },
		"rootcertbundle or jwks":   func(c *TokenConfig) { c.RootCertBundle = "" },
		`"HS256" is not possible`:  func(c *TokenConfig) { c.SigningAlgorithms = []string{"ES256", "HS256"} },
		`"none" is not possible`:   func(c *TokenConfig) { c.SigningAlgorithms = []string{"none"} },
		"no such file":             func(c *TokenConfig) { c.RootCertBundle += "x" },
		"no certificate or public": func(c *TokenConfig) { c.RootCertBundle = tempFile(t, "x") },
		"block 1 is a PRIVATE KEY": func(c *TokenConfig) {
			c.RootCertBundle = tempFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
		},
		"block 1: x509": func(c *TokenConfig) {
			c.RootCertBundle = tempFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})))
		},
		"larger than": func(c *TokenConfig) { c.RootCertBundle = tempFile(t, strings.Repeat("x", maxKeyFile+1)) },
	} {
		c := good
		edit(&c)
		if _, err := OpenTokens(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %q", err, name)
		}
	}
	if fits(p224.Public(), "ES256") || fits("key", "ES256") {
		t.Error("an unknown key fits")
	}
}

func TestTokenChallenge(t *testing.T) {
	i := newIssuer(t, newClock())
	w := tokenWorld(t, publicPEM(t, i.key.Public()), nil)
	app := oci.MustRepository("team/app")
	const prefix = `Bearer realm="https://auth.example/token",service="registry.example"`
	request := func(path, token string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return r
	}
	for _, tc := range []struct {
		r       *http.Request
		repo    oci.Repository
		actions []oci.Action
		want    string
	}{
		{request("/v2/", ""), oci.Repository{}, nil, ""},
		{request("/v2/_catalog", ""), oci.Repository{}, nil, `,scope="registry:catalog:*"`},
		{request("/v2/x", ""), app, []oci.Action{oci.Push, oci.Pull}, `,scope="repository:team/app:pull,push"`},
		{request("/v2/x", "rubbish"), app, []oci.Action{oci.Delete}, `,scope="repository:team/app:delete",error="invalid_token"`},
		{request("/v2/x", i.token()), app, []oci.Action{oci.Delete}, `,scope="repository:team/app:delete",error="insufficient_scope"`},
		{basicRequest("192.0.2.1", "a", "b"), app, []oci.Action{oci.Pull}, `,scope="repository:team/app:pull"`},
	} {
		if got := w.gate.Challenge(tc.r, tc.repo, tc.actions...); got != prefix+tc.want {
			t.Errorf("got  %s\nwant %s", got, prefix+tc.want)
		}
	}
	w = tokenWorld(t, publicPEM(t, i.key.Public()), func(c *TokenConfig) { c.AutoRedirect, c.Realm = true, "" })
	r := request("/v2/", "")
	r.Host = `registry.example:5000"`
	if got, want := w.gate.Challenge(r, oci.Repository{}), `Bearer realm="https://registry.example:5000\"/auth/token",service="registry.example"`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
