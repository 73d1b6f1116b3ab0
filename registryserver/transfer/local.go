package transfer

import (
	"context"
	"errors"
	"io"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

// Local is a repository in a storage that this program has opened itself. Others
// may read and write the storage meanwhile. It is an archive.Source and a Target.
type Local struct {
	Registry   *registry.Registry
	Repository oci.Repository
}

// Manifest returns a manifest by its digest.
func (l Local) Manifest(ctx context.Context, d oci.Digest) ([]byte, error) {
	m, err := l.Registry.Manifest(ctx, l.Repository, oci.Reference{Digest: d})
	return m.Content, err
}

// Open returns a blob from its offset on, and its whole size.
func (l Local) Open(ctx context.Context, d oci.Digest, offset int64) (io.ReadCloser, int64, error) {
	info, err := l.Registry.StatBlob(ctx, l.Repository, d)
	if err != nil {
		return nil, 0, err
	}
	content, err := l.Registry.OpenBlob(ctx, l.Repository, info, offset)
	return content, info.Size, err
}

// Resolve returns the digest of a tag, and whether there is one.
func (l Local) Resolve(ctx context.Context, tag oci.Tag) (oci.Digest, bool, error) {
	d, err := l.Registry.ResolveTag(ctx, l.Repository, tag)
	found, err := unless(err, oci.CodeManifestUnknown)
	return d, found, err
}

// HasManifest reports whether the repository has a manifest.
func (l Local) HasManifest(ctx context.Context, d oci.Digest) (bool, error) {
	_, err := l.Registry.Manifest(ctx, l.Repository, oci.Reference{Digest: d})
	return unless(err, oci.CodeManifestUnknown)
}

// HasBlob reports whether the repository has a blob.
func (l Local) HasBlob(ctx context.Context, d oci.Digest) (bool, error) {
	_, err := l.Registry.StatBlob(ctx, l.Repository, d)
	return unless(err, oci.CodeBlobUnknown)
}

// MountBlob takes a blob from another repository.
func (l Local) MountBlob(ctx context.Context, d oci.Digest, from string) (bool, error) {
	other, err := oci.ParseRepository(from)
	if err != nil {
		return false, err
	}
	return unless(l.Registry.MountBlob(ctx, other, l.Repository, d), oci.CodeBlobUnknown)
}

// unless turns an error that says that something is not there into false.
func unless(err error, absent oci.Code) (bool, error) {
	if err != nil && oci.ErrorCode(err) == absent {
		return false, nil
	}
	return err == nil, err
}

// PutBlob stores a blob.
func (l Local) PutBlob(ctx context.Context, d oci.Descriptor, content io.Reader) error {
	since := l.Registry.Epoch()
	up, err := l.Registry.StartUpload(ctx)
	if err != nil {
		return err
	}
	up.Expect(d.Digest)
	if _, err := up.ReadFrom(content); err != nil {
		return errors.Join(err, up.Abort(context.WithoutCancel(ctx)))
	}
	if _, err = l.Registry.CommitUpload(ctx, l.Repository, up, d.Digest, since); err != nil {
		_ = up.Close()
	}
	return err
}

// PutManifest stores a manifest, under the rules of a push.
func (l Local) PutManifest(ctx context.Context, ref oci.Reference, mediaType string, content []byte) (bool, error) {
	push := registry.Push{Repository: l.Repository, Digest: ref.Digest, ContentType: mediaType, Body: content}
	if !ref.Tag.IsZero() {
		push.Tags = []oci.Tag{ref.Tag}
	}
	_, err := l.Registry.PutManifest(ctx, push)
	return err == nil, err
}

// Referrers returns what refers to a manifest.
func (l Local) Referrers(ctx context.Context, d oci.Digest) (found []oci.Descriptor, can bool, err error) {
	for after := ""; ; {
		page, err := l.Registry.Referrers(ctx, l.Repository, d, "", after)
		if err != nil {
			return nil, true, err
		}
		found = append(found, page.Descriptors...)
		if after = page.Next; after == "" {
			return found, true, nil
		}
	}
}
