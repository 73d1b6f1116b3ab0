package certificates

import (
	"context"
	"crypto/x509"
	"errors"
	mathrand "math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme/autocert"
)

// renewBefore is how long before its end a certificate is renewed: 35 days
// before that of one that lives for 90 or more. What is left until it is warned
// of is time for renewals to fail in, so that a warning is never about one that
// has only just become due.
func renewBefore(leaf *x509.Certificate) time.Duration {
	return warnBefore(leaf) * 7 / 6
}

// due reports whether a certificate should be renewed.
func (a *ACME) due(leaf *x509.Certificate) bool {
	return !a.cache.now().Before(leaf.NotAfter.Add(-renewBefore(leaf)))
}

// valid reports whether a certificate has not come to its end.
func (a *ACME) valid(leaf *x509.Certificate) bool {
	return a.cache.now().Before(leaf.NotAfter)
}

// renew keeps the certificate of a host from becoming old, until ctx ends.
// autocert would begin no earlier than a warning does, and goes on to do so:
// each of its managers renews the certificate that it has got, or takes a newer
// one from the storage when the time comes. A manager cannot be stopped, so
// those of former certificates stay: a few kilobytes and a timer for each
// renewal.
func (a *ACME) renew(ctx context.Context, h *acmeHost) {
	retry := firstRetry
	for ctx.Err() == nil {
		var wait time.Duration
		if cert, err := a.get(h); err == nil && !a.due(cert.Leaf) {
			// A clock may be set and a machine may sleep: look often.
			left := cert.Leaf.NotAfter.Add(-renewBefore(cert.Leaf)).Sub(a.cache.now())
			wait, retry = min(left+time.Second, lastRetry), firstRetry
		} else if err := a.renewNow(ctx, h); err != nil && ctx.Err() == nil {
			wait = retry + mathrand.N(retry/10)
			retry = min(2*retry, lastRetry)
			a.log.WarnContext(ctx, "a certificate could not be renewed over ACME; the present one stays in use", "host", h.name, "error", err, "next_try_in", wait.Round(time.Second))
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// errStillDue: the ACME server gives certificates that are old from the start.
var errStillDue = errors.New("the ACME server gave a certificate that is due for renewal already")

// renewNow gets a new certificate for the host, or takes the one that another
// server has got, and serves it. If it fails, the present one stays.
func (a *ACME) renewNow(ctx context.Context, h *acmeHost) error {
	enough := func(leaf *x509.Certificate) bool { return !a.due(leaf) }
	return a.inTurn(ctx, h.name, enough, func() error {
		return within(ctx, func() error {
			cache := autocert.Cache(a.cache)
			if leaf := a.cache.leaf(ctx, h.name); leaf == nil || a.due(leaf) {
				cache = &replacingCache{acmeCache: a.cache, host: h.name}
			}
			m := a.newManager(cache)
			cert, err := getFrom(m, h.name)
			if err != nil {
				return err
			}
			h.manager.Store(m)
			if a.due(cert.Leaf) {
				return errStillDue
			}
			a.log.InfoContext(ctx, "the certificate was renewed", "source", "acme", "host", h.name, "not_after", cert.Leaf.NotAfter)
			return nil
		})
	})
}

// replacingCache has no certificate of the host until one is put: a manager
// that finds none gets one.
type replacingCache struct {
	*acmeCache
	host     string
	replaced atomic.Bool
}

// Get returns a value, or autocert.ErrCacheMiss.
func (c *replacingCache) Get(ctx context.Context, name string) ([]byte, error) {
	if name == c.host && !c.replaced.Load() {
		return nil, autocert.ErrCacheMiss
	}
	return c.acmeCache.Get(ctx, name)
}

// Put keeps a value.
func (c *replacingCache) Put(ctx context.Context, name string, value []byte) error {
	err := c.acmeCache.Put(ctx, name, value)
	if err == nil && name == c.host {
		c.replaced.Store(true)
	}
	return err
}
