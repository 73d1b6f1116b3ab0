package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/certificates"
)

// tlsReload is how often, at most, the certificate files are looked at.
const tlsReload = time.Second

// certificateSource is where certificates come from that are not in files.
type certificateSource interface {
	// Certificate returns the one for the name that a client asks for, or nil.
	Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Default returns any, or nil, for clients that ask for another name or none,
	// such as the health check of a load balancer.
	Default() *tls.Certificate
	Expiries() []certificates.Expiry
}

// tlsFiles serves HTTPS from files and follows their changes. Files that
// cannot be used keep the last good ones in force, and the log says so.
// Certificates of the sources come before the one in the files.
type tlsFiles struct {
	config  TLSConfig
	sources []certificateSource
	spare   *tls.Certificate // shown while there is no other; nil: none is
	protos  []string         // for ALPN
	log     *slog.Logger
	failed  func() // counts failures to reload
	now     func() time.Time

	mu      sync.Mutex
	current *tls.Config
	stamp   string    // of the files as they were last tried
	looked  time.Time // when they were last looked at
}

// open loads the files; a server does not start without them.
func (t *tlsFiles) open() (err error) {
	t.stamp, t.looked = t.fingerprint(), t.now()
	t.current, err = t.load()
	return err
}

// Config is the configuration to listen with.
func (t *tlsFiles) Config() *tls.Config {
	base := t.current.Clone()
	base.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c := t.fresh()
		if len(t.config.LetsEncrypt.Hosts) > 0 && certificates.IsChallenge(hello) {
			// An ACME server has no client certificate. It sees the answer to its
			// challenge and nothing else: no request is read from such a connection.
			c = c.Clone()
			c.NextProtos, c.ClientAuth = []string{certificates.ACMEProtocol}, tls.NoClientCert
		}
		return c, nil
	}
	return base
}

// choose returns the certificate for a client. None and no error is the one of
// the files.
func (t *tlsFiles) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	for _, source := range t.sources {
		if cert, err := source.Certificate(hello); cert != nil || err != nil {
			return cert, err
		}
	}
	if t.config.Certificate != "" {
		return nil, nil
	}
	if !certificates.IsChallenge(hello) {
		for _, source := range t.sources {
			if cert := source.Default(); cert != nil {
				return cert, nil
			}
		}
		if t.spare != nil {
			return t.spare, nil
		}
	}
	return nil, fmt.Errorf("there is no certificate for the name %q", hello.ServerName)
}

// Expiries says until when the certificate of the files and those of the
// sources can be used.
func (t *tlsFiles) Expiries() []certificates.Expiry {
	var all []certificates.Expiry
	for _, cert := range t.fresh().Certificates {
		all = append(all, certificates.ExpiryOf("file", t.config.Certificate, cert.Leaf))
	}
	for _, source := range t.sources {
		all = append(all, source.Expiries()...)
	}
	return all
}

// fresh returns the configuration of the files as they are now.
func (t *tlsFiles) fresh() *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now().Sub(t.looked) < tlsReload {
		return t.current
	}
	t.looked = t.now()
	stamp := t.fingerprint()
	if stamp == t.stamp {
		return t.current
	}
	t.stamp = stamp
	loaded, err := t.load()
	if err != nil {
		t.failed()
		t.log.Error("the changed TLS files cannot be used; the certificate loaded before stays in force", "error", err)
		return t.current
	}
	t.log.Info("TLS files reloaded", "certificate", t.config.Certificate)
	t.current = loaded
	return t.current
}

// fingerprint changes when a file does.
func (t *tlsFiles) fingerprint() string {
	stamp := ""
	for _, path := range append([]string{t.config.Certificate, t.config.Key}, t.config.ClientCAs...) {
		if path == "" {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			stamp += "absent;"
			continue
		}
		stamp += fmt.Sprint(info.ModTime().UnixNano(), info.Size(), ";")
	}
	return stamp
}

func (t *tlsFiles) load() (*tls.Config, error) {
	c := &tls.Config{
		GetCertificate: t.choose,
		MinVersion:     t.config.MinVersion,
		CipherSuites:   t.config.CipherSuites,
		NextProtos:     t.protos,
	}
	if t.config.Certificate != "" {
		certificate, err := tls.LoadX509KeyPair(t.config.Certificate, t.config.Key)
		if err != nil {
			return nil, fmt.Errorf("http.tls.certificate %s with http.tls.key %s: %w", t.config.Certificate, t.config.Key, err)
		}
		c.Certificates = []tls.Certificate{certificate}
	}
	if len(t.config.ClientCAs) == 0 {
		return c, nil
	}
	c.ClientAuth, c.ClientCAs = t.config.ClientAuth, x509.NewCertPool()
	for _, path := range t.config.ClientCAs {
		pem, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("http.tls.clientcas: %w", err)
		}
		if !c.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("http.tls.clientcas: %s holds no certificate in PEM form", path)
		}
	}
	return c, nil
}
