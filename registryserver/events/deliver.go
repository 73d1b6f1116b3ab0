package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// tryTime is how long a receiver may take to answer.
	tryTime = 15 * time.Second
	// maxBackoff is the longest wait between two tries, also where a receiver asks
	// for more.
	maxBackoff = 5 * time.Minute
	// maxAnswer is how much of an answer is read, so that the connection can be
	// used again.
	maxAnswer = 64 << 10
)

func newTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	t.MaxIdleConnsPerHost = perReceiver
	return t
}

// run delivers an event to the receivers that there is room for, each at its own
// pace, and keeps its record: renewed while there is something to do, gone when
// all have it.
func (n *Notifier) run(ctx context.Context, d *delivery) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		name string
		done bool
	}
	outcomes := make(chan outcome, len(d.To))
	left := 0
	begin := func(names []string) {
		left += len(names)
		for _, name := range names {
			go func() { outcomes <- outcome{name, n.deliver(ctx, d.Event, name)} }()
		}
	}
	begin(d.going)
	renew, room := time.NewTicker(lease/2), time.NewTicker(n.Sweep)
	defer renew.Stop()
	defer room.Stop()
	var lost, stopped bool
	for left > 0 {
		select {
		case o := <-outcomes:
			left--
			n.finished(o.name)
			stopped = stopped || !o.done
			if o.done {
				d.To = without(d.To, o.name)
			}
		case <-room.C:
			if !lost && !stopped {
				begin(n.join(d))
			}
		case <-renew.C:
			if lost = lost || !n.renew(ctx, d); lost {
				cancel() // another server delivers it now
			}
		}
	}
	switch {
	case lost || d.key == "" && !stopped:
	case stopped:
		return // stop gives it back
	case len(d.To) > 0:
		n.release(ctx, d) // for those that there was no room for
	default:
		n.done(ctx, d)
	}
	n.forget(d.Event.ID)
}

// deliver gets an event to one receiver, as often as it takes. It returns
// whether there is nothing more to do: false means that ctx has ended.
func (n *Notifier) deliver(ctx context.Context, e Event, name string) bool {
	n.counts.begin(name)
	defer n.counts.end(name)
	wait := n.Backoff
	for failures := 0; ; failures++ {
		if !n.of(name).Has(name) {
			return true // deleted, or switched off
		}
		log := n.Log.With(n.of(name).LogAttrs(name)...).With("event", e.ID)
		try := n.tryOnce(ctx, name, e)
		switch {
		case ctx.Err() != nil:
			return false
		case try.Err == nil:
			if failures > 0 {
				log.InfoContext(ctx, "an event that had to be tried again is delivered", "failures", failures)
			}
			return true
		case errors.Is(try.Err, errGone) || n.Now().Sub(e.Time) > maxAge:
			log.ErrorContext(ctx, "an event is given up", "action", e.Action, "repository", e.Repository, "tag", e.Tag, "failures", failures+1, "error", try.Err)
			n.counts.drop([]string{name})
			return true
		case failures == 0:
			log.WarnContext(ctx, "an event could not be delivered; it is tried again", "error", try.Err)
			if try.Backoff > 0 {
				wait = try.Backoff
			}
		}
		pause := min(max(wait, try.After), maxBackoff)
		wait = min(2*wait, maxBackoff)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause/2 + mathrand.N(pause/2+1)): // many that failed together shall not come back together
		}
	}
}

// tryOnce tries once, when it is the event's turn.
func (n *Notifier) tryOnce(ctx context.Context, name string, e Event) Try {
	slot := n.slot(name)
	select {
	case slot <- struct{}{}:
		defer func() { <-slot }()
	case <-ctx.Done():
		return Try{Err: ctx.Err()}
	}
	try := n.of(name).Deliver(ctx, name, e)
	switch {
	case try.Status > 0:
		n.counts.answered(name, try.Status)
	case try.Err != nil:
		n.counts.failed(name)
	}
	return try
}

var errGone = errors.New("410 Gone: the receiver wants no more events; delete the webhook")

// webhooks sends events to webhooks, and to the endpoints of the configuration.
type webhooks struct {
	*Store
	http      *http.Client
	userAgent string
	now       func() time.Time
}

// LogAttrs is part of Receivers.
func (w webhooks) LogAttrs(name string) []any {
	attrs := []any{"webhook", name}
	if r := w.receiver(name); r != nil {
		attrs = append(attrs, "host", r.host())
	}
	return attrs
}

// Deliver is part of Receivers.
func (w webhooks) Deliver(ctx context.Context, name string, e Event) Try {
	r := w.receiver(name)
	if r == nil {
		return Try{}
	}
	if r.Problem != "" {
		return Try{Err: errors.New(r.Problem)}
	}
	timeout := tryTime
	if r.config.Timeout > 0 {
		timeout = r.config.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	try := w.send(ctx, r, e)
	try.Backoff = r.config.Backoff
	return try
}

func (w webhooks) send(ctx context.Context, r *receiver, e Event) Try {
	req, err := w.request(ctx, r, e)
	if err != nil {
		return Try{Err: err}
	}
	resp, err := w.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the URL, which may hold a token
		}
		return Try{Err: err}
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswer)
	try := Try{Status: resp.StatusCode}
	switch {
	case resp.StatusCode/100 == 2:
	case resp.StatusCode == http.StatusGone:
		try.Err = errGone
	case resp.StatusCode/100 == 3:
		try.Err = fmt.Errorf("status %d: redirects are not followed; give the webhook the URL that it leads to", resp.StatusCode)
	default:
		try.Err, try.After = fmt.Errorf("status %d", resp.StatusCode), retryAfter(resp.Header)
	}
	return try
}

// request is the POST of an event, signed as Standard Webhooks has it
// (github.com/standard-webhooks, "Signature scheme"): HMAC-SHA256 over
// "id.timestamp.body".
func (w webhooks) request(ctx context.Context, r *receiver, e Event) (*http.Request, error) {
	body, contentType, err := r.Format.write(e)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the url cannot be requested")
	}
	r.headers(req.Header)
	at := strconv.FormatInt(w.now().Unix(), 10)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", w.userAgent)
	req.Header.Set("Webhook-Id", e.ID)
	req.Header.Set("Webhook-Timestamp", at)
	if r.secret != "" {
		req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(signature(r.secret, e.ID, at, body)))
	}
	return req, nil
}

// signature signs a delivery. A secret in the form "whsec_BASE64" is what is
// encoded; any other counts as it is written.
func signature(secret, id, timestamp string, body []byte) []byte {
	key := []byte(secret)
	if encoded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if decoded, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			key = decoded
		}
	}
	mac := hmac.New(sha256.New, key)
	_, _ = fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body) // a hash does not fail
	return mac.Sum(nil)
}

// retryAfter is the header of that name in seconds, or 0.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil {
		return 0
	}
	return time.Duration(min(max(seconds, 0), 3600)) * time.Second
}
