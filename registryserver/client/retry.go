package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// The bounds of the wait between two tries. A server that asks for more than
// maxRetryAfter is not waited for.
const (
	minWait       = 500 * time.Millisecond
	maxWait       = 8 * time.Second
	maxRetryAfter = time.Minute
)

// retry decides after the failure err of try number try (from 0) whether
// another one makes sense, and how long to wait before it.
func (c *Client) retry(ctx context.Context, try int, err error) (time.Duration, bool) {
	if ctx.Err() != nil || !(transient(err) || c.starting() && notFoundYet(err)) {
		return 0, false
	}
	if try >= c.cfg.MaxRetries && !c.starting() {
		return 0, false
	}
	wait := minWait << min(try, 10)
	wait = min(wait, maxWait)
	wait = wait/2 + rand.N(wait/2) // many clients that failed together shall not come back together
	var e *Error
	if errors.As(err, &e) {
		if e.RetryAfter > maxRetryAfter {
			return 0, false
		}
		wait = max(wait, e.RetryAfter)
	}
	return wait, true
}

// starting reports whether nothing has answered yet and ReadyTimeout runs.
func (c *Client) starting() bool {
	return c.cfg.ReadyTimeout > 0 && !c.answered.Load() &&
		time.Since(time.Unix(0, c.firstTryNS.Load())) < c.cfg.ReadyTimeout
}

// transient reports whether the same request may succeed a little later.
func transient(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Status == http.StatusTooManyRequests || unavailable(e.Status)
	}
	return refused(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// refused reports whether the request was certainly not carried out: no
// connection came about, or the server turned the request away.
func refused(err error) bool {
	var e *Error
	if errors.As(err, &e) {
		return e.Status == http.StatusTooManyRequests
	}
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" && !isNoSuchHost(err)
}

// notFoundYet reports whether the name of the server does not resolve, which
// for a new server may still change.
func notFoundYet(err error) bool { return isNoSuchHost(err) }

func isNoSuchHost(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound
}

// unavailable reports whether the status says that no server is there now.
func unavailable(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable
}

// hopeless reports whether waiting for the start of the server is in vain.
func (c *Client) hopeless(ctx context.Context) bool {
	return c.cfg.Diagnose != nil && c.starting() && c.cfg.Diagnose(ctx).Hopeless
}

// explain adds to an error what the user can do about it.
func (c *Client) explain(ctx context.Context, err error) error {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return fmt.Errorf("%w; the server at %s speaks HTTP without TLS: write http:// in the endpoint, or give the server a certificate", err, c.host)
	}
	if c.answered.Load() || !transient(err) && !notFoundYet(err) {
		return err
	}
	var e *Error
	switch waited := time.Since(time.Unix(0, c.firstTryNS.Load())); {
	case errors.As(err, &e): // somebody answered, such as a load balancer
	case c.cfg.ReadyTimeout > 0 && waited < c.cfg.ReadyTimeout:
		err = fmt.Errorf("no registry answers at %s: %w", c.host, err)
	case c.cfg.ReadyTimeout > 0:
		err = fmt.Errorf("no registry answered at %s within %s: %w", c.host, c.cfg.ReadyTimeout, err)
	default:
		err = fmt.Errorf("no registry answers at %s: %w", c.host, err)
	}
	if c.cfg.Diagnose == nil {
		return err
	}
	if found := c.cfg.Diagnose(ctx); found.Reason != "" {
		return fmt.Errorf("%w\n\n%s", err, found.Reason)
	}
	return err
}

// retryAfter parses the header of that name, in seconds or as a date. It
// returns 0 for none or nonsense.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.Atoi(v); err == nil {
		return max(0, min(time.Duration(s), 86400*365)) * time.Second
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
