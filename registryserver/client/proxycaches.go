package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// PutProxyCache makes the pull-through cache of a prefix what spec says. The
// server seals the password, and refuses it without an http.secret to do so
// (CONFLICT). Unless ifRevision is empty, there must be one that has that
// revision, or is what spec says, or the error is of code PRECONDITION_FAILED.
func (c *Client) PutProxyCache(ctx context.Context, spec ProxyCacheSpec, ifRevision string) (ProxyCache, error) {
	return c.putProxyCache(ctx, spec, request{ifRevision: ifRevision})
}

// CreateProxyCache is PutProxyCache where there must be no other cache of that
// prefix (PRECONDITION_FAILED).
func (c *Client) CreateProxyCache(ctx context.Context, spec ProxyCacheSpec) (ProxyCache, error) {
	return c.putProxyCache(ctx, spec, request{ifAbsent: true})
}

func (c *Client) putProxyCache(ctx context.Context, spec ProxyCacheSpec, r request) (ProxyCache, error) {
	var cache ProxyCache
	path, err := proxyCachePath(spec.Prefix)
	if err != nil {
		return cache, err
	}
	r.method, r.path, r.body = http.MethodPut, path, spec
	err = c.do(ctx, r, &cache)
	return cache, err
}

// GetProxyCache returns a pull-through cache. See IsNotFound.
func (c *Client) GetProxyCache(ctx context.Context, prefix string) (ProxyCache, error) {
	var cache ProxyCache
	path, err := proxyCachePath(prefix)
	if err != nil {
		return cache, err
	}
	err = c.do(ctx, request{method: http.MethodGet, path: path}, &cache)
	return cache, err
}

// DeleteProxyCache ends a pull-through cache, and leaves what it has fetched;
// ifRevision is as for UpdateUser. See IsNotFound.
func (c *Client) DeleteProxyCache(ctx context.Context, prefix, ifRevision string) error {
	path, err := proxyCachePath(prefix)
	if err != nil {
		return err
	}
	return c.do(ctx, request{method: http.MethodDelete, path: path, ifRevision: ifRevision}, nil)
}

// ListProxyCaches yields every pull-through cache in the byte order of prefixes.
// It ends at the first error.
func (c *Client) ListProxyCaches(ctx context.Context) iter.Seq2[ProxyCache, error] {
	return list[ProxyCache](ctx, c, "/proxy-caches")
}

func proxyCachePath(s string) (string, error) {
	prefix, err := oci.ParseProxyPrefix(s)
	return "/proxy-caches/" + url.PathEscape(prefix), err
}
