package provider

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/hashicorp/terraform-plugin-log/tflog"
)

// remove deletes the bucket. One that is gone is deleted. With force, what is in
// it goes first, also what a server writes meanwhile.
func (b bucket) remove(ctx context.Context, force bool) error {
	stubborn := func(err error) bool {
		return awsCode(err) == "OperationAborted" || force && awsCode(err) == "BucketNotEmpty"
	}
	p := settling()
	if force {
		p.most = longestTimeout // as long as there is time
	}
	err := p.until(ctx, stubborn, func() error {
		if force {
			if err := b.empty(ctx); err != nil {
				return err
			}
		}
		_, err := b.api.DeleteBucket(ctx, &s3.DeleteBucketInput{Bucket: &b.name})
		return needs("s3:DeleteBucket", err)
	})
	if isMissing(err) {
		return nil
	}
	return err
}

// empty removes every version of every object, every delete marker, and every
// upload that is not finished.
func (b bucket) empty(ctx context.Context) error {
	versions := s3.NewListObjectVersionsPaginator(b.api, &s3.ListObjectVersionsInput{Bucket: &b.name})
	removed := 0
	for versions.HasMorePages() {
		page, err := versions.NextPage(ctx)
		if err != nil {
			return needs("s3:ListBucketVersions", err)
		}
		n, err := b.removeVersions(ctx, page)
		if err != nil {
			return err
		}
		removed += n
		tflog.Info(ctx, "emptying the bucket", map[string]any{"bucket": b.name, "removed": removed})
	}
	uploads := s3.NewListMultipartUploadsPaginator(b.api, &s3.ListMultipartUploadsInput{Bucket: &b.name})
	for uploads.HasMorePages() {
		page, err := uploads.NextPage(ctx)
		if err != nil {
			return needs("s3:ListBucketMultipartUploads", err)
		}
		for _, u := range page.Uploads {
			_, err := b.api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &b.name, Key: u.Key, UploadId: u.UploadId})
			if absent(err, "NoSuchUpload") != nil {
				return needs("s3:AbortMultipartUpload", err)
			}
		}
	}
	return nil
}

// removeVersions deletes a page of a listing, which has at most as many entries
// as S3 deletes at once: 1000.
func (b bucket) removeVersions(ctx context.Context, page *s3.ListObjectVersionsOutput) (int, error) {
	var batch []s3types.ObjectIdentifier
	for _, v := range page.Versions {
		batch = append(batch, s3types.ObjectIdentifier{Key: v.Key, VersionId: v.VersionId})
	}
	for _, m := range page.DeleteMarkers {
		batch = append(batch, s3types.ObjectIdentifier{Key: m.Key, VersionId: m.VersionId})
	}
	if len(batch) == 0 {
		return 0, nil
	}
	out, err := b.api.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &b.name, Delete: &s3types.Delete{Objects: batch, Quiet: aws.Bool(true)}})
	if err != nil {
		return 0, needs("s3:DeleteObjectVersion", err)
	}
	if len(out.Errors) > 0 {
		e := out.Errors[0]
		return 0, fmt.Errorf("%d of %d objects cannot be deleted, among them %q: %s: %s (it takes s3:DeleteObject and s3:DeleteObjectVersion, and no object lock)",
			len(out.Errors), len(batch), aws.ToString(e.Key), aws.ToString(e.Code), aws.ToString(e.Message))
	}
	return len(batch), nil
}

// sample names a few of the things in the bucket.
func (b bucket) sample(ctx context.Context) string {
	out, err := b.api.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{Bucket: &b.name, MaxKeys: aws.Int32(5)})
	if err != nil {
		return "what these credentials may not list (s3:ListBucketVersions)"
	}
	var names []string
	for _, v := range out.Versions {
		names = append(names, aws.ToString(v.Key))
	}
	for _, m := range out.DeleteMarkers {
		names = append(names, aws.ToString(m.Key)+" (a delete marker)")
	}
	return strings.Join(names, "\n  ")
}
