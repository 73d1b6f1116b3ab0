package s3store

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// copyBlob copies what is staged to the key of its digest, within S3: only if it
// is still what was completed.
func (s *Store) copyBlob(ctx context.Context, st *state, etag *string, info storage.BlobInfo) error {
	source, to := s.copySource(st.dataKey()), s.key(storage.BlobKey(info.Digest))
	if info.Size > s.config.CopyThreshold {
		return s.copyInRanges(ctx, source, to, etag, info)
	}
	in := s.copyInput(to, source)
	in.CopySourceIfMatch = etag
	if _, err := s.api.CopyObject(ctx, in); err != nil {
		return blobErr(ctx, "copy", info.Digest, err)
	}
	return nil
}

func (s *Store) copySource(key string) *string {
	parts := strings.Split(s.config.Bucket+"/"+s.prefix+key, "/")
	for i := range parts {
		parts[i] = strings.ReplaceAll(url.QueryEscape(parts[i]), "+", "%20") // a '+' would be read as a space
	}
	return aws.String(strings.Join(parts, "/"))
}

// copyInRanges copies as the parts of a multipart upload, many at once. The blob
// is visible once all of them are there.
func (s *Store) copyInRanges(ctx context.Context, source, to, etag *string, info storage.BlobInfo) error {
	begun, err := s.api.CreateMultipartUpload(ctx, s.multipartInput(to))
	if err != nil {
		return blobErr(ctx, "copy", info.Digest, err)
	}
	parts, err := s.copyRanges(ctx, source, to, etag, begun.UploadId, info.Size)
	if err == nil {
		_, err = s.api.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: s.bucket, Key: to, UploadId: begun.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
	}
	if err != nil {
		_, _ = s.api.AbortMultipartUpload(context.WithoutCancel(ctx), &s3.AbortMultipartUploadInput{Bucket: s.bucket, Key: to, UploadId: begun.UploadId})
		return blobErr(ctx, "copy", info.Digest, err)
	}
	return nil
}

func (s *Store) copyRanges(ctx context.Context, source, to, etag, id *string, size int64) ([]types.CompletedPart, error) {
	chunk := max(s.config.CopyChunkSize, (size+maxParts-1)/maxParts)
	parts := make([]types.CompletedPart, (size+chunk-1)/chunk)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.config.CopyConcurrency)
	for i := range parts {
		from := int64(i) * chunk
		number := aws.Int32(int32(i) + 1)
		group.Go(func() error {
			out, err := s.api.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
				Bucket: s.bucket, Key: to, UploadId: id, PartNumber: number, CopySource: source, CopySourceIfMatch: etag,
				CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", from, min(from+chunk, size)-1)),
			})
			if err != nil {
				return err
			}
			parts[i] = types.CompletedPart{PartNumber: number, ETag: out.CopyPartResult.ETag}
			return nil
		})
	}
	return parts, group.Wait()
}
