package certificates

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Ensure that every mistake is named and that no error holds a key.
func TestParsePair(t *testing.T) {
	root := newCA(t)
	middle := root.sign(func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid = "intermediate", true, true
	}, nil)
	leaf, other := middle.leaf("r.example"), root.leaf("r.example")
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	named := func(c *x509.Certificate) { c.DNSNames = []string{"r.example"} }
	rsaLeaf, weakLeaf, edLeaf := root.sign(named, strong), root.sign(named, weak), root.sign(named, edwards)
	edit := func(f func(*x509.Certificate)) *authority {
		return root.sign(func(c *x509.Certificate) { named(c); f(c) }, nil)
	}
	expired := edit(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	early := edit(func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) })
	nameless := edit(func(c *x509.Certificate) { c.DNSNames = nil })
	address := edit(func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, []net.IP{net.IPv4(192, 0, 2, 1)} })
	client := edit(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	sec1, err := x509.MarshalECPrivateKey(leaf.key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	chain := leaf.pem() + middle.pem()
	for name, tc := range map[string]struct{ cert, key, want string }{
		"whole chain":        {chain + root.pem(), leaf.keyPEM(), ""},
		"chain":              {"a comment\n" + chain, leaf.keyPEM() + "\n", ""},
		"leaf alone":         {leaf.pem(), leaf.keyPEM(), ""},
		"SEC 1":              {chain, block("EC PARAMETERS", []byte{6, 8}) + block("EC PRIVATE KEY", sec1), ""},
		"PKCS 1":             {rsaLeaf.pem(), block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(strong)), ""},
		"Ed25519":            {edLeaf.pem(), edLeaf.keyPEM(), ""},
		"address":            {address.pem(), address.keyPEM(), ""},
		"nothing":            {"", leaf.keyPEM(), "no certificate in PEM"},
		"DER":                {string(leaf.cert.Raw), leaf.keyPEM(), "no certificate in PEM"},
		"cut off":            {chain + "-----BEGIN CERTIFICATE-----\nAAAA", leaf.keyPEM(), "certificate 3 is not complete"},
		"no certificate":     {block("CERTIFICATE", []byte("x")), leaf.keyPEM(), "no X.509"},
		"key in the chain":   {chain + leaf.keyPEM(), leaf.keyPEM(), "another type"},
		"wrong order":        {middle.pem() + leaf.pem(), middle.keyPEM(), "names no DNS name"},
		"wrong intermediate": {leaf.pem() + root.pem(), leaf.keyPEM(), "certificate 1 was not signed by certificate 2"},
		"wrong root":         {chain + other.pem(), leaf.keyPEM(), "certificate 2 was not signed by certificate 3"},
		"too many":           {strings.Repeat(root.pem(), 11), root.keyPEM(), "more than 10"},
		"too long":           {strings.Repeat("x", maxPEM+1), leaf.keyPEM(), "longer than"},
		"expired":            {expired.pem(), expired.keyPEM(), "has expired"},
		"early":              {early.pem(), early.keyPEM(), "cannot be used before"},
		"nameless":           {nameless.pem(), nameless.keyPEM(), "subjectAltName"},
		"client":             {client.pem(), client.keyPEM(), "serverAuth"},
		"no key":             {chain, "", "no private key in PEM"},
		"other key":          {chain, other.keyPEM(), "does not belong"},
		"certificate as key": {chain, leaf.pem(), "not of a type"},
		"damaged key":        {chain, block("PRIVATE KEY", sec1[:20]), "damaged"},
		"two keys":           {chain, leaf.keyPEM() + leaf.keyPEM(), "something after"},
		"encrypted key":      {chain, block("ENCRYPTED PRIVATE KEY", sec1), "openssl pkey"},
		"encrypted SEC 1":    {chain, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"DEK-Info": "AES-128-CBC,00"}, Bytes: sec1})), "openssl pkey"},
		"weak key":           {weakLeaf.pem(), weakLeaf.keyPEM(), "1024 bits"},
		"long key":           {chain, leaf.keyPEM() + strings.Repeat(" ", maxPEM), "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			cert, err := parsePair(tc.cert, tc.key, time.Now())
			if tc.want == "" {
				if err != nil || cert.Leaf == nil || len(cert.Certificate) == 0 {
					t.Fatalf("%v", err)
				}
				if _, err := tls.X509KeyPair([]byte(encodeChain(cert)), []byte(tc.key)); err != nil {
					t.Errorf("crypto/tls does not take it: %v", err)
				}
				return
			}
			if err == nil || oci.ErrorCode(err) != oci.CodeInvalid || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want %s", err, tc.want)
			}
			for line := range strings.Lines(tc.key) {
				if len(strings.TrimSpace(line)) > 20 && !strings.Contains(line, "-----") && strings.Contains(err.Error(), strings.TrimSpace(line)) {
					t.Errorf("the error holds the key: %v", err)
				}
			}
		})
	}
}

// FuzzParsePair: whatever is accepted is a pair that crypto/tls takes, too.
func FuzzParsePair(f *testing.F) {
	root := newCA(f)
	leaf := root.leaf("r.example")
	f.Add(leaf.pem()+root.pem(), leaf.keyPEM())
	f.Add(leaf.pem(), root.keyPEM())
	f.Add("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n")
	now := time.Now()
	f.Fuzz(func(t *testing.T, chain, key string) {
		cert, err := parsePair(chain, key, now)
		if err != nil {
			if oci.ErrorCode(err) != oci.CodeInvalid {
				t.Errorf("%v", err)
			}
			return
		}
		if _, err := tls.X509KeyPair([]byte(encodeChain(cert)), []byte(key)); err != nil {
			t.Errorf("crypto/tls does not take it: %v", err)
		}
	})
}

// FuzzParseRecord: a damaged record is an error, never a panic, and never opens
// as another's.
func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"certificate_pem":"","private_key":"AAAA","data_key":{"by":"http.secret","key":"AQ=="}}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, value []byte) {
		r, chain, err := parseRecord(value)
		if err != nil {
			return
		}
		if cert, _, err := r.open("main", chain, testKeys(t, "fuzz")); err == nil {
			t.Errorf("opened %v", cert)
		}
	})
}
