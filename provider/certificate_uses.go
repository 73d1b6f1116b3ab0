package provider

import (
	"crypto/x509"
	"maps"
	"slices"
)

// keyUses maps the values of allowed_uses that are key usages (RFC 5280
// section 4.2.1.3) to what the certificate says.
func keyUses() map[string]x509.KeyUsage {
	return map[string]x509.KeyUsage{
		"digital_signature":  x509.KeyUsageDigitalSignature,
		"content_commitment": x509.KeyUsageContentCommitment,
		"key_encipherment":   x509.KeyUsageKeyEncipherment,
		"data_encipherment":  x509.KeyUsageDataEncipherment,
		"key_agreement":      x509.KeyUsageKeyAgreement,
		"cert_signing":       x509.KeyUsageCertSign,
		"crl_signing":        x509.KeyUsageCRLSign,
	}
}

// extendedUses maps those that are extended key usages (section 4.2.1.12).
func extendedUses() map[string]x509.ExtKeyUsage {
	return map[string]x509.ExtKeyUsage{
		"any_extended":     x509.ExtKeyUsageAny,
		"server_auth":      x509.ExtKeyUsageServerAuth,
		"client_auth":      x509.ExtKeyUsageClientAuth,
		"code_signing":     x509.ExtKeyUsageCodeSigning,
		"email_protection": x509.ExtKeyUsageEmailProtection,
		"timestamping":     x509.ExtKeyUsageTimeStamping,
		"ocsp_signing":     x509.ExtKeyUsageOCSPSigning,
	}
}

// allUses returns every value of allowed_uses, sorted.
func allUses() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for use := range maps.Keys(keyUses()) {
			if !yield(use) {
				return
			}
		}
		for use := range maps.Keys(extendedUses()) {
			if !yield(use) {
				return
			}
		}
	})
}

// defaultUses returns what a certificate is for when nothing is said.
func defaultUses(ca bool, algorithm string) []string {
	switch {
	case ca:
		return []string{"cert_signing", "crl_signing"}
	case algorithm == algorithmRSA: // RSA key exchange, for clients without ECDHE
		return []string{"digital_signature", "key_encipherment", "server_auth"}
	}
	return []string{"digital_signature", "server_auth"}
}

// setUses writes the uses into a certificate to be.
func setUses(c *x509.Certificate, uses []string) {
	for _, use := range uses {
		c.KeyUsage |= keyUses()[use]
		if e, ok := extendedUses()[use]; ok {
			c.ExtKeyUsage = append(c.ExtKeyUsage, e)
		}
	}
}
