package provider

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/uuid"
	"github.com/hashicorp/terraform-plugin-log/tflog"
)

var (
	errNoConditions = errors.New("its server does not honour conditional writes (If-None-Match), without which a registry could be damaged: use AWS S3, or a server that does")
	errNotGot       = errors.New("what was read is not what was written")
)

// verify tries everything that a registry server does to the bucket, where the
// server makes its own probes, and removes what it wrote. Its error names the
// permission that is missing.
func (b bucket) verify(ctx context.Context, root string) error {
	key := strings.TrimPrefix(strings.Trim(root, "/")+"/registrykit/v1/probes/"+uuid.NewString(), "/")
	err := b.verifyObject(ctx, key)
	if err == nil {
		err = b.verifyParts(ctx, key)
	}
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), awsAnswerTimeout)
	defer cancel()
	out, removal := b.api.DeleteObject(tidy, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key})
	if removal == nil && out.VersionId != nil {
		b.forget(tidy, key)
	}
	if err == nil {
		err = needs("s3:DeleteObject", removal)
	}
	return err
}

// forget removes what a bucket with versions keeps of a deleted object, so that
// a bucket without images can be destroyed. A server may not do that, so it is
// no failure with the credentials of one; a lifecycle rule does it later.
func (b bucket) forget(ctx context.Context, key string) {
	page, err := b.api.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &b.name, Prefix: &key})
	if err == nil {
		_, err = b.removeVersions(ctx, page)
	}
	if err != nil {
		tflog.Debug(ctx, "versions of the probe are left", map[string]any{"bucket": b.name, "key": key})
	}
}

func (b bucket) verifyObject(ctx context.Context, key string) error {
	put := func() error {
		_, err := b.api.PutObject(ctx, &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: strings.NewReader("probe"), IfNoneMatch: aws.String("*")})
		return err
	}
	if err := put(); err != nil {
		return needs("s3:PutObject", err)
	}
	switch err := put(); {
	case err == nil || awsStatus(err) == http.StatusNotImplemented:
		return errNoConditions
	case awsStatus(err) != http.StatusPreconditionFailed && awsStatus(err) != http.StatusConflict:
		return needs("s3:PutObject", err)
	}
	out, err := b.api.GetObject(ctx, &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return needs("s3:GetObject", err)
	}
	defer out.Body.Close()
	content, err := io.ReadAll(io.LimitReader(out.Body, 64))
	if err != nil || string(content) != "probe" {
		return needs("s3:GetObject", errors.Join(errNotGot, err))
	}
	_, err = b.api.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &b.name, Prefix: &key, MaxKeys: aws.Int32(1)})
	return needs("s3:ListBucket", err)
}

// verifyParts makes the object from a part, and begins another upload that it
// gives up.
func (b bucket) verifyParts(ctx context.Context, key string) error {
	first, err := b.begin(ctx, key)
	if err != nil {
		return err
	}
	if err := b.finish(ctx, key, first); err != nil {
		_ = b.abort(ctx, key, first)
		return err
	}
	second, err := b.begin(ctx, key)
	if err != nil {
		return err
	}
	return b.abort(ctx, key, second)
}

func (b bucket) begin(ctx context.Context, key string) (*string, error) {
	out, err := b.api.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &b.name, Key: &key})
	if err != nil {
		return nil, needs("s3:PutObject", err)
	}
	return out.UploadId, nil
}

func (b bucket) finish(ctx context.Context, key string, id *string) error {
	if _, err := b.api.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &b.name, Key: &key, UploadId: id, PartNumber: aws.Int32(1), Body: strings.NewReader("probe"),
	}); err != nil {
		return needs("s3:PutObject", err)
	}
	if _, err := b.api.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: &b.name, Prefix: &key}); err != nil {
		return needs("s3:ListBucketMultipartUploads", err)
	}
	there, err := b.api.ListParts(ctx, &s3.ListPartsInput{Bucket: &b.name, Key: &key, UploadId: id})
	if err != nil {
		return needs("s3:ListMultipartUploadParts", err)
	}
	var parts []s3types.CompletedPart
	for _, part := range there.Parts {
		parts = append(parts, s3types.CompletedPart{PartNumber: part.PartNumber, ETag: part.ETag})
	}
	_, err = b.api.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &b.name, Key: &key, UploadId: id, MultipartUpload: &s3types.CompletedMultipartUpload{Parts: parts},
	})
	return needs("s3:PutObject", err)
}

func (b bucket) abort(ctx context.Context, key string, id *string) error {
	_, err := b.api.AbortMultipartUpload(context.WithoutCancel(ctx), &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: &key, UploadId: id})
	return needs("s3:AbortMultipartUpload", err)
}
