package certificates

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

const day = 24 * time.Hour

// Ensure that every certificate is warned of at 30 days, or for the last third
// of a shorter life, and that renewal over ACME has had time to fail by then.
func TestRenewalComesBeforeWarning(t *testing.T) {
	for _, c := range []struct{ life, warn, renew time.Duration }{
		{398 * day, 30 * day, 35 * day},
		{90 * day, 30 * day, 35 * day},
		{45 * day, 15 * day, 17*day + 12*time.Hour},
		{6 * day, 2 * day, 2*day + 8*time.Hour},
	} {
		leaf := &x509.Certificate{NotBefore: time.Unix(0, 0), NotAfter: time.Unix(0, 0).Add(c.life)}
		if got := leaf.NotAfter.Sub(ExpiryOf("acme", "a", leaf).WarnFrom); got != c.warn {
			t.Errorf("a life of %v: warned of %v before its end, want %v", c.life, got, c.warn)
		}
		if got := renewBefore(leaf); got != c.renew {
			t.Errorf("a life of %v: renewed %v before its end, want %v", c.life, got, c.renew)
		}
	}
}

// putCertificate keeps a certificate as autocert does.
func putCertificate(t *testing.T, c *acmeCache, host string, notBefore, notAfter time.Time) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotBefore: notBefore, NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	_ = pem.Encode(&b, &pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := c.Put(t.Context(), host, b.Bytes()); err != nil {
		t.Fatal(err)
	}
}

// Ensure that a certificate that cannot be renewed stays in use, and that one
// that another server has renewed is taken over without asking for another.
func TestRenewNow(t *testing.T) {
	a, err := OpenACME(t.Context(), ACMEConfig{Records: storagetest.NewMemory().Records(), Hosts: []string{"r.example"}, DirectoryURL: "https://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	h, now := a.hosts["r.example"], time.Now().Truncate(time.Second)
	// In its window: due, and neither warned of nor for autocert to renew.
	old := now.Add(32 * day)
	putCertificate(t, a.cache, h.name, now.Add(-58*day), old)
	a.obtain(t.Context(), h)
	wantEnd := func(want time.Time) {
		t.Helper()
		all := a.Expiries()
		if len(all) != 1 || !all[0].NotAfter.Equal(want) || !now.Before(all[0].WarnFrom) {
			t.Errorf("%+v; want one that ends at %v and is not warned of", all, want)
		}
	}
	wantEnd(old)
	if err := a.renewNow(t.Context(), h); err == nil {
		t.Error("renewed from nowhere")
	}
	wantEnd(old)
	if leaf := a.cache.leaf(t.Context(), h.name); leaf == nil || !leaf.NotAfter.Equal(old) {
		t.Error("a failed renewal has lost the certificate in the storage")
	}

	renewed := now.Add(90 * day)
	putCertificate(t, a.cache, h.name, now, renewed)
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	a.renew(ctx, h)
	wantEnd(renewed)
}
