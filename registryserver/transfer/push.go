package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Target is a repository that images are put into.
type Target interface {
	// Resolve returns the digest of a tag, and whether there is one.
	Resolve(ctx context.Context, tag oci.Tag) (oci.Digest, bool, error)
	HasManifest(ctx context.Context, d oci.Digest) (bool, error)
	HasBlob(ctx context.Context, d oci.Digest) (bool, error)
	// MountBlob takes a blob from another repository of the same registry, and
	// reports whether that was possible.
	MountBlob(ctx context.Context, d oci.Digest, from string) (bool, error)
	// PutBlob stores content, which has the digest or is refused.
	PutBlob(ctx context.Context, d oci.Descriptor, content io.Reader) error
	// PutManifest stores a manifest under its digest, or under a tag. It reports
	// whether one with a subject is now listed as its referrer.
	PutManifest(ctx context.Context, ref oci.Reference, mediaType string, content []byte) (listed bool, err error)
}

// HasManifest reports whether the repository has a manifest.
func (r *RemoteRepository) HasManifest(ctx context.Context, d oci.Digest) (bool, error) {
	return r.has(ctx, "manifests/"+d.String(), acceptManifests())
}

// HasBlob reports whether the repository has a blob.
func (r *RemoteRepository) HasBlob(ctx context.Context, d oci.Digest) (bool, error) {
	return r.has(ctx, "blobs/"+d.String(), nil)
}

func (r *RemoteRepository) has(ctx context.Context, path string, header http.Header) (bool, error) {
	resp, err := r.do(ctx, http.MethodHead, r.url(path), header, http.StatusOK)
	if status(err) == http.StatusNotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, resp.Body.Close()
}

// MountBlob takes a blob from another repository.
func (r *RemoteRepository) MountBlob(ctx context.Context, d oci.Digest, from string) (bool, error) {
	at := r.url("blobs/uploads/")
	at.RawQuery = url.Values{"mount": {d.String()}, "from": {from}}.Encode()
	resp, err := r.do(ctx, http.MethodPost, at, nil, http.StatusCreated, http.StatusAccepted)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusCreated {
		return true, nil
	}
	// The registry began an upload instead, which nobody is going to use.
	if location, err := resp.Location(); err == nil {
		if end, err := r.do(ctx, http.MethodDelete, location, nil, http.StatusNoContent, http.StatusAccepted, http.StatusOK); err == nil {
			_ = end.Body.Close()
		}
	}
	return false, nil
}

// PutBlob uploads a blob.
func (r *RemoteRepository) PutBlob(ctx context.Context, d oci.Descriptor, content io.Reader) error {
	resp, err := r.do(ctx, http.MethodPost, r.url("blobs/uploads/"), nil, http.StatusAccepted)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	at, err := resp.Location()
	if err != nil {
		return fmt.Errorf("begin an upload: the registry does not say where: %w", err)
	}
	query := at.Query()
	query.Set("digest", d.Digest.String())
	at.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, at.String(), io.NopCloser(content))
	if err != nil {
		return err
	}
	if req.ContentLength = d.Size; d.Size == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	return r.finish(req)
}

func (r *RemoteRepository) finish(req *http.Request) error {
	resp, err := r.http.Do(req)
	if err != nil {
		var outer *url.Error
		if errors.As(err, &outer) { // its text holds the whole URL, and that seals a session
			err = outer.Err
		}
		return err
	}
	defer resp.Body.Close()
	return transport.CheckError(resp, http.StatusCreated, http.StatusNoContent)
}

// PutManifest stores a manifest.
func (r *RemoteRepository) PutManifest(ctx context.Context, ref oci.Reference, mediaType string, content []byte) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, r.url("manifests/"+ref.String()).String(), bytes.NewReader(content))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := r.http.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusCreated, http.StatusAccepted, http.StatusOK); err != nil {
		return false, err
	}
	return resp.Header.Get("OCI-Subject") != "", nil
}
