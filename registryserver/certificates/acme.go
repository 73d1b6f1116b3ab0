package certificates

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// ACMEProtocol is what a TLS listener must offer in ALPN for ACME to work.
const ACMEProtocol = acme.ALPNProto

// IsChallenge reports whether a client is an ACME server that wants to see the
// answer to its challenge (RFC 8737), and nothing else.
func IsChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == ACMEProtocol
}

// ACMEConfig says which certificates to get, and from whom. Records and Hosts
// are needed.
type ACMEConfig struct {
	Records      storage.Records
	Keys         *auth.Keyring // seals private keys in the storage; nil leaves them plain
	Hosts        []string      // DNS names
	Email        string        // of the account
	DirectoryURL string        // the default is Let's Encrypt
	Log          *slog.Logger  // the default is slog.Default()
}

// ACME gets certificates for its hosts over ACME (RFC 8555) and renews them.
// Account and certificates are kept in the storage: of several servers, one
// gets a certificate and all use it. An ACME server can ask any of them for the
// answer to a challenge. Only Run asks for certificates: clients, who may be
// strangers, cannot use up the limits of the ACME server.
type ACME struct {
	config ACMEConfig
	key    crypto.Signer // of the account
	cache  *acmeCache
	log    *slog.Logger
	names  []string // in the order of the configuration
	hosts  map[string]*acmeHost
}

// acmeHost is a name that has a certificate, or will have one.
type acmeHost struct {
	name  string
	ready chan struct{} // closed when there is a certificate
	// manager has the certificate; another takes its place with each renewal.
	manager atomic.Pointer[autocert.Manager]

	mu  sync.Mutex
	err error // why there is none
}

// The pace of requests. Let's Encrypt allows five failures for each name and
// hour; autocert does not try again within a minute.
const (
	firstRetry = 61 * time.Second
	lastRetry  = time.Hour
	// handshakeWait is how long a client waits for the first certificate.
	handshakeWait = 8 * time.Second
)

// OpenACME prepares what Run and Certificate do. It makes the account's key if
// there is none yet, and does not talk to the ACME server.
func OpenACME(ctx context.Context, c ACMEConfig) (*ACME, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.DirectoryURL == "" {
		c.DirectoryURL = autocert.DefaultACMEDirectory
	}
	a := &ACME{config: c, log: c.Log, cache: newACMECache(c), hosts: make(map[string]*acmeHost)}
	for _, name := range c.Hosts {
		if name = normalName(name); a.hosts[name] == nil {
			a.names = append(a.names, name)
			a.hosts[name] = &acmeHost{name: name, ready: make(chan struct{})}
		}
	}
	if len(a.names) == 0 {
		return nil, errors.New("there is no host to get a certificate for")
	}
	var err error
	if a.key, err = a.cache.accountKey(ctx); err != nil {
		return nil, err
	}
	for _, h := range a.hosts {
		h.manager.Store(a.newManager(a.cache))
	}
	return a, nil
}

func (a *ACME) newManager(cache autocert.Cache) *autocert.Manager {
	return &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: cache, HostPolicy: autocert.HostWhitelist(a.names...), Email: a.config.Email,
		Client: &acme.Client{Key: a.key, DirectoryURL: a.config.DirectoryURL, UserAgent: "registryserver"},
	}
}

// Certificate returns what a client shall see: nil for a name that is not one
// of the hosts. While the first certificate of a host is on its way, it waits a
// little.
func (a *ACME) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	h := a.hosts[normalName(hello.ServerName)]
	switch {
	case h == nil:
		return nil, nil
	case IsChallenge(hello):
		return h.manager.Load().GetCertificate(hello)
	case h.isReady():
		return a.get(h)
	}
	if err := h.failure(); err != nil {
		return nil, fmt.Errorf("there is no certificate for %s yet: %w", h.name, err)
	}
	select {
	case <-h.ready:
		return a.get(h)
	case <-time.After(handshakeWait):
		return nil, fmt.Errorf("the certificate for %s is still on its way", h.name)
	case <-hello.Context().Done():
		return nil, hello.Context().Err()
	}
}

// Default returns the certificate of the first host that has one, or nil: for
// clients that do not say which name they want.
func (a *ACME) Default() *tls.Certificate {
	for _, name := range a.names {
		if h := a.hosts[name]; h.isReady() {
			if cert, err := a.get(h); err == nil {
				return cert
			}
		}
	}
	return nil
}

// Expiries says until when the certificates of the hosts can be used; a host
// without one is not there.
func (a *ACME) Expiries() []Expiry {
	var all []Expiry
	for _, name := range a.names {
		h := a.hosts[name]
		if !h.isReady() {
			continue
		}
		if cert, err := a.get(h); err == nil {
			all = append(all, ExpiryOf("acme", name, cert.Leaf))
		}
	}
	return all
}

// Run gets the first certificate of each host, tries again until it has them,
// and renews them from then on. It ends with ctx.
func (a *ACME) Run(ctx context.Context) {
	var hosts sync.WaitGroup
	for _, h := range a.hosts {
		hosts.Go(func() {
			a.obtain(ctx, h)
			a.renew(ctx, h)
		})
	}
	hosts.Wait()
}

func (a *ACME) obtain(ctx context.Context, h *acmeHost) {
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		err := a.inTurn(ctx, h.name, a.valid, func() error {
			return within(ctx, func() error { _, err := a.get(h); return err })
		})
		switch {
		case err == nil:
			if cert, err := a.get(h); err == nil {
				a.log.InfoContext(ctx, "the certificate is there", "source", "acme", "host", h.name, "not_after", cert.Leaf.NotAfter)
			}
			close(h.ready)
			return
		case ctx.Err() != nil:
			return
		}
		h.fail(err)
		retry := wait + mathrand.N(wait/10)
		a.log.ErrorContext(ctx, "no certificate could be got over ACME; clients cannot connect by this name", "host", h.name, "error", err, "next_try_in", retry.Round(time.Second))
		select {
		case <-time.After(retry):
		case <-ctx.Done():
			return
		}
	}
}

// within is a call that ends with ctx: autocert's requests cannot be cut off,
// and a shutdown does not wait for them.
func within(ctx context.Context, call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// get asks autocert for a host's certificate, which gets it if there is none.
// Clients that know no ECDSA are not served: they are older than ACME.
func (a *ACME) get(h *acmeHost) (*tls.Certificate, error) {
	return getFrom(h.manager.Load(), h.name)
}

func getFrom(m *autocert.Manager, host string) (*tls.Certificate, error) {
	return m.GetCertificate(&tls.ClientHelloInfo{
		ServerName: host, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	})
}

func (h *acmeHost) isReady() bool {
	select {
	case <-h.ready:
		return true
	default:
		return false
	}
}

func (h *acmeHost) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.err = err
}

func (h *acmeHost) failure() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}
