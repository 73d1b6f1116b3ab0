package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"golang.org/x/crypto/bcrypt"
)

// Ensure that auth.token takes what its issuer signed, for what it grants.
func TestExternalTokens(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwks, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256"}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, jwks, 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := newTestServer(t, fmt.Sprintf("http: {addr: '127.0.0.1:0'}\nauth: {token: {realm: 'https://issuer.example/token', service: registry, issuer: issuer, jwks: %q}}", file))
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k1"}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(map[string]any{
		"iss": "issuer", "aud": "registry", "sub": "robot", "exp": time.Now().Add(time.Minute).Unix(), "nbf": time.Now().Unix(),
		"access": []map[string]any{{"type": "repository", "name": "team/app", "actions": []string{"pull", "push"}}},
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, token string
		status              int
		challenge           string
	}{
		{"POST", "/v2/team/app/blobs/uploads/", token, 202, ""},
		{"GET", "/v2/", token, 200, ""},
		{"GET", "/v2/", "", 401, `Bearer realm="https://issuer.example/token"`},
		{"POST", "/v2/other/blobs/uploads/", token, 401, `insufficient_scope`},
		{"POST", "/v2/other/blobs/uploads/", token, 401, `scope="repository:other:pull,push"`},
		{"GET", "/v2/", token + "x", 401, `invalid_token`},
		{"GET", "/api/v1/users", token, 401, `Basic`},
	} {
		r := httptest.NewRequest(c.method, c.path, nil)
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if got := w.Header().Get("WWW-Authenticate"); w.Code != c.status && (c.path != "/api/v1/users" || w.Code != 403) || w.Code == 401 && !strings.Contains(got, c.challenge) {
			t.Errorf("%s %s: %d %q; want %d %q", c.method, c.path, w.Code, got, c.status, c.challenge)
		}
	}
}

// Ensure that users of an htpasswd file may read and write, that the file is
// read anew when it changes, and that a managed user shadows one in it.
func TestHTPasswdFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "htpasswd")
	write := func(password string) {
		hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, fmt.Appendf(nil, "# users\n\nalice:%s\nadmin:%s\n", hash, hash), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first password")
	s, _ := newTestServer(t, fmt.Sprintf("http: {addr: '127.0.0.1:0'}\nauth: {htpasswd: {realm: registry, path: %q}}", file), "REGISTRY_ADMIN_PASSWORD=admin password")
	status := func(user, password, method, path string) int {
		r := httptest.NewRequest(method, path, nil)
		r.SetBasicAuth(user, password)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		return w.Code
	}
	if got := status("alice", "first password", "POST", "/v2/any/blobs/uploads/"); got != http.StatusAccepted {
		t.Errorf("alice may push anywhere; got %d", got)
	}
	if got := status("alice", "first password", "GET", "/api/v1/users"); got != http.StatusForbidden {
		t.Errorf("alice is no admin; got %d", got)
	}
	if got := status("admin", "first password", "GET", "/v2/"); got != http.StatusUnauthorized {
		t.Errorf("the managed admin shadows the one in the file; got %d", got)
	}
	if got := status("admin", "admin password", "GET", "/api/v1/users"); got != http.StatusOK {
		t.Errorf("the configured admin: %d", got)
	}
	write("a second password, longer")
	waitFor(t, "the changed file", func() bool { return status("alice", "a second password, longer", "GET", "/v2/") == http.StatusOK })
	if got := status("alice", "first password", "GET", "/v2/"); got != http.StatusUnauthorized {
		t.Errorf("the old password: %d", got)
	}
}

// Ensure that with client CAs only their certificates get in.
func TestClientCertificates(t *testing.T) {
	dir := t.TempDir()
	cert, key, clientCert, clientKey := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem"), filepath.Join(dir, "cc.pem"), filepath.Join(dir, "ck.pem")
	writeCertificate(t, cert, key, "server")
	writeCertificate(t, clientCert, clientKey, "client")
	s, _ := newTestServer(t, fmt.Sprintf("http: {addr: '127.0.0.1:0', tls: {certificate: %q, key: %q, clientcas: [%q]}}\nauth: none", cert, key, clientCert))
	server := httptest.NewUnstartedServer(s.Handler())
	server.TLS = s.tls.Config()
	server.StartTLS()
	defer server.Close()

	pem, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	get := func(certificates ...tls.Certificate) error {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: certificates}}}
		resp, err := client.Get(server.URL + "/v2/")
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := get(); err == nil {
		t.Error("a client without a certificate got in")
	}
	mine, err := tls.LoadX509KeyPair(clientCert, clientKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := get(mine); err != nil {
		t.Errorf("a client with a certificate: %v", err)
	}
}
