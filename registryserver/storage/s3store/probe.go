package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithymiddleware "github.com/aws/smithy-go/middleware"
	"github.com/google/uuid"
)

var (
	errNoConditions = errors.New("its server does not honour conditional writes (If-Match, If-None-Match), without which tags and uploads could be damaged: use AWS S3, or a server that does")
	errNoETag       = errors.New("its server gives objects no ETag, without which tags and uploads could be damaged: use AWS S3, or a server that does")
)

// The actions of IAM that the store needs; docs/operations.md has them as a
// policy. The first two are on the bucket, the others on its objects.
const (
	actionList           = "s3:ListBucket"
	actionListMultiparts = "s3:ListBucketMultipartUploads"
	actionGet            = "s3:GetObject"
	actionPut            = "s3:PutObject"
	actionDelete         = "s3:DeleteObject"
	actionAbort          = "s3:AbortMultipartUpload"
	actionListParts      = "s3:ListMultipartUploadParts"
)

// maxSkew is by how much S3 lets a clock differ. The SDK corrects its own
// requests, but not the URLs that are signed for clients.
const maxSkew = 15 * time.Minute

// actionError is the error of a request that needs an action.
type actionError struct {
	action string
	err    error
}

func (e *actionError) Error() string { return e.err.Error() }
func (e *actionError) Unwrap() error { return e.err }

func needs(action string, err error) error {
	if err == nil {
		return nil
	}
	return &actionError{action, err}
}

// prober tries what the store relies on, with an object of its own.
type prober struct {
	*Store
	key *string
}

func (s *Store) prober() prober {
	return prober{s, s.key(probesDir + "/" + uuid.NewString())}
}

// probe tries what takes few requests: what every answer relies on.
func (s *Store) probe(ctx context.Context) error {
	p := s.prober()
	_, err := s.api.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: s.bucket, Prefix: s.key(probesDir + "/"), MaxKeys: aws.Int32(1)})
	if err != nil {
		return needs(actionList, err)
	}
	if err := p.put(ctx, func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") }); err != nil {
		return err
	}
	err = p.read(ctx)
	if err == nil {
		err = p.conditions(ctx)
	}
	return p.remove(ctx, err)
}

// Check tries every action that the store ever uses; New tries the cheap ones
// only. Its errors are like those of New.
func (s *Store) Check(ctx context.Context) error {
	p := s.prober()
	err := p.multipart(ctx)
	if err == nil {
		err = p.remove(ctx, p.copies(ctx))
	}
	if err != nil {
		return fmt.Errorf("check bucket %s: %w", s.config.Bucket, explain(s.config, err))
	}
	return nil
}

func (p prober) put(ctx context.Context, change func(*s3.PutObjectInput)) error {
	in := p.putInput(p.key, bytes.NewReader([]byte("probe")))
	change(in)
	_, err := p.api.PutObject(ctx, in)
	return needs(actionPut, err)
}

// read comes before the conditions, some of which need to read as well.
func (p prober) read(ctx context.Context) error {
	out, err := p.api.GetObject(ctx, &s3.GetObjectInput{Bucket: p.bucket, Key: p.key})
	if err != nil {
		return needs(actionGet, err)
	}
	defer out.Body.Close()
	if _, err := io.Copy(io.Discard, out.Body); err != nil {
		return needs(actionGet, err)
	}
	if aws.ToString(out.ETag) == "" {
		return errNoETag
	}
	return clockError(skewOf(out.ResultMetadata))
}

func (p prober) conditions(ctx context.Context) error {
	wrong := aws.String(`"00000000000000000000000000000000"`)
	if err := mustFail(p.put(ctx, func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") })); err != nil {
		return err
	}
	if err := mustFail(p.put(ctx, func(in *s3.PutObjectInput) { in.IfMatch = wrong })); err != nil {
		return err
	}
	_, err := p.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: p.bucket, Key: p.key, IfMatch: wrong})
	if err := mustFail(needs(actionDelete, err)); err != nil {
		return err
	}
	_, err = p.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: p.bucket, Key: p.key})
	if notThere(err) {
		return errNoConditions // the conditional delete deleted it
	}
	return needs(actionGet, err)
}

