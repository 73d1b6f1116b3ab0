package transfer

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// RemoteRepository is a repository of a Remote. It is an archive.Source and a
// Target.
type RemoteRepository struct {
	remote *Remote
	name   string
	http   *http.Client
}

// Name returns the repository's name.
func (r *RemoteRepository) Name() string { return r.name }

func (r *RemoteRepository) url(path string) *url.URL {
	u := r.remote.address.URL()
	u.Path = "/v2/" + r.name + "/" + path
	return u
}

// do sends a request without a body, and expects one of the statuses.
func (r *RemoteRepository) do(ctx context.Context, method string, at *url.URL, header http.Header, want ...int) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, at.String(), nil)
	if err != nil {
		return nil, err
	}
	for key, values := range header {
		req.Header[key] = values
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, err
	}
	if err := transport.CheckError(resp, want...); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// acceptManifests is what manifests may be; a registry may convert what is not
// listed.
func acceptManifests() http.Header {
	return http.Header{"Accept": {strings.Join(oci.ManifestMediaTypes(), ", ")}}
}

// Resolve returns the digest of a tag, and whether there is one. It asks with
// HEAD, which does not count as a pull where pulls are counted.
func (r *RemoteRepository) Resolve(ctx context.Context, tag oci.Tag) (oci.Digest, bool, error) {
	resp, err := r.do(ctx, http.MethodHead, r.url("manifests/"+tag.String()), acceptManifests(), http.StatusOK)
	if status(err) == http.StatusNotFound {
		return oci.Digest{}, false, nil
	}
	if err != nil {
		return oci.Digest{}, false, err
	}
	defer resp.Body.Close()
	if d, err := oci.ParseDigest(resp.Header.Get("Docker-Content-Digest")); err == nil {
		return d, true, nil
	}
	content, err := r.manifest(ctx, tag.String())
	return oci.FromBytes(content), err == nil, err
}

// Manifest returns a manifest by its digest, which it has.
func (r *RemoteRepository) Manifest(ctx context.Context, d oci.Digest) ([]byte, error) {
	content, err := r.manifest(ctx, d.String())
	if err == nil && d.Algorithm().Of(content) != d {
		err = fmt.Errorf("the registry's manifest %s has another digest", d)
	}
	return content, err
}

func (r *RemoteRepository) manifest(ctx context.Context, reference string) ([]byte, error) {
	resp, err := r.do(ctx, http.MethodGet, r.url("manifests/"+reference), acceptManifests(), http.StatusOK)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, 2*oci.MaxManifestSize+1))
	if err == nil && len(content) > 2*oci.MaxManifestSize {
		err = fmt.Errorf("manifest %s is larger than %d bytes", reference, 2*oci.MaxManifestSize)
	}
	return content, err
}

// Open returns a blob from its offset on, and its whole size.
func (r *RemoteRepository) Open(ctx context.Context, d oci.Digest, offset int64) (io.ReadCloser, int64, error) {
	header := http.Header{}
	want := []int{http.StatusOK}
	if offset > 0 {
		header.Set("Range", "bytes="+strconv.FormatInt(offset, 10)+"-")
		want = append(want, http.StatusPartialContent)
	}
	resp, err := r.do(ctx, http.MethodGet, r.url("blobs/"+d.String()), header, want...)
	if err != nil {
		return nil, 0, err
	}
	if resp.StatusCode == http.StatusPartialContent {
		return resp.Body, offset + max(resp.ContentLength, 0), nil
	}
	if _, err := io.CopyN(io.Discard, resp.Body, offset); err != nil { // there are servers without ranges
		_ = resp.Body.Close()
		return nil, 0, err
	}
	return resp.Body, resp.ContentLength, nil
}

// Stat returns the size of a blob; -1 if the registry does not say it.
func (r *RemoteRepository) Stat(ctx context.Context, d oci.Digest) (int64, error) {
	resp, err := r.do(ctx, http.MethodHead, r.url("blobs/"+d.String()), nil, http.StatusOK)
	if err != nil {
		return 0, err
	}
	return resp.ContentLength, resp.Body.Close()
}

// Tags returns all tags.
func (r *RemoteRepository) Tags(ctx context.Context) ([]oci.Tag, error) {
	at := r.url("tags/list")
	at.RawQuery = "n=" + pageSize
	var tags []oci.Tag
	err := pages(ctx, r.http, at, "", func(body []byte) (bool, error) {
		var page struct {
			Tags []string `json:"tags"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return false, fmt.Errorf("the tags of %s are not what a registry answers", r.name)
		}
		for _, text := range page.Tags {
			tag, err := oci.ParseTag(text)
			if err != nil {
				return false, err
			}
			tags = append(tags, tag)
		}
		return true, nil
	})
	if status(err) == http.StatusNotFound {
		return nil, nil // a repository without tags, for some registries
	}
	return tags, err
}

// Referrers returns what refers to a manifest (distribution-spec "Listing
// Referrers"), and whether the registry can say so.
func (r *RemoteRepository) Referrers(ctx context.Context, d oci.Digest) (found []oci.Descriptor, can bool, err error) {
	err = pages(ctx, r.http, r.url("referrers/"+d.String()), oci.MediaTypeImageIndex, func(body []byte) (bool, error) {
		var index struct {
			Manifests *[]oci.Descriptor `json:"manifests"`
		}
		_ = json.Unmarshal(body, &index) // some answer anything with 200
		if index.Manifests == nil {
			return false, nil
		}
		can = true
		found = append(found, *index.Manifests...)
		return true, nil
	})
	if s := status(err); s >= 400 && s < 500 && s != http.StatusUnauthorized && s != http.StatusForbidden && s != http.StatusTooManyRequests {
		return nil, false, nil
	}
	return found, can, err
}
