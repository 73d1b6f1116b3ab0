package s3store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// part is a part on its way.
type part struct {
	buf            *buffer // released once it was sent, or not
	size           int64
	after          state // good, once it is there
	done           chan struct{}
	etag, checksum string
	err            error
}

// send makes a part of the buffer, and sends it while the next one fills. One
// is on its way at a time: two buffers per upload is what the memory is for.
func (u *upload) send() error {
	if err := u.settle(); err != nil {
		return err
	}
	if u.good.parts >= maxParts {
		return fmt.Errorf("the upload has more than %d parts: raise storage.s3.chunksize", maxParts)
	}
	if err := u.multipart(); err != nil {
		u.lost = errors.Is(err, storage.ErrUnreachable)
		u.revert()
		return err
	}
	after := u.good
	after.kind, after.target, after.nonce, after.uploadID = staged, u.target, u.nonce, u.uploadID
	after.parts++
	after.inParts += int64(u.buf.size)
	after.tailSum = [sha256.Size]byte{}
	if err := after.keep(u.h, u.offset); err != nil {
		return err
	}
	p := &part{buf: u.buf, size: int64(u.buf.size), after: after, done: make(chan struct{})}
	u.sent, u.buf = p, u.s.memory.buffer(u.s.config.ChunkSize)
	go func() {
		defer close(p.done)
		// Not by settle: the memory may be what the next part waits for.
		defer p.buf.release()
		p.err = u.s.sendPart(u.ctx, p)
	}()
	return nil
}

// multipart begins the multipart upload if there is none: at the key of the blob
// if that is known, and else where it is staged.
func (u *upload) multipart() error {
	if u.uploadID != "" {
		return nil
	}
	next := state{id: u.good.id}
	if u.good.kind == fresh {
		next.target = u.want
	}
	if _, err := rand.Read(next.nonce[:]); err != nil {
		return err
	}
	in := u.s.multipartInput(u.s.key(next.dataKey()))
	in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256
	out, err := u.s.api.CreateMultipartUpload(u.ctx, in)
	if err != nil {
		return fmt.Errorf("begin a multipart upload: %w", err)
	}
	u.target, u.nonce, u.uploadID = next.target, next.nonce, aws.ToString(out.UploadId)
	if u.uploadID == "" || len(u.uploadID) > maxUploadID {
		return fmt.Errorf("begin a multipart upload: S3 gave it an id of %d bytes", len(u.uploadID))
	}
	return nil
}

func (s *Store) sendPart(ctx context.Context, p *part) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, p.buf.reader()); err != nil {
		return err
	}
	out, err := s.api.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: s.bucket, Key: s.key(p.after.dataKey()), UploadId: &p.after.uploadID, PartNumber: aws.Int32(p.after.parts),
		Body: p.buf.reader(), ContentLength: aws.Int64(int64(p.buf.size)),
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum.Sum(nil))),
	})
	if code(err) == "NoSuchUpload" {
		return storage.ErrUploadUnknown
	}
	if err != nil {
		return fmt.Errorf("send part %d of an upload: %w", p.after.parts, err)
	}
	p.etag, p.checksum = aws.ToString(out.ETag), aws.ToString(out.ChecksumSHA256)
	return nil
}

// settle waits for the part that is on its way. If it did not arrive, the
// upload goes back to what is stored.
func (u *upload) settle() error {
	p := u.sent
	if p == nil {
		return nil
	}
	<-p.done
	u.sent = nil
	if p.err != nil {
		u.lost = errors.Is(p.err, storage.ErrUnreachable)
		u.revert()
		return p.err
	}
	p.after.partsSum = nextPart(p.after.partsSum, p.after.parts, p.size, p.etag, p.checksum)
	u.good = p.after
	done := types.CompletedPart{PartNumber: aws.Int32(p.after.parts), ETag: aws.String(p.etag)}
	if p.checksum != "" {
		done.ChecksumSHA256 = aws.String(p.checksum)
	}
	u.parts = append(u.parts, done)
	u.checkpoint()
	return nil
}

// errForked: somebody else has written to the upload, by the same state.
var errForked = errors.New("its parts are not those that were sent: it was continued twice from one state")

// partsOf lists the parts that the state says, which must be there as they were
// sent. More may be: of a lineage that goes on from this state, too. None of
// theirs is ever committed here, since completing names each part by its ETag
// and checksum. storage.ErrUploadUnknown.
func (s *Store) partsOf(ctx context.Context, st *state) ([]types.CompletedPart, error) {
	var (
		parts []types.CompletedPart
		size  int64
		sum   [sha256.Size]byte
	)
	in := &s3.ListPartsInput{Bucket: s.bucket, Key: s.key(st.dataKey()), UploadId: &st.uploadID}
	for more := true; more; {
		page, err := s.api.ListParts(ctx, in)
		if notThere(err) || code(err) == "NoSuchUpload" {
			return nil, storage.ErrUploadUnknown
		}
		if err != nil {
			return nil, fmt.Errorf("list parts: %w", err)
		}
		for _, p := range page.Parts {
			number := aws.ToInt32(p.PartNumber)
			if number > st.parts {
				break
			}
			size += aws.ToInt64(p.Size)
			sum = nextPart(sum, number, aws.ToInt64(p.Size), aws.ToString(p.ETag), aws.ToString(p.ChecksumSHA256))
			parts = append(parts, types.CompletedPart{PartNumber: p.PartNumber, ETag: p.ETag, ChecksumSHA256: p.ChecksumSHA256})
		}
		more = aws.ToBool(page.IsTruncated) && len(parts) < int(st.parts)
		in.PartNumberMarker = page.NextPartNumberMarker
	}
	if sum != st.partsSum || size != st.inParts || len(parts) != int(st.parts) {
		return nil, fmt.Errorf("%w: %w", storage.ErrUploadUnknown, errForked)
	}
	return parts, nil
}
