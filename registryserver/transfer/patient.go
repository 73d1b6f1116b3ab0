package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// errNoTLS: a library that falls back to HTTP by itself would send credentials
// in the clear.
var errNoTLS = errors.New("the registry does not speak TLS, and credentials would travel in the clear; write http:// before the address if that is meant")

// patient is a transport that waits when a registry asks for it (429 and 503
// with Retry-After), and repeats what a fault of the network ended, where the
// request can be repeated.
type patient struct {
	base  http.RoundTripper
	plain bool // HTTP is allowed
	once  bool // nothing is repeated
	note  func(string)
	sleep func(context.Context, time.Duration) error
}

const (
	maxTries = 6
	maxWait  = 5 * time.Minute // for one Retry-After
)

func (p patient) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" && !p.plain && !loopback(r.URL.Host) {
		return nil, errNoTLS
	}
	replayable := r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	for try := 1; ; try++ {
		resp, err := p.base.RoundTrip(r)
		wait, again := p.again(resp, err, safe)
		if !again || p.once || !replayable || try >= maxTries || r.Context().Err() != nil {
			return resp, err
		}
		if wait == 0 {
			wait = time.Second << (try - 1) / 2
		}
		if resp != nil {
			_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
			_ = resp.Body.Close()
		}
		if wait > 2*time.Second && p.note != nil {
			p.note(fmt.Sprintf("%s asks to wait; going on in %s", r.URL.Host, wait))
		}
		if err := p.sleep(r.Context(), wait); err != nil {
			return nil, err
		}
		if r.GetBody != nil {
			body, err := r.GetBody()
			if err != nil {
				return nil, err
			}
			r = r.Clone(r.Context())
			r.Body = body
		}
	}
}

// again reports whether to repeat a request, and after what time; 0 leaves that
// open.
func (p patient) again(resp *http.Response, err error, safe bool) (time.Duration, bool) {
	if err != nil {
		return 0, safe && !errors.Is(err, errNoTLS)
	}
	switch resp.StatusCode {
	case http.StatusTooManyRequests:
		return retryAfter(resp.Header.Get("Retry-After"), time.Now()), true
	case http.StatusServiceUnavailable:
		return retryAfter(resp.Header.Get("Retry-After"), time.Now()), true
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusGatewayTimeout:
		return 0, safe
	}
	return 0, false
}

// retryAfter parses the header (RFC 9110, 10.2.3). What is absent or makes no
// sense is 0.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return min(max(time.Duration(seconds), 0), maxWait/time.Second) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxWait)
	}
	return 0
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
