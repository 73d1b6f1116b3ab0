package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// tokenKeys are the public keys of an issuer.
type tokenKeys struct {
	all   []tokenKey
	byID  map[string][]tokenKey
	roots *x509.CertPool
}

type tokenKey struct {
	key       crypto.PublicKey
	algorithm string // that a JWKS binds it to; "" is any that fits the key
}

const maxKeyFile = 4 << 20

// loadTokenKeys reads both files; "" is none.
func loadTokenKeys(bundle, jwks string) (*tokenKeys, error) {
	k := &tokenKeys{byID: make(map[string][]tokenKey), roots: x509.NewCertPool()}
	for _, file := range []struct {
		setting, path string
		add           func([]byte) error
	}{{"rootcertbundle", bundle, k.addBundle}, {"jwks", jwks, k.addJWKS}} {
		if file.path == "" {
			continue
		}
		content, err := readBounded(file.path)
		if err == nil {
			err = file.add(content)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", file.setting, file.path, err)
		}
	}
	return k, nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		var pathErr *os.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err == nil && len(content) > maxKeyFile {
		err = fmt.Errorf("the file is larger than %d bytes", maxKeyFile)
	}
	return content, err
}

// addBundle adds the certificates and public keys of a PEM file.
func (k *tokenKeys) addBundle(content []byte) error {
	before := len(k.all)
	for n := 1; ; n++ {
		block, rest := pem.Decode(content)
		if block == nil {
			break
		}
		content = rest
		var key crypto.PublicKey
		var err error
		switch block.Type {
		case "CERTIFICATE":
			var cert *x509.Certificate
			if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
				k.roots.AddCert(cert)
				key = cert.PublicKey
			}
		case "PUBLIC KEY":
			key, err = x509.ParsePKIXPublicKey(block.Bytes)
		default:
			return fmt.Errorf("block %d is a %s; only certificates and public keys belong here", n, block.Type)
		}
		if err == nil {
			err = k.add("", key, "")
		}
		if err != nil {
			return fmt.Errorf("block %d: %w", n, err)
		}
	}
	if len(k.all) == before {
		return errors.New("it holds no certificate or public key in PEM")
	}
	return nil
}

// addJWKS adds the keys of a JSON Web Key Set (RFC 7517).
func (k *tokenKeys) addJWKS(content []byte) error {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(content, &set); err != nil || len(set.Keys) == 0 {
		return errors.New(`it is not a JSON Web Key Set with public keys ({"keys":[…]})`)
	}
	for i, jwk := range set.Keys {
		switch {
		case !jwk.IsPublic():
			return fmt.Errorf("key %d is not a public key; give the registry only public keys", i+1)
		case jwk.Use != "" && jwk.Use != "sig":
			continue
		}
		if err := k.add(jwk.KeyID, jwk.Key, jwk.Algorithm); err != nil {
			return fmt.Errorf("key %d: %w", i+1, err)
		}
	}
	if len(k.all) == 0 {
		return errors.New("none of its keys is for signatures")
	}
	return nil
}

// add adds a key under the ids that issuers give it: its own, its RFC 7638
// thumbprint as distribution 3 computes it, and libtrust's fingerprint, as
// distribution 2 did.
func (k *tokenKeys) add(id string, key crypto.PublicKey, algorithm string) error {
	switch key.(type) {
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
	default:
		return fmt.Errorf("keys of kind %T are not supported; use RSA, ECDSA or Ed25519", key)
	}
	entry := tokenKey{key, algorithm}
	k.all = append(k.all, entry)
	ids := []string{id}
	jwk := jose.JSONWebKey{Key: key}
	if sum, err := jwk.Thumbprint(crypto.SHA256); err == nil {
		ids = append(ids, base64.RawURLEncoding.EncodeToString(sum))
	}
	if der, err := x509.MarshalPKIXPublicKey(key); err == nil {
		ids = append(ids, libtrustID(der))
	}
	for _, id := range ids {
		if id != "" {
			k.byID[id] = append(k.byID[id], entry)
		}
	}
	return nil
}

// libtrustID is the first 240 bits of the hash of a key's DER, in base32, in
// groups of four.
func libtrustID(der []byte) string {
	sum := sha256.Sum256(der)
	text := base32.StdEncoding.EncodeToString(sum[:30])
	var groups []string
	for i := 0; i < len(text); i += 4 {
		groups = append(groups, text[i:i+4])
	}
	return strings.Join(groups, ":")
}

// named returns the keys of that id, or all without one.
func (k *tokenKeys) named(id string) []tokenKey {
	if id == "" {
		return k.all
	}
	return k.byID[id]
}

// fits reports whether the algorithm is one of the key's kind: a public key
// must not serve as anything else (RFC 8725 section 3.1).
func fits(key crypto.PublicKey, algorithm string) bool {
	switch key := key.(type) {
	case *rsa.PublicKey:
		return strings.HasPrefix(algorithm, "RS") || strings.HasPrefix(algorithm, "PS")
	case *ecdsa.PublicKey:
		switch key.Curve {
		case elliptic.P256():
			return algorithm == string(jose.ES256)
		case elliptic.P384():
			return algorithm == string(jose.ES384)
		case elliptic.P521():
			return algorithm == string(jose.ES512)
		}
	case ed25519.PublicKey:
		return algorithm == string(jose.EdDSA)
	}
	return false
}
