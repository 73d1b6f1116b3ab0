package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

const blobsDir = storage.DistributionRoot + "/blobs"

// blobs is the storage.Blobs of a Store.
type blobs struct{ *Store }

func (b blobs) Stat(ctx context.Context, d oci.Digest) (storage.BlobInfo, error) {
	if err := mayBeBlob(ctx, d); err != nil {
		return storage.BlobInfo{}, err
	}
	out, err := b.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b.bucket, Key: b.key(storage.BlobKey(d))})
	if err != nil {
		return storage.BlobInfo{}, blobErr(ctx, "stat", d, err)
	}
	return storage.BlobInfo{Digest: d, Size: aws.ToInt64(out.ContentLength), ModTime: aws.ToTime(out.LastModified)}, nil
}

// Open asks for the bytes from offset on, and returns them as they arrive.
func (b blobs) Open(ctx context.Context, d oci.Digest, offset int64) (io.ReadCloser, error) {
	if err := mayBeBlob(ctx, d); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fmt.Errorf("open blob %s: the offset %d is negative", d, offset)
	}
	in := &s3.GetObjectInput{Bucket: b.bucket, Key: b.key(storage.BlobKey(d))}
	if offset > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", offset))
	}
	out, err := b.api.GetObject(ctx, in)
	if status(err) == http.StatusRequestedRangeNotSatisfiable { // at or beyond the end
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	if err != nil {
		return nil, blobErr(ctx, "open", d, err)
	}
	return out.Body, nil
}

func (b blobs) Put(ctx context.Context, content []byte) (storage.BlobInfo, error) {
	if err := ctx.Err(); err != nil {
		return storage.BlobInfo{}, err
	}
	d := oci.FromBytes(content)
	if _, err := b.api.PutObject(ctx, b.putInput(b.key(storage.BlobKey(d)), bytes.NewReader(content))); err != nil {
		return storage.BlobInfo{}, blobErr(ctx, "write", d, err)
	}
	return storage.BlobInfo{Digest: d, Size: int64(len(content)), ModTime: time.Now()}, nil
}

func (b blobs) Delete(ctx context.Context, d oci.Digest) error {
	if err := mayBeBlob(ctx, d); err != nil {
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		return err
	}
	_, err := b.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b.bucket, Key: b.key(storage.BlobKey(d))})
	if err != nil && !notThere(err) {
		return blobErr(ctx, "delete", d, err)
	}
	return nil
}

// All lists objects, which have the order of digests: a key begins with what
// its digest begins with.
func (b blobs) All(ctx context.Context) iter.Seq2[storage.BlobInfo, error] {
	return func(yield func(storage.BlobInfo, error) bool) {
		for e, err := range b.entries(ctx, blobsDir+"/"+string(oci.Canonical)+"/", "", "") {
			if err != nil {
				yield(storage.BlobInfo{}, fmt.Errorf("list blobs: %w", err))
				return
			}
			d, ok := digestOf(e.key)
			if !ok {
				continue // foreign
			}
			info := storage.BlobInfo{Digest: d, Size: aws.ToInt64(e.object.Size), ModTime: aws.ToTime(e.object.LastModified)}
			if !yield(info, nil) {
				return
			}
		}
	}
}

// digestOf is the digest of the blob at a key.
func digestOf(key string) (oci.Digest, bool) {
	parts := strings.Split(key, "/")
	if len(parts) < 2 {
		return oci.Digest{}, false
	}
	d, err := oci.ParseDigest(string(oci.Canonical) + ":" + parts[len(parts)-2])
	return d, err == nil && storage.BlobKey(d) == key
}

// mayBeBlob returns an error if the context has ended or d is no digest of a
// blob.
func mayBeBlob(ctx context.Context, d oci.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.IsZero() || d.Algorithm() != oci.Canonical {
		return fmt.Errorf("find blob %s: %w", d, storage.ErrNotFound)
	}
	return nil
}

func blobErr(ctx context.Context, what string, d oci.Digest, err error) error {
	if notThere(err) {
		err = storage.ErrNotFound
	}
	return fmt.Errorf("%s blob %s: %w", what, d, notCancelled(ctx, err))
}