// remove deletes the object of the probe. An error before it is the one to
// report.
func (p prober) remove(ctx context.Context, before error) error {
	_, err := p.api.DeleteObject(context.WithoutCancel(ctx), &s3.DeleteObjectInput{Bucket: p.bucket, Key: p.key})
	if before != nil {
		return before
	}
	return needs(actionDelete, err)
}

// multipart makes the object of the probe from a part, which it lists first.
func (p prober) multipart(ctx context.Context) error {
	id, err := p.begin(ctx)
	if err != nil {
		return err
	}
	if err := p.complete(ctx, id); err != nil {
		_ = p.abort(ctx, id)
		return err
	}
	return nil
}

func (p prober) begin(ctx context.Context) (id *string, err error) {
	in := p.multipartInput(p.key)
	in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256
	out, err := p.api.CreateMultipartUpload(ctx, in)
	if err != nil {
		return nil, needs(actionPut, err)
	}
	return out.UploadId, nil
}

func (p prober) complete(ctx context.Context, id *string) error {
	_, err := p.api.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: p.bucket, Key: p.key, UploadId: id, PartNumber: aws.Int32(1), Body: bytes.NewReader([]byte("probe")), ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
	})
	if err != nil {
		return needs(actionPut, err)
	}
	there, err := p.api.ListParts(ctx, &s3.ListPartsInput{Bucket: p.bucket, Key: p.key, UploadId: id})
	if err != nil {
		return needs(actionListParts, err)
	}
	if _, err := p.api.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: p.bucket, Prefix: p.key}); err != nil {
		return needs(actionListMultiparts, err)
	}
	var parts []types.CompletedPart
	for _, part := range there.Parts {
		parts = append(parts, types.CompletedPart{PartNumber: part.PartNumber, ETag: part.ETag, ChecksumSHA256: part.ChecksumSHA256})
	}
	_, err = p.api.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: p.bucket, Key: p.key, UploadId: id, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
	})
	return needs(actionPut, err)
}

// copies copies the object of the probe to itself: at once, and as a part of a
// multipart upload that is then given up.
func (p prober) copies(ctx context.Context) error {
	source := p.copySource(strings.TrimPrefix(*p.key, p.prefix))
	if _, err := p.api.CopyObject(ctx, p.copyInput(p.key, source)); err != nil {
		return needs(actionPut, err)
	}
	id, err := p.begin(ctx)
	if err != nil {
		return err
	}
	_, err = p.api.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
		Bucket: p.bucket, Key: p.key, UploadId: id, PartNumber: aws.Int32(1), CopySource: source, CopySourceRange: aws.String("bytes=0-4"),
	})
	aborted := p.abort(ctx, id)
	if err != nil {
		return needs(actionPut, err)
	}
	return aborted
}

func (p prober) abort(ctx context.Context, id *string) error {
	_, err := p.api.AbortMultipartUpload(context.WithoutCancel(ctx), &s3.AbortMultipartUploadInput{Bucket: p.bucket, Key: p.key, UploadId: id})
	return needs(actionAbort, err)
}

// mustFail turns the error of a condition that does not hold into none, and
// success into an error.
func mustFail(err error) error {
	switch {
	case err == nil, status(err) == http.StatusNotImplemented:
		return errNoConditions
	case preconditionFailed(err):
		return nil
	}
	return err
}

// skewOf is by how much this machine's clock is ahead of the server's.
func skewOf(metadata smithymiddleware.Metadata) time.Duration {
	there, known := middleware.GetServerTime(metadata)
	here, ok := middleware.GetResponseAt(metadata)
	if !known || !ok {
		return 0
	}
	return here.Sub(there)
}

// clockError is nil if S3 would bear with the skew.
func clockError(ahead time.Duration) error {
	if ahead.Abs() < maxSkew {
		return nil
	}
	where := "behind"
	if ahead > 0 {
		where = "ahead"
	}
	return fmt.Errorf("the clock of this machine is off by %s (%s), and S3 refuses what is signed by it: set the clock, and keep it right with a time service such as chrony or systemd-timesyncd", ahead.Abs().Round(time.Second), where)
}
