package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// pageSize is what lists ask for; maxBody bounds what is read of an answer.
const (
	pageSize = 1000
	maxBody  = 8 << 20
)

// request is one call of the API.
type request struct {
	method     string
	path       string // below BasePath, escaped
	body       any    // JSON, or nil for no body
	ifRevision string // sent as If-Match
	ifAbsent   bool   // sent as If-None-Match: *
	list       bool   // ask for a page
	after      string // what the page follows; lists only
	query      url.Values
	key        string // set by do: what makes a repeated POST the same one
}

// do makes the call and decodes the answer into out, unless that is nil. It
// repeats the request while retry says so. A repeat is always safe: GET, PUT
// and DELETE are idempotent, and a POST bears a key by which the server knows
// that it has done it already.
func (c *Client) do(ctx context.Context, r request, out any) error {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return fmt.Errorf("%s %s: encode: %w", r.method, r.path, err)
		}
	}
	if r.method == http.MethodPost {
		r.key = uuid.NewString()
	}
	c.firstTryNS.CompareAndSwap(0, time.Now().UnixNano())
	var unclear bool // an earlier try may have been carried out
	var asked bool   // a POST was repeated after a timeout
	for try := 0; ; try++ {
		resp, err := c.try(ctx, r, body)
		if err == nil && resp.ok() {
			return resp.decode(r, out)
		}
		if err == nil {
			err = resp.err()
		}
		if unclear && r.method == http.MethodDelete && IsNotFound(err) {
			return nil // the earlier try did it
		}
		unclear = unclear || !refused(err)
		wait, again := c.retry(ctx, try, err)
		// Whether an unanswered POST made something is found out by asking once
		// more, with the same key. That is worth one more wait, not several.
		if !again && !asked && r.key != "" && errors.Is(err, errTryTimeout) && ctx.Err() == nil {
			asked, again = true, true
		}
		if !again || c.hopeless(ctx) {
			return c.explain(ctx, err)
		}
		if c.sleep(ctx, wait) != nil {
			return fmt.Errorf("%w; the last try failed: %w", context.Cause(ctx), err)
		}
	}
}

// answer is a response that has been read.
type answer struct {
	*http.Response
	body []byte
}

func (a *answer) ok() bool   { return a.StatusCode/100 == 2 }
func (a *answer) err() error { return responseError(a.Response, a.body) }

func (a *answer) decode(r request, out any) error {
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return fmt.Errorf("%s %s: the answer (%s) is not what this API sends; is the endpoint a Registry Kit server? %w",
			r.method, r.path, describeBody(a.Response, a.body), err)
	}
	return nil
}

// try sends the request once and reads the whole answer.
func (c *Client) try(ctx context.Context, r request, body []byte) (*answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.RequestTimeout, errTryTimeout)
	defer cancel()
	req, err := c.newRequest(ctx, r, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, tryError(ctx, r, err)
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, tryError(ctx, r, fmt.Errorf("read the answer: %w", err))
	case len(content) > maxBody:
		return nil, fmt.Errorf("%s %s: the answer is longer than %d bytes", r.method, r.path, maxBody)
	}
	if !unavailable(resp.StatusCode) {
		c.answered.Store(true)
	}
	return &answer{resp, content}, nil
}

func (c *Client) newRequest(ctx context.Context, r request, body []byte) (*http.Request, error) {
	address := c.base + r.path
	if r.list {
		r.query = url.Values{"limit": {strconv.Itoa(pageSize)}}
		if r.after != "" {
			r.query.Set("after", r.after)
		}
	}
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, reader)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.ifRevision != "" {
		req.Header.Set("If-Match", `"`+r.ifRevision+`"`)
	}
	if r.ifAbsent {
		req.Header.Set("If-None-Match", "*")
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	switch {
	case c.cfg.Token != "":
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	case c.cfg.Username != "":
		req.SetBasicAuth(c.cfg.Username, c.cfg.Password)
	}
	return req, nil
}

var errTryTimeout = errors.New("no answer in time")

// tryError describes an error of the transport. A *url.Error repeats method
// and URL, so only its cause is kept.
func tryError(ctx context.Context, r request, err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	if errors.Is(context.Cause(ctx), errTryTimeout) {
		err = errTryTimeout
	}
	return fmt.Errorf("%s %s: %w", r.method, r.path, err)
}
