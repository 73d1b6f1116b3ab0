package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/certificates"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// openTLS opens everything that certificates come from.
func (s *Server) openTLS(ctx context.Context, records storage.Records) error {
	c := s.config.HTTP.TLS
	keys, err := s.configuredKeys()
	if err != nil {
		return err
	}
	s.installed, err = certificates.OpenStore(ctx, certificates.StoreConfig{
		Records: records, Keys: keys, Log: s.log, Served: c != nil, Failed: s.metrics.reloadFailures.Inc,
		Changed: s.announce(changedCertificates),
	})
	if err != nil {
		return fmt.Errorf("installed certificates: %w", err)
	}
	if c == nil {
		return nil
	}
	t := &tlsFiles{config: *c, protos: []string{"http/1.1"}, log: s.log, failed: s.metrics.reloadFailures.Inc, now: time.Now}
	if !s.config.HTTP.HTTP2Disabled {
		t.protos = []string{"h2", "http/1.1"}
	}
	// Installed ones come first, so that an admin can replace any other.
	t.sources = append(t.sources, s.installed)
	s.tasks = append(s.tasks, func(ctx context.Context) error { s.installed.Run(ctx); return nil })
	if len(c.LetsEncrypt.Hosts) > 0 {
		a, err := certificates.OpenACME(ctx, certificates.ACMEConfig{
			Records: records, Keys: keys, Hosts: c.LetsEncrypt.Hosts, Email: c.LetsEncrypt.Email,
			DirectoryURL: c.LetsEncrypt.DirectoryURL, Log: s.log,
		})
		if err != nil {
			return err
		}
		t.sources = append(t.sources, a)
		t.protos = append(t.protos, certificates.ACMEProtocol)
		s.tasks = append(s.tasks, func(ctx context.Context) error { a.Run(ctx); return nil })
	}
	if c.Managed && c.Certificate == "" {
		if err := s.addSpare(t); err != nil {
			return err
		}
	}
	if err := t.open(); err != nil {
		return err
	}
	s.tls = t
	s.metrics.registry.MustRegister(newExpiryCollector(t.Expiries))
	w := &expiryWarning{log: s.log, expiries: t.Expiries, now: time.Now}
	s.tasks = append(s.tasks, w.run)
	return nil
}

// addSpare lets the first certificate be installed over TLS where there is no
// other yet, by whoever knows its fingerprint from the log or has another
// reason to trust the connection.
func (s *Server) addSpare(t *tlsFiles) error {
	cert, err := selfSigned(time.Now())
	if err != nil {
		return err
	}
	t.spare = cert
	if s.installed.Default() != nil {
		return nil
	}
	s.log.Warn("no certificate is installed yet: until one is, clients are shown a self-signed one, which they refuse. Install one through the admin API (PUT /api/v1/certificates/NAME)",
		"sha256", fmt.Sprintf("%x", sha256.Sum256(cert.Leaf.Raw)))
	return nil
}

// selfSigned returns a certificate that lives in memory.
func selfSigned(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "registryserver without a certificate"},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// configuredKeys are the keys of http.secret; nil where none is configured. The
// secret that is kept in the storage lies beside what it would protect.
func (s *Server) configuredKeys() (*auth.Keyring, error) {
	if s.config.HTTP.Secret == "" {
		return nil, nil
	}
	return s.newKeyring(string(s.config.HTTP.Secret))
}

// closeChallenge ends the connection of an ACME server, which has seen what it
// wanted in the handshake (RFC 8737 section 3).
func closeChallenge(_ *http.Server, conn *tls.Conn, _ http.Handler) { _ = conn.Close() }

// expiryCollector shows until when certificates can be used.
type expiryCollector struct {
	desc     *prometheus.Desc
	expiries func() []certificates.Expiry
}

func newExpiryCollector(expiries func() []certificates.Expiry) expiryCollector {
	return expiryCollector{prometheus.NewDesc("registry_tls_certificate_expiry_timestamp_seconds",
		"When a certificate of the listener ends, by where it comes from.", []string{"source", "name"}, nil), expiries}
}

// Describe is part of prometheus.Collector.
func (c expiryCollector) Describe(out chan<- *prometheus.Desc) { out <- c.desc }

// Collect is part of prometheus.Collector.
func (c expiryCollector) Collect(out chan<- prometheus.Metric) {
	for _, e := range c.expiries() {
		out <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(e.NotAfter.Unix()), e.Source, e.Name)
	}
}
