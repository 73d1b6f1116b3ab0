package s3store

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

func (b blobs) BlobsBelow(ctx context.Context, prefix string) iter.Seq2[storage.BlobInfo, error] {
	dir := blobsDir + "/" + string(oci.Canonical) + "/" + prefix
	if len(prefix) > 2 {
		dir = blobsDir + "/" + string(oci.Canonical) + "/" + prefix[:2] + "/" + prefix
	}
	return func(yield func(storage.BlobInfo, error) bool) {
		for e, err := range b.entries(ctx, dir, "", "") {
			if err != nil {
				yield(storage.BlobInfo{}, fmt.Errorf("list blobs: %w", err))
				return
			}
			d, ok := digestOf(e.key)
			if !ok || !strings.HasPrefix(d.Hex(), prefix) {
				continue // foreign
			}
			if !yield(storage.BlobInfo{Digest: d, Size: aws.ToInt64(e.object.Size), ModTime: aws.ToTime(e.object.LastModified)}, nil) {
				return
			}
		}
	}
}

func (b blobs) Entries(ctx context.Context, prefix string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		if err := storage.CheckPrefix(prefix); err != nil {
			yield(storage.Entry{}, err)
			return
		}
		for e, err := range b.entries(ctx, prefix, "", "") {
			if err != nil {
				yield(storage.Entry{}, err)
				return
			}
			if reservedFolder(e.key) != "" || storage.CheckKey(e.key) != nil {
				continue
			}
			if !yield(storage.Entry{Key: e.key, ModTime: aws.ToTime(e.object.LastModified)}, nil) {
				return
			}
		}
	}
}

// StoreTime is the Date of an answer.
func (b blobs) StoreTime(ctx context.Context) (time.Time, error) {
	ctx, answers := storage.WatchAnswers(ctx)
	in := &s3.ListObjectsV2Input{Bucket: b.bucket, Prefix: b.key(storage.KitRoot + "/"), MaxKeys: aws.Int32(1)}
	if _, err := b.api.ListObjectsV2(ctx, in); err != nil {
		return time.Time{}, fmt.Errorf("ask the bucket for its time: %w", notCancelled(ctx, err))
	}
	if answers.Last().IsZero() {
		return time.Time{}, fmt.Errorf("ask the bucket for its time: its answers have no Date")
	}
	return answers.Last(), nil
}

// noteAnswers tells who watches what S3 has answered, and when.
func (s *Store) noteAnswers(stack *smithyStack) error {
	note := func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		ctx, answered := s.config.Observe(ctx, awsmiddleware.GetOperationName(ctx))
		out, metadata, err := next.HandleDeserialize(ctx, in)
		if at, ok := awsmiddleware.GetServerTime(metadata); ok && !at.IsZero() {
			storage.Answered(ctx, at)
			s.clock.set(at)
		}
		status := 0
		if answer, ok := out.RawResponse.(*smithyhttp.Response); ok && answer.Response != nil {
			status = answer.StatusCode
		}
		answered(status)
		return out, metadata, err
	}
	// After "RecordResponseTiming", which is what reads the header, so outside of it.
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("noteAnswers", note), middleware.Before)
}
