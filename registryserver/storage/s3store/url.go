package s3store

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// BlobURL signs a GET of the blob; that asks nothing of the bucket. With the
// credentials of a role, the URL expires no later than they do.
func (b blobs) BlobURL(ctx context.Context, d oci.Digest, expires time.Duration) (string, error) {
	if err := mayBeBlob(ctx, d); err != nil {
		return "", err
	}
	in := &s3.GetObjectInput{Bucket: b.bucket, Key: b.key(storage.BlobKey(d))}
	signed, err := s3.NewPresignClient(b.api, s3.WithPresignExpires(expires)).PresignGetObject(ctx, in)
	if err != nil {
		return "", blobErr(ctx, "sign a URL of", d, err)
	}
	return signed.URL, nil
}
