package certificates

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// The bounds of what can be installed.
const (
	maxPEM     = 128 << 10
	maxChain   = 10
	minRSABits = 2048
)

// parsePair parses and checks a certificate with its chain, leaf first, and its
// private key, all in PEM. Its errors are INVALID, say what to do, and never
// hold what was parsed.
func parsePair(chainPEM, keyPEM string, now time.Time) (*tls.Certificate, error) {
	chain, err := parseChain(chainPEM)
	if err != nil {
		return nil, err
	}
	leaf := chain[0]
	if err := checkLeaf(leaf, now); err != nil {
		return nil, err
	}
	if err := checkChain(chain); err != nil {
		return nil, err
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, err
	}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(leaf.PublicKey) {
		return nil, oci.Errorf(oci.CodeInvalid, "the private key does not belong to the first certificate")
	}
	cert := &tls.Certificate{PrivateKey: key, Leaf: leaf}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, nil
}

func parseChain(text string) ([]*x509.Certificate, error) {
	if len(text) > maxPEM {
		return nil, oci.Errorf(oci.CodeInvalid, "the certificates are longer than %d bytes; install the leaf and its intermediates only", maxPEM)
	}
	var chain []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil && len(bytes.TrimSpace(rest)) > 0 && bytes.Contains(rest, []byte("-----BEGIN")):
			return nil, oci.Errorf(oci.CodeInvalid, "certificate %d is not complete PEM", len(chain)+1)
		case block == nil && len(chain) == 0:
			return nil, oci.Errorf(oci.CodeInvalid, "there is no certificate in PEM (-----BEGIN CERTIFICATE-----)")
		case block == nil:
			return chain, nil
		case block.Type != "CERTIFICATE":
			return nil, oci.Errorf(oci.CodeInvalid, "among the certificates is a PEM block of another type; the private key has a field of its own")
		case len(chain) == maxChain:
			return nil, oci.Errorf(oci.CodeInvalid, "there are more than %d certificates; install the leaf and its intermediates only", maxChain)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, &oci.Error{Code: oci.CodeInvalid, Message: "a PEM block among the certificates holds no X.509 certificate", Err: err}
		}
		chain = append(chain, c)
	}
}

func checkLeaf(leaf *x509.Certificate, now time.Time) error {
	// A minute more or less is what clocks differ by.
	switch {
	case now.After(leaf.NotAfter):
		return oci.Errorf(oci.CodeInvalid, "the certificate has expired, on %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	case now.Add(time.Minute).Before(leaf.NotBefore):
		return oci.Errorf(oci.CodeInvalid, "the certificate cannot be used before %s; install it then", leaf.NotBefore.UTC().Format(time.RFC3339))
	case len(leaf.DNSNames)+len(leaf.IPAddresses) == 0:
		return oci.Errorf(oci.CodeInvalid, "the certificate names no DNS name and no IP address (subjectAltName); clients do not look at its common name")
	}
	for _, usage := range leaf.ExtKeyUsage {
		if usage == x509.ExtKeyUsageServerAuth || usage == x509.ExtKeyUsageAny {
			return nil
		}
	}
	if len(leaf.ExtKeyUsage)+len(leaf.UnknownExtKeyUsage) > 0 {
		return oci.Errorf(oci.CodeInvalid, "the certificate is not one for servers: its extended key usages lack serverAuth")
	}
	return nil
}

// checkChain checks that each certificate was signed by the next.
func checkChain(chain []*x509.Certificate) error {
	for i, c := range chain[:len(chain)-1] {
		if !bytes.Equal(c.RawIssuer, chain[i+1].RawSubject) || c.CheckSignatureFrom(chain[i+1]) != nil {
			return oci.Errorf(oci.CodeInvalid, "certificate %d was not signed by certificate %d; put the server's own first, and each before the one that signed it", i+1, i+2)
		}
	}
	return nil
}

func parseKey(text string) (crypto.Signer, error) {
	block, rest := pem.Decode([]byte(text))
	switch {
	case len(text) > maxPEM:
		return nil, oci.Errorf(oci.CodeInvalid, "the private key is longer than %d bytes", maxPEM)
	case block != nil && block.Type == "EC PARAMETERS": // openssl ecparam -genkey puts them before the key
		block, rest = pem.Decode(rest)
	}
	switch {
	case block == nil:
		return nil, oci.Errorf(oci.CodeInvalid, "there is no private key in PEM (-----BEGIN PRIVATE KEY-----)")
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, oci.Errorf(oci.CodeInvalid, "the private key is encrypted; decrypt it first (openssl pkey -in key.pem)")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, oci.Errorf(oci.CodeInvalid, "there is something after the private key; remove it")
	}
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, oci.Errorf(oci.CodeInvalid, "the PEM block of the private key is not of a type that is one (PRIVATE KEY, RSA PRIVATE KEY, EC PRIVATE KEY)")
	}
	if err != nil { // not passed on: it could hold a part of the key
		return nil, oci.Errorf(oci.CodeInvalid, "the private key is damaged")
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if key.N.BitLen() < minRSABits {
			return nil, oci.Errorf(oci.CodeInvalid, "the RSA key has %d bits; at least %d are needed", key.N.BitLen(), minRSABits)
		}
		return key, nil
	case *ecdsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, oci.Errorf(oci.CodeInvalid, "the private key is of a kind that TLS does not use; make an ECDSA or RSA one")
}

// encodeChain returns the certificates in PEM.
func encodeChain(cert *tls.Certificate) string {
	var b bytes.Buffer
	for _, der := range cert.Certificate {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	return b.String()
}
