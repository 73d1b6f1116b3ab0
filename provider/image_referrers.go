package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Bounds of what is read of the referrers of an image.
const (
	maxReferrersPage  = 16 << 20
	maxReferrersPages = 100
)

// nextRE takes the address out of a Link header (RFC 8288).
var nextRE = regexp.MustCompile(`^\s*<([^>]+)>\s*;\s*rel="?next"?`)

// referrers lists what refers to an image: signatures, attestations, bills of
// materials (distribution-spec "Listing Referrers"), on all pages.
func (a *ociAccess) referrers(ctx context.Context, repository, digest string) ([]oci.Descriptor, error) {
	repo := a.registry.Repo(repository)
	wrapped, err := transport.NewWithContext(ctx, a.registry, a.login, transport.NewUserAgent(transport.NewRetry(a.transport), a.userAgent), []string{repo.Scope(transport.PullScope)})
	if err != nil {
		return nil, err
	}
	c := &http.Client{Transport: wrapped}
	next := &url.URL{Scheme: a.registry.Scheme(), Host: a.registry.RegistryStr(), Path: "/v2/" + repository + "/referrers/" + digest}
	all := []oci.Descriptor{}
	for range maxReferrersPages {
		page, link, err := readReferrers(ctx, c, next)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if next, err = nextPage(next, link); next == nil || err != nil {
			return all, err
		}
	}
	return nil, fmt.Errorf("there are more than %d pages of referrers", maxReferrersPages)
}

// nextPage returns where the page after the one at this address is; nil after
// the last. It stays on the same server.
func nextPage(at *url.URL, link string) (*url.URL, error) {
	m := nextRE.FindStringSubmatch(link)
	if m == nil {
		return nil, nil
	}
	next, err := at.Parse(m[1])
	if err != nil || next.Host != at.Host {
		return nil, fmt.Errorf("the server's next page of referrers is not at an address of its own: %q", m[1])
	}
	next.Scheme, next.User = at.Scheme, nil
	return next, nil
}

func readReferrers(ctx context.Context, c *http.Client, at *url.URL) ([]oci.Descriptor, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Accept", oci.MediaTypeImageIndex)
	resp, err := c.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReferrersPage+1))
	if err != nil {
		return nil, "", err
	}
	var index struct {
		Manifests []oci.Descriptor `json:"manifests"`
	}
	if len(body) > maxReferrersPage || json.Unmarshal(body, &index) != nil {
		return nil, "", fmt.Errorf("GET %s: the answer is no index, or longer than %d bytes", at.Path, maxReferrersPage)
	}
	return index.Manifests, resp.Header.Get("Link"), nil
}
