package provider

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"time"
)

// loadBalancerCertificate is what ACM gets: a certificate with its key and the
// certificates that lead from it to a root. ACM and load balancers refuse much
// of it, often late and in few words, so everything is looked at before.
type loadBalancerCertificate struct {
	leaf  *x509.Certificate
	chain []*x509.Certificate // without the leaf
	key   crypto.Signer
}

// parseLeaf parses a single certificate that a load balancer can use.
func parseLeaf(text string) (*x509.Certificate, error) {
	found, err := parseCertificates(text)
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		return nil, fmt.Errorf("there are %d certificates; the first one belongs here, and the others in certificate_chain_pem", len(found))
	}
	return found[0], checkLoadBalancerKey(found[0])
}

// checkLoadBalancerKey refuses keys that ACM or an Application Load Balancer
// does not take.
func checkLoadBalancerKey(c *x509.Certificate) error {
	const fitting = "RSA with 2048, 3072 or 4096 bits, or ECDSA on P256, P384 or P521"
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if bits := key.N.BitLen(); !slices.Contains([]int{2048, 3072, 4096}, bits) {
			return fmt.Errorf("its key is RSA with %d bits, which load balancers do not take; make one that they take: %s", bits, fitting)
		}
	case *ecdsa.PublicKey:
		if !slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, key.Curve) {
			return fmt.Errorf("its key is on the curve %s, which load balancers do not take; make one that they take: %s", key.Curve.Params().Name, fitting)
		}
	default:
		return fmt.Errorf("its key is %s, which load balancers do not take; make one that they take: %s", c.PublicKeyAlgorithm, fitting)
	}
	return nil
}

// parseChain parses the certificates above the leaf, in order. As in what
// servers send, the leaf itself may come first; ACM wants it left out.
func parseChain(text string, leaf *x509.Certificate) ([]*x509.Certificate, error) {
	if text == "" {
		return nil, nil
	}
	chain, err := parseCertificates(text)
	if err != nil {
		return nil, err
	}
	if chain[0].Equal(leaf) {
		chain = chain[1:]
	}
	for i, below := 0, leaf; i < len(chain); i, below = i+1, chain[i] {
		if err := below.CheckSignatureFrom(chain[i]); err != nil {
			return nil, fmt.Errorf("%s is not signed by the certificate that follows it, %s; each certificate of the chain must have signed the one before, beginning with the one that signed certificate_pem",
				nameOf(below), nameOf(chain[i]))
		}
	}
	return chain, nil
}

// linked is the part of a chain that leads on from the leaf.
func linked(leaf *x509.Certificate, chain []*x509.Certificate) []*x509.Certificate {
	for i, below := 0, leaf; i < len(chain); i, below = i+1, chain[i] {
		if below.CheckSignatureFrom(chain[i]) != nil {
			return chain[:i]
		}
	}
	return chain
}

// checkNow says why ACM does not take the certificate at this time.
func (c loadBalancerCertificate) checkNow(now time.Time) error {
	leaf := c.leaf
	if len(leaf.DNSNames)+len(leaf.IPAddresses) == 0 && leaf.Subject.CommonName == "" {
		return errors.New("it has no name: clients look for the name of the server in it")
	}
	for _, one := range append([]*x509.Certificate{leaf}, c.chain...) {
		switch {
		case now.Before(one.NotBefore):
			return fmt.Errorf("%s is valid only from %s on; is the clock of this machine right?", nameOf(one), one.NotBefore.Format(time.RFC3339))
		case !now.Before(one.NotAfter):
			return fmt.Errorf("%s ended on %s; renew it first", nameOf(one), one.NotAfter.Format(time.RFC3339))
		}
	}
	return nil
}

// checkPair returns an error unless the key belongs to the leaf.
func (c loadBalancerCertificate) checkPair() error {
	public, ok := c.key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(c.leaf.PublicKey) {
		return fmt.Errorf("the private key does not belong to the certificate (%s)", nameOf(c.leaf))
	}
	return nil
}

// keyPEM is the key in the one form that everybody reads.
func (c loadBalancerCertificate) keyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return nil, fmt.Errorf("encode the key: %w", err)
	}
	return []byte(encodePEM("PRIVATE KEY", der)), nil
}

// chainPEM is nil for no chain.
func chainPEM(chain []*x509.Certificate) []byte {
	var text []byte
	for _, c := range chain {
		text = append(text, encodePEM("CERTIFICATE", c.Raw)...)
	}
	return text
}

// normalPEM is the same for all spellings of the same blocks: line ends, space
// and text around them. What holds no block it leaves as it is.
func normalPEM(text string) string {
	normal := ""
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		normal += encodePEM(block.Type, block.Bytes)
	}
	if normal == "" {
		return text
	}
	return normal
}

// samePEM reports whether two texts hold the same blocks.
func samePEM(a, b string) bool { return normalPEM(a) == normalPEM(b) }
