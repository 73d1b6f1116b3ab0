package ociapi

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// unpagedTags is how many tags a request without n gets: all of them, as old
// clients expect, within reason. A Link leads to the rest.
const unpagedTags = 10_000

// defaultCatalogPage is how many repositories a request without n gets.
const defaultCatalogPage = 100

// page is the paging of a list: at most n names, after last.
type page struct {
	n    int
	last string
}

// parsePage parses n and last. n above most is cut to it. Nothing is ever
// allocated by a client's n (CVE-2023-2253). PAGINATION_NUMBER_INVALID.
func parsePage(q url.Values, def, most int) (page, error) {
	p := page{n: def, last: q.Get("last")}
	if !q.Has("n") {
		return p, nil
	}
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n < 0 {
		return p, oci.Errorf(oci.CodePaginationInvalid, "n must be a whole number from 0 to %d", most)
	}
	p.n = min(n, most)
	return p, nil
}

// setNext points the client to the page after last (RFC 5988).
func (a *API) setNext(w http.ResponseWriter, path string, p page, last string, query url.Values) {
	q := url.Values{"n": {strconv.Itoa(p.n)}, "last": {last}}
	for name, values := range query {
		q[name] = values
	}
	w.Header().Set("Link", "<"+a.Prefix+path+"?"+q.Encode()+`>; rel="next"`)
}

// catalog answers GET /v2/_catalog: the repositories that the caller may pull.
func (a *API) catalog(w http.ResponseWriter, r *http.Request, req request) error {
	p, err := parsePage(req.query, min(defaultCatalogPage, a.MaxCatalog), a.MaxCatalog)
	if err != nil {
		return err
	}
	who := identity(r.Context())
	names := []string{}
	for repo, err := range a.Registry.Repositories(r.Context(), p.last) {
		if err != nil {
			return err
		}
		if p.n == 0 {
			break
		}
		if !who.MayList(repo) {
			continue
		}
		if len(names) == p.n {
			a.setNext(w, "v2/_catalog", p, names[len(names)-1], nil)
			break
		}
		names = append(names, repo.String())
	}
	return writeJSON(w, "application/json", map[string][]string{"repositories": names})
}

// tags answers GET tags/list.
func (a *API) tags(w http.ResponseWriter, r *http.Request, req request) error {
	p, err := parsePage(req.query, unpagedTags, a.MaxTags)
	if err != nil {
		return err
	}
	names := []string{}
	for tag, err := range a.Registry.Tags(r.Context(), req.repo, p.last) {
		if err != nil {
			return err
		}
		if p.n == 0 {
			break
		}
		if len(names) == p.n {
			a.setNext(w, "v2/"+req.repo.String()+"/tags/list", page{n: min(p.n, a.MaxTags)}, names[len(names)-1], nil)
			break
		}
		names = append(names, tag.String())
	}
	return writeJSON(w, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{req.repo.String(), names})
}

// referrers answers GET referrers/<digest>: an image index of what has that
// subject.
func (a *API) referrers(w http.ResponseWriter, r *http.Request, req request) error {
	filter := req.query.Get("artifactType")
	result, err := a.Registry.Referrers(r.Context(), req.repo, req.digest, filter, req.query.Get("last"))
	if err != nil {
		return err
	}
	if filter != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	if result.Next != "" {
		q := url.Values{"last": {result.Next}}
		if filter != "" {
			q.Set("artifactType", filter)
		}
		w.Header().Set("Link", "<"+a.Prefix+"v2/"+req.repo.String()+"/referrers/"+req.digest.String()+"?"+q.Encode()+`>; rel="next"`)
	}
	return writeJSON(w, oci.MediaTypeImageIndex, struct {
		SchemaVersion int              `json:"schemaVersion"`
		MediaType     string           `json:"mediaType"`
		Manifests     []oci.Descriptor `json:"manifests"`
	}{2, oci.MediaTypeImageIndex, result.Descriptors})
}
