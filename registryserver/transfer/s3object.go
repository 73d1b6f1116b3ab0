package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// S3Object is an object of a bucket, s3://BUCKET/KEY. Region, credentials and
// endpoint are those of the AWS SDK: AWS_* variables, the shared files, the role
// of the machine.
type S3Object struct{ Bucket, Key string }

// ParseS3Object parses s3://BUCKET/KEY; ok says whether the text is meant as one.
func ParseS3Object(text string) (o S3Object, ok bool, err error) {
	rest, ok := strings.CutPrefix(text, "s3://")
	if !ok {
		return o, false, nil
	}
	o.Bucket, o.Key, _ = strings.Cut(rest, "/")
	if o.Bucket == "" || o.Key == "" || strings.HasSuffix(o.Key, "/") {
		return o, true, fmt.Errorf("%q is no object of a bucket; write s3://BUCKET/KEY", clip(text))
	}
	return o, true, nil
}

func (S3Object) client(ctx context.Context) (*s3.Client, error) {
	config, err := awsconfig.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, err
	}
	return s3.NewFromConfig(config, func(o *s3.Options) {
		// Servers that are not AWS know their buckets by path.
		o.UsePathStyle = o.BaseEndpoint != nil || os.Getenv("AWS_ENDPOINT_URL_S3") != "" || os.Getenv("AWS_ENDPOINT_URL") != ""
	}), nil
}

// Open returns the content.
func (o S3Object) Open(ctx context.Context) (io.ReadCloser, error) {
	api, err := o.client(ctx)
	if err != nil {
		return nil, err
	}
	got, err := api.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(o.Bucket), Key: aws.String(o.Key)})
	if err != nil {
		return nil, fmt.Errorf("get s3://%s/%s: %w", o.Bucket, o.Key, err)
	}
	return got.Body, nil
}

// Bounds of an upload in parts.
const (
	minPart  = 64 << 20
	maxParts = 10_000
)

// Put stores the content of a file in parts, none of which is kept in memory.
func (o S3Object) Put(ctx context.Context, content io.ReaderAt, size int64) error {
	api, err := o.client(ctx)
	if err != nil {
		return err
	}
	begun, err := api.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String(o.Bucket), Key: aws.String(o.Key), ContentType: aws.String("application/x-tar")})
	if err != nil {
		return fmt.Errorf("put s3://%s/%s: %w", o.Bucket, o.Key, err)
	}
	err = o.parts(ctx, api, begun.UploadId, content, size)
	if err != nil {
		_, abort := api.AbortMultipartUpload(context.WithoutCancel(ctx), &s3.AbortMultipartUploadInput{Bucket: aws.String(o.Bucket), Key: aws.String(o.Key), UploadId: begun.UploadId})
		return fmt.Errorf("put s3://%s/%s: %w", o.Bucket, o.Key, errors.Join(err, abort))
	}
	return nil
}

func (o S3Object) parts(ctx context.Context, api *s3.Client, upload *string, content io.ReaderAt, size int64) error {
	part := max(minPart, (size+maxParts-1)/maxParts)
	var done []types.CompletedPart
	for offset := int64(0); offset < size || len(done) == 0; offset += part {
		number := aws.Int32(int32(len(done) + 1)) // at most maxParts
		sent, err := api.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: aws.String(o.Bucket), Key: aws.String(o.Key), UploadId: upload, PartNumber: number,
			Body: io.NewSectionReader(content, offset, min(part, size-offset)),
		})
		if err != nil {
			return err
		}
		done = append(done, types.CompletedPart{ETag: sent.ETag, PartNumber: number})
	}
	_, err := api.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: aws.String(o.Bucket), Key: aws.String(o.Key), UploadId: upload,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	return err
}
