package provider

import (
	"strings"
	"testing"
	"time"
)

// Whatever is given as an issuer or a key, it is taken or refused, and no
// message repeats what may be a secret.
func FuzzIssuer(f *testing.F) {
	spec := certificateSpec{
		subject: subject{commonName: "CA"}, key: keySpec{algorithm: algorithmED25519}, ca: true, uses: []string{"cert_signing"}, validity: time.Hour,
	}
	ca, err := spec.issue(nil, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		ca.chainPEM, ca.keyPEM, ca.chainPEM + ca.keyPEM, ca.keyPEM + ca.chainPEM, strings.ReplaceAll(ca.keyPEM, "\n", "\r\n"),
		strings.Replace(ca.keyPEM, "PRIVATE", "RSA PRIVATE", 2), strings.Replace(ca.keyPEM, "PRIVATE", "EC PRIVATE", 2), ca.chainPEM[:100], "", "nonsense",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, err := parseIssuer(text)
		_, keyErr := parsePrivateKey(text)
		_ = chainID(text)
		for _, err := range []error{err, keyErr} {
			for line := range strings.Lines(text) {
				if line = strings.TrimSpace(line); err != nil && len(line) > 30 && !strings.Contains(line, "-----") && strings.Contains(err.Error(), line) {
					t.Errorf("%v repeats %q", err, line)
				}
			}
		}
	})
}
