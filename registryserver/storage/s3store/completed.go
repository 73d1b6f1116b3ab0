package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// completedAs returns the ETag of the object that the parts of an upload have
// become, if it has the size of all that the state knows of.
// storage.ErrUploadUnknown.
func (s *Store) completedAs(ctx context.Context, st *state) (*string, error) {
	head, err := s.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: s.bucket, Key: s.key(st.dataKey())})
	switch {
	case notThere(err):
		return nil, storage.ErrUploadUnknown
	case err != nil:
		return nil, err
	case aws.ToInt64(head.ContentLength) != st.offset || aws.ToString(head.ETag) == "":
		return nil, storage.ErrUploadUnknown
	}
	return head.ETag, nil
}

// commitCompleted does what the request that completed the parts has not done
// yet. Which parts those were nobody says any more, so the object is read: it
// must be what was hashed. If the other request is faster, the upload is gone.
func (u *upload) commitCompleted(ctx context.Context, want oci.Digest) (storage.BlobInfo, error) {
	d, err := u.good.digest()
	if err != nil {
		return storage.BlobInfo{}, err
	}
	if want.IsZero() || want.Algorithm() == oci.Canonical && want != d {
		return storage.BlobInfo{}, fmt.Errorf("%w: another request is ending the upload", storage.ErrUploadUnknown)
	}
	out, err := u.s.api.GetObject(ctx, &s3.GetObjectInput{Bucket: u.s.bucket, Key: u.s.key(u.good.dataKey()), IfMatch: u.completed})
	if err != nil {
		return storage.BlobInfo{}, goneMeanwhile(err)
	}
	defer out.Body.Close()
	sum, asked := oci.Canonical.NewHash(), want.Algorithm().NewHash()
	if _, err := io.Copy(io.MultiWriter(sum, asked), out.Body); err != nil {
		return storage.BlobInfo{}, err
	}
	if sumOf(sum) != d || oci.FromHash(want.Algorithm(), asked) != want {
		return storage.BlobInfo{}, fmt.Errorf("%w: %w", storage.ErrUploadUnknown, errForked)
	}
	info := storage.BlobInfo{Digest: d, Size: u.good.offset, ModTime: time.Now()}
	if err := u.s.copyBlob(ctx, &u.good, u.completed, info); err != nil {
		return storage.BlobInfo{}, goneMeanwhile(err)
	}
	u.s.clear(ctx, &u.good)
	return info, nil
}

// goneMeanwhile: the other request has ended the upload.
func goneMeanwhile(err error) error {
	if notThere(err) || preconditionFailed(err) || errors.Is(err, storage.ErrNotFound) {
		return storage.ErrUploadUnknown
	}
	return err
}
