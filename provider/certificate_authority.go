package provider

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

// authority is what signs a certificate: an issuer with its own chain, and its
// key.
type authority struct {
	chain []*x509.Certificate // the issuer first
	key   crypto.Signer
}

func (a *authority) issuer() *x509.Certificate { return a.chain[0] }

// parseIssuer parses issuer.certificate_pem: the certificate of a CA, and after
// it, if there are any, those that lead from it to a root.
func parseIssuer(s string) ([]*x509.Certificate, error) {
	chain, err := parseCertificates(s)
	if err != nil {
		return nil, err
	}
	ca := chain[0]
	switch {
	case !ca.BasicConstraintsValid || !ca.IsCA:
		return nil, fmt.Errorf("the certificate of the issuer (%s) is not that of a CA, so no client would accept what it signs; a registry_certificate needs is_ca_certificate = true", nameOf(ca))
	case ca.KeyUsage != 0 && ca.KeyUsage&x509.KeyUsageCertSign == 0:
		return nil, fmt.Errorf("the certificate of the issuer (%s) does not allow to sign certificates (key usage cert_signing)", nameOf(ca))
	}
	for i, c := range chain[1:] {
		if err := chain[i].CheckSignatureFrom(c); err != nil {
			return nil, fmt.Errorf("the chain of the issuer is broken: %s is not signed by the certificate that follows it, %s", nameOf(chain[i]), nameOf(c))
		}
	}
	return chain, nil
}

// parsePrivateKey parses an unencrypted private key in PEM, as openssl and
// this provider write them. Its errors never hold any of it.
func parsePrivateKey(s string) (crypto.Signer, error) {
	for rest := []byte(s); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, errors.New("there is no private key in PEM (-----BEGIN PRIVATE KEY-----)")
		}
		var key any
		var err error
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY", strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return nil, errors.New("the private key is encrypted; decrypt it first, with openssl pkey -in FILE")
		case block.Type == "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case block.Type == "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case block.Type == "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		default:
			continue // openssl writes EC PARAMETERS before the key
		}
		signer, ok := key.(crypto.Signer)
		if err != nil || !ok {
			return nil, errors.New("the private key cannot be read; it must be RSA, ECDSA (P224 to P521) or Ed25519")
		}
		return signer, nil
	}
}

// checkKey returns an error unless the key belongs to the issuer.
func checkKey(c *x509.Certificate, key crypto.Signer) error {
	if !belongs(c, key) {
		return fmt.Errorf("the private key does not belong to the certificate of the issuer (%s)", nameOf(c))
	}
	return nil
}

// belongs reports whether the key is that of the certificate.
func belongs(c *x509.Certificate, key crypto.Signer) bool {
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		return public.Equal(c.PublicKey)
	case *ecdsa.PublicKey:
		return public.Equal(c.PublicKey)
	case ed25519.PublicKey:
		return public.Equal(c.PublicKey)
	}
	return false
}

// checkIssuable returns why the issuer cannot sign the certificate now, or nil.
func checkIssuable(ca *x509.Certificate, s certificateSpec, now time.Time) error {
	switch {
	case now.Before(ca.NotBefore):
		return fmt.Errorf("the certificate of the issuer (%s) is valid only from %s on; is the clock of this machine right?", nameOf(ca), ca.NotBefore.Format(time.RFC3339))
	case !now.Before(ca.NotAfter):
		return fmt.Errorf("the certificate of the issuer (%s) ended on %s; renew it first", nameOf(ca), ca.NotAfter.Format(time.RFC3339))
	case s.ca && ca.MaxPathLenZero:
		return fmt.Errorf("the issuer (%s) may not sign other CAs (path length 0)", nameOf(ca))
	}
	left := ca.NotAfter.Sub(now)
	if s.early >= left {
		return fmt.Errorf("the certificate of the issuer (%s) ends on %s, within the %d hours of early_renewal_hours, so that the new certificate would be due for renewal at once; renew the issuer first. "+
			"Give a CA an early_renewal_hours of at least the validity_period_hours of what it signs",
			nameOf(ca), ca.NotAfter.Format(time.RFC3339), int64(s.early/time.Hour))
	}
	return nil
}

// sameName reports whether subject and issuer would be the same name, which
// clients take for a self-signed certificate. OpenSSL ignores case and how the
// name is encoded.
func sameName(ca *x509.Certificate, subject pkix.Name) bool {
	name := subject.String()
	return name != "" && strings.EqualFold(name, ca.Subject.String())
}

// nameOf names a certificate in messages.
func nameOf(c *x509.Certificate) string {
	if name := c.Subject.String(); name != "" {
		return name
	}
	return fmt.Sprintf("serial number %x", c.SerialNumber)
}
