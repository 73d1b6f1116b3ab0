package server

import (
	"crypto/x509"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/registrykit/terraform-provider-registry/registryserver/certificates"
)

// Ensure that a certificate is warned of once a day from 30 days before its
// end, and not once it was replaced.
func TestExpiryWarning(t *testing.T) {
	day := 24 * time.Hour
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	leaf := &x509.Certificate{NotBefore: now, NotAfter: now.Add(365 * day)}
	log := &logBuffer{}
	w := &expiryWarning{
		log: slog.New(slog.NewTextHandler(log, nil)),
		expiries: func() []certificates.Expiry {
			return []certificates.Expiry{certificates.ExpiryOf("file", "/c.pem", leaf)}
		},
		now: func() time.Time { return now },
	}
	look := func(at time.Time, want string) {
		t.Helper()
		now = at
		before := len(log.String())
		w.look(t.Context())
		got := log.String()[before:]
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: logged %q, want %q", at, got, want)
		}
	}
	end := leaf.NotAfter
	look(end.Add(-31*day), "")
	look(end.Add(-30*day), "days_left=30")
	look(end.Add(-30*day+23*time.Hour), "")
	look(end.Add(-29*day), "level=WARN")
	look(end.Add(time.Hour), "level=ERROR")
	leaf = &x509.Certificate{NotBefore: end, NotAfter: end.Add(3 * day)} // a short life: its last third counts
	look(end.Add(day), "")
	look(end.Add(2*day), "days_left=1")
	leaf = &x509.Certificate{NotBefore: end, NotAfter: end.Add(3 * day)}
	look(end.Add(2*day), "")
}

// Ensure that the metrics say when the certificate ends, and count files that
// cannot be used.
func TestExpiryMetric(t *testing.T) {
	dir := t.TempDir()
	cert, key := dir+"/cert.pem", dir+"/key.pem"
	writeCertificate(t, cert, key, "a")
	s, _ := newTestServer(t, "http: {addr: '127.0.0.1:0', tls: {certificate: "+cert+", key: "+key+"}}\nauth: none")
	if n, err := testutil.GatherAndCount(s.metrics.registry, "registry_tls_certificate_expiry_timestamp_seconds"); n != 1 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	if err := os.WriteFile(cert, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.tls.now = func() time.Time { return time.Now().Add(time.Minute) }
	s.tls.fresh()
	if n := testutil.ToFloat64(s.metrics.reloadFailures); n != 1 {
		t.Errorf("%v failures to reload", n)
	}
}
