package proxycache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/transfer"
)

// failure is why an upstream did not give what was asked of it.
type failure struct {
	kind string // a label of the metrics
	err  error  // an *oci.Error
	// down says that the upstream could not answer, and what is here may be served
	// in its place. Where it is false, it has answered: there is no such thing.
	down bool
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// errOtherBytes: what the upstream sent has another digest.
var errOtherBytes = errors.New("the upstream sent other bytes than the digest names; nothing was stored")

// failed says what an error of an upstream means for a client; missing is what a
// client is told where the upstream does not have something. The error of a
// request that ended stays as it is.
func (c *Cache) failed(ctx context.Context, rt *route, missing *oci.Error, err error) error {
	if ctx.Err() != nil {
		return err
	}
	f := classify(rt, missing, err, withoutURL(err))
	c.stats.add(counter{"upstream_errors", rt.Prefix, f.kind}, 1)
	if f.down && f.kind != "other_bytes" {
		if r, gone := c.remote(rt); gone == nil {
			r.rest(c.Rest)
		}
	}
	if f.kind != "not_found" {
		c.Log.WarnContext(ctx, "the upstream of a pull-through cache failed", "prefix", rt.Prefix, "upstream", rt.upstream.String(), "kind", f.kind, "error", withoutURL(err))
	}
	return f
}

// withoutURL is an error of a request as it may be logged: where a redirect led,
// the query of the URL may be all that it takes to read what is there.
func withoutURL(err error) error {
	var outer *url.Error
	if !errors.As(err, &outer) {
		return err
	}
	host := "the upstream"
	if u, bad := url.Parse(outer.URL); bad == nil {
		host = u.Host
	}
	return fmt.Errorf("%s %s: %w", outer.Op, host, outer.Err)
}

// classify says what err means; cause is what may be logged of it.
func classify(rt *route, missing *oci.Error, err, cause error) *failure {
	from := rt.upstream.String()
	unavailable := func(kind, text string) *failure {
		return &failure{kind, &oci.Error{Code: oci.CodeUnavailable, Message: text, Err: cause}, true}
	}
	var limit *limitError
	switch status := transfer.Status(err); {
	case rt.err != nil:
		return unavailable("login", "this registry has no password for "+from+", which it caches; its log says more")
	case errors.As(err, &limit):
		return &failure{"rate_limited", limited(from, limit.after, cause), true}
	case status == http.StatusTooManyRequests:
		return &failure{"rate_limited", limited(from, 30*time.Second, cause), true}
	case status == http.StatusNotFound:
		return &failure{"not_found", missing, false}
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		gone := *missing
		gone.Message += ": " + from + ", which this is a cache of, does not have it or does not give it to the user of this cache"
		gone.Err = cause
		return &failure{"denied", &gone, transfer.LoginFailed(err)}
	case status >= http.StatusInternalServerError:
		return unavailable("server_error", from+", which this is a cache of, is out of order; try again later")
	case errors.Is(err, errOtherBytes):
		return unavailable("other_bytes", from+", which this is a cache of, sent other bytes than the digest names; nothing was stored")
	case errors.Is(err, errForeignHost):
		return unavailable("foreign_host", from+", which this is a cache of, wants its password sent to another host, and that is refused")
	default:
		return unavailable("unreachable", from+", which this is a cache of, cannot be reached; try again later")
	}
}

func limited(from string, after time.Duration, err error) error {
	return &auth.RetryError{After: max(after, time.Second), Err: &oci.Error{
		Code: oci.CodeTooManyRequests, Message: from + ", which this is a cache of, takes no more requests for now; try again later", Err: err,
	}}
}

// down reports whether an error is that the upstream could not answer.
func down(err error) bool {
	var f *failure
	return errors.As(err, &f) && f.down
}
