package proxycache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/transfer"
)

// remote is an upstream with the login of one cache.
type remote struct {
	revision string // of the cache that it was made for
	prefix   string
	host     string
	plain    bool
	registry *transfer.Remote
	stats    *stats
	now      func() time.Time

	mu        sync.Mutex
	restUntil time.Time // it failed, and is left alone where there is a choice
	limited   time.Time // until when it wants no requests at all
}

// clientKey is a repository of an upstream, as one cache asks for it.
type clientKey struct {
	of   *remote
	name string
}

// remote returns the upstream of a cache.
func (c *Cache) remote(rt *route) (*remote, error) {
	if rt.err != nil {
		return nil, rt.err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.upstreams[rt.Prefix]; r != nil && r.revision == rt.revision {
		return r, nil
	}
	address, err := transfer.ParseAddress(rt.upstream.String())
	if err != nil {
		return nil, err
	}
	r := &remote{
		revision: rt.revision, prefix: rt.Prefix, host: rt.upstream.Host(), plain: address.URL().Scheme == "http",
		stats: c.stats, now: c.Now,
	}
	r.registry, err = transfer.NewRemote(address, transfer.Access{
		Username: rt.username, Password: rt.password, Anonymous: true, Once: true, UserAgent: c.UserAgent,
		Wrap: func(base http.RoundTripper) http.RoundTripper { return guard{base, r} },
	})
	if err == nil {
		c.upstreams[rt.Prefix] = r
	}
	return r, err
}

// repository returns a repository of the upstream, logged in.
func (c *Cache) repository(ctx context.Context, rt *route, repo oci.Repository) (*transfer.RemoteRepository, error) {
	name, err := rt.name(repo)
	if err != nil {
		return nil, err
	}
	r, err := c.remote(rt)
	if err != nil {
		return nil, err
	}
	if until := r.limitedUntil(); c.Now().Before(until) {
		return nil, &limitError{until.Sub(c.Now())}
	}
	key := clientKey{r, name.String()}
	if client, ok := c.clients.Get(key); ok {
		return client, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Silence)
	defer cancel()
	client, err := r.registry.Repository(ctx, name.String(), false)
	if err == nil {
		c.clients.Add(key, client)
	}
	return client, err
}

// limitError: the upstream has said until when it answers nothing.
type limitError struct{ after time.Duration }

func (e *limitError) Error() string {
	return fmt.Sprintf("the upstream wants no requests for another %s", e.after.Round(time.Second))
}

// resting reports whether the upstream failed a moment ago.
func (r *remote) resting() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	return now.Before(r.restUntil) || now.Before(r.limited)
}

func (r *remote) rest(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.restUntil = r.now().Add(d)
}

func (r *remote) limitedUntil() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.limited
}

// guard is what all requests to an upstream go through, those for tokens and
// those that follow a redirect, too.
type guard struct {
	base http.RoundTripper
	r    *remote
}

var errForeignHost = errors.New("the upstream wants credentials sent to a host that is not its own, and that is refused")

// RoundTrip sends a request, unless it has credentials that are not for its host.
func (g guard) RoundTrip(req *http.Request) (*http.Response, error) {
	secret := req.Header.Get("Authorization") != "" || req.URL.User != nil || req.Method != http.MethodGet && req.Method != http.MethodHead
	if secret && !transfer.MayLogin(g.r.host, g.r.plain, req.URL) {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, errForeignHost
	}
	resp, err := g.base.RoundTrip(req)
	if err == nil {
		g.r.observe(resp)
	}
	return resp, err
}

// maxRetryAfter bounds how long an upstream can keep us from asking.
const maxRetryAfter = 5 * time.Minute

// observe notes what an upstream says of its limits, as Docker Hub does
// ("ratelimit-limit: 100;w=21600").
func (r *remote) observe(resp *http.Response) {
	if n, ok := leadingNumber(resp.Header.Get("Ratelimit-Limit")); ok {
		r.stats.limits(r.prefix, func(l *Limits) { l.Limit, l.Known = n, true })
	}
	if n, ok := leadingNumber(resp.Header.Get("Ratelimit-Remaining")); ok {
		r.stats.limits(r.prefix, func(l *Limits) { l.Remaining, l.Known = n, true })
	}
	if resp.StatusCode != http.StatusTooManyRequests {
		if resp.StatusCode < http.StatusInternalServerError {
			r.rest(0)
		}
		return
	}
	after := retryAfter(resp.Header.Get("Retry-After"), r.now())
	r.mu.Lock()
	defer r.mu.Unlock()
	r.limited = r.now().Add(after)
}

// retryAfter parses the header (RFC 9110, 10.2.3), and bounds what it says.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return min(time.Duration(max(seconds, 0)), maxRetryAfter/time.Second) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}

// leadingNumber parses what comes before the first semicolon.
func leadingNumber(value string) (float64, bool) {
	number, _, _ := strings.Cut(value, ";")
	n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 53)
	return float64(n), err == nil
}
