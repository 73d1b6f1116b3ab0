package provider

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"time"
)

// The algorithms of keys.
const (
	algorithmRSA     = "RSA"
	algorithmECDSA   = "ECDSA"
	algorithmED25519 = "ED25519"
)

// backdate is how far in the past a certificate begins, for clients whose
// clock is slow.
const backdate = time.Hour

// certificateSpec is all that decides what a certificate says. As long as two
// are equal, there is no reason to issue another one.
type certificateSpec struct {
	subject  subject
	dnsNames []string // sorted
	ips      []string // sorted, canonical
	key      keySpec
	validity time.Duration
	early    time.Duration // how long before its end it is renewed
	ca       bool
	uses     []string // sorted
	issuer   string   // which certificates the issuer has; "" for a self-signed one
}

// subject is the distinguished name.
type subject struct {
	commonName, organization, organizationalUnit, locality, province, country string
}

// keySpec says which key to make.
type keySpec struct {
	algorithm string
	bits      int64  // RSA only
	curve     string // ECDSA only
}

// equal reports whether a certificate made for t serves s as well.
func (s certificateSpec) equal(t certificateSpec) bool {
	return s.subject == t.subject && s.key == t.key && s.validity == t.validity && s.ca == t.ca && s.issuer == t.issuer &&
		slices.Equal(s.dnsNames, t.dnsNames) && slices.Equal(s.ips, t.ips) && slices.Equal(s.uses, t.uses)
}

func (s subject) name() pkix.Name {
	list := func(v string) []string {
		if v == "" {
			return nil
		}
		return []string{v}
	}
	return pkix.Name{
		CommonName:         s.commonName,
		Organization:       list(s.organization),
		OrganizationalUnit: list(s.organizationalUnit),
		Locality:           list(s.locality),
		Province:           list(s.province),
		Country:            list(s.country),
	}
}

// issued is a certificate and its key.
type issued struct {
	certificate *x509.Certificate
	chainPEM    string // the certificate, then its issuer's chain
	keyPEM      string
}

// issue makes a key and a certificate for it, signed by ca, or by itself where
// ca is nil. It never outlives its issuer.
func (s certificateSpec) issue(ca *authority, now time.Time) (*issued, error) {
	key, err := s.key.generate()
	if err != nil {
		return nil, fmt.Errorf("make the key: %w", err)
	}
	template, err := s.template(key.Public(), now)
	if err != nil {
		return nil, err
	}
	parent, signer := template, key
	var above []*x509.Certificate
	if ca != nil {
		if err := s.bind(template, ca, now); err != nil {
			return nil, err
		}
		parent, signer, above = ca.issuer(), ca.key, ca.chain
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the new certificate: %w", err)
	}
	if err := verify(certificate, above, now); err != nil {
		return nil, fmt.Errorf("clients would refuse the certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the key: %w", err)
	}
	result := &issued{certificate: certificate, keyPEM: encodePEM("PRIVATE KEY", keyDER)}
	for _, c := range append([]*x509.Certificate{certificate}, above...) {
		result.chainPEM += encodePEM("CERTIFICATE", c.Raw)
	}
	return result, nil
}

// template returns the certificate as it is before an issuer limits it.
func (s certificateSpec) template(public crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	if err != nil {
		return nil, fmt.Errorf("make the serial number: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encode the public key: %w", err)
	}
	keyID := sha256.Sum256(spki)
	now = now.UTC().Truncate(time.Second)
	c := &x509.Certificate{
		SerialNumber:          serial.Add(serial, big.NewInt(1)), // never 0
		Subject:               s.subject.name(),
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(s.validity),
		DNSNames:              s.dnsNames,
		BasicConstraintsValid: true,
		IsCA:                  s.ca,
		SubjectKeyId:          keyID[:20], // RFC 7093 section 2
	}
	for _, ip := range s.ips {
		c.IPAddresses = append(c.IPAddresses, net.ParseIP(ip))
	}
	setUses(c, s.uses)
	return c, nil
}

// bind fits the template to the issuer.
func (s certificateSpec) bind(template *x509.Certificate, ca *authority, now time.Time) error {
	issuer := ca.issuer()
	if err := checkIssuable(issuer, s, now); err != nil {
		return err
	}
	if sameName(issuer, template.Subject) {
		return errors.New("the subject is the same as the issuer's, so that clients would take the certificate for a self-signed one; choose another common_name")
	}
	if template.NotAfter.After(issuer.NotAfter) {
		template.NotAfter = issuer.NotAfter
	}
	if template.NotBefore.Before(issuer.NotBefore) {
		template.NotBefore = issuer.NotBefore
	}
	return nil
}

// verify holds the certificate to what clients will: signature, chain, names
// that the issuer may sign.
func verify(c *x509.Certificate, above []*x509.Certificate, now time.Time) error {
	roots := x509.NewCertPool()
	roots.AddCert(c)
	for i, parent := range above {
		if i == 0 {
			roots = x509.NewCertPool()
		}
		roots.AddCert(parent)
	}
	uses := c.ExtKeyUsage
	if len(uses) == 0 {
		uses = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	}
	for _, use := range uses { // of a list, Verify asks for only one
		if _, err := c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use}}); err != nil {
			return err
		}
	}
	return nil
}

func (k keySpec) generate() (crypto.Signer, error) {
	switch k.algorithm {
	case algorithmRSA:
		return rsa.GenerateKey(rand.Reader, int(k.bits))
	case algorithmECDSA:
		return ecdsa.GenerateKey(curves()[k.curve], rand.Reader)
	case algorithmED25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("unknown algorithm %q", k.algorithm)
}

func curves() map[string]elliptic.Curve {
	return map[string]elliptic.Curve{"P256": elliptic.P256(), "P384": elliptic.P384(), "P521": elliptic.P521()}
}

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

func encodePEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
