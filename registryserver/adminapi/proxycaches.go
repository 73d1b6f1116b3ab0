package adminapi

import (
	"net/http"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/proxycache"
)

// proxyCacheBody is client.ProxyCacheSpec with what is missing told from what is
// empty.
type proxyCacheBody struct {
	Prefix                 *string `json:"prefix"`
	UpstreamURL            *string `json:"upstream_url"`
	Username               *string `json:"username"`
	Password               *string `json:"password"`
	RevalidateAfterSeconds *int64  `json:"revalidate_after_seconds"`
	MaxSizeBytes           *int64  `json:"max_size_bytes"`
}

func (a *api) listProxyCaches(r *http.Request) (answer, error) {
	all, err := a.Proxies.All(r.Context())
	if err != nil {
		return answer{}, err
	}
	caches := make([]client.ProxyCache, len(all))
	for i, e := range all {
		caches[i] = wireProxyCache(e)
	}
	p, err := page(r, caches, func(c client.ProxyCache) string { return c.Prefix })
	return answer{body: p, next: p.Next}, err
}

func (a *api) getProxyCache(r *http.Request) (answer, error) {
	prefix, err := oci.ParseProxyPrefix(r.PathValue("prefix"))
	if err != nil {
		return answer{}, err
	}
	e, err := a.Proxies.Get(r.Context(), prefix)
	return answer{body: wireProxyCache(e), etag: e.Revision}, err
}

func (a *api) putProxyCache(r *http.Request) (answer, error) {
	prefix, err := oci.ParseProxyPrefix(r.PathValue("prefix"))
	if err != nil {
		return answer{}, err
	}
	var body proxyCacheBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	may, err := condition(r)
	switch {
	case err != nil:
		return answer{}, err
	case a.ReadOnly:
		return answer{}, oci.Errorf(oci.CodeConflict, "this server is read-only, and fetches nothing from other registries")
	case body.Prefix != nil && *body.Prefix != prefix:
		return answer{}, oci.Errorf(oci.CodeInvalid, "the field prefix is not the prefix in the path; a pull-through cache cannot be renamed")
	case body.UpstreamURL == nil:
		return answer{}, oci.Errorf(oci.CodeInvalid, "the field upstream_url is missing")
	}
	after := or(body.RevalidateAfterSeconds, int64(proxycache.DefaultRevalidateAfter/time.Second))
	if after < 0 || after > oci.MaxRevalidateAfterSeconds {
		return answer{}, oci.Errorf(oci.CodeInvalid, "the field revalidate_after_seconds is 0 to %d", oci.MaxRevalidateAfterSeconds)
	}
	size := or(body.MaxSizeBytes, 0)
	if size < 0 {
		return answer{}, oci.Errorf(oci.CodeInvalid, "the field max_size_bytes is a number of bytes, or 0 for no bound")
	}
	e, created, err := a.Proxies.Put(r.Context(), proxycache.Spec{
		Prefix: prefix, URL: *body.UpstreamURL, Username: or(body.Username, ""), Password: body.Password,
		RevalidateAfter: time.Duration(after) * time.Second, MaxSize: size, May: may, MustExist: r.Header.Get("If-Match") != "",
	})
	ans := answer{body: wireProxyCache(e), etag: e.Revision}
	if created {
		ans.status, ans.location = http.StatusCreated, "/proxy-caches/"+escaped(prefix)
	}
	return ans, err
}

func (a *api) deleteProxyCache(r *http.Request) (answer, error) {
	prefix, err := oci.ParseProxyPrefix(r.PathValue("prefix"))
	if err != nil {
		return answer{}, err
	}
	may, err := condition(r)
	if err != nil {
		return answer{}, err
	}
	return answer{}, a.Proxies.Delete(r.Context(), prefix, may)
}

func wireProxyCache(e proxycache.Entry) client.ProxyCache {
	return client.ProxyCache{
		Prefix: e.Prefix, UpstreamURL: e.URL, Username: e.Username, HasPassword: e.HasPassword, CredentialRevision: e.CredentialRevision,
		RevalidateAfterSeconds: int64(e.RevalidateAfter / time.Second), MaxSizeBytes: e.MaxSize, Problem: e.Problem, Revision: e.Revision, CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt,
	}
}
