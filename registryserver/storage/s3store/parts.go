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

// maxSent is how many parts of an upload are on their way at a time, if there is
// the memory.
const maxSent = 2

// send makes a part of the buffer, and sends it while the next one fills.
func (u *upload) send() error {
	if err := u.settle(maxSent - 1); err != nil {
		return err
	}
	after := u.good
	if n := len(u.sent); n > 0 {
		after = u.sent[n-1].after
	}
	if after.parts >= maxParts {
		return fmt.Errorf("the upload has more than %d parts: raise storage.s3.chunksize", maxParts)
	}
	if err := u.multipart(); err != nil {
		u.lost = errors.Is(err, storage.ErrUnreachable)
		u.revert()
		return err
	}
	after.kind, after.target, after.nonce, after.uploadID = staged, u.target, u.nonce, u.uploadID
	after.parts++
	after.inParts += int64(u.buf.size)
	after.tailSum = [sha256.Size]byte{}
	if err := after.keep(u.h, u.offset); err != nil {
		return err
	}
	p := &part{buf: u.buf, size: int64(u.buf.size), after: after, done: make(chan struct{})}
	u.sent, u.buf = append(u.sent, p), u.s.memory.buffer(u.s.config.ChunkSize)
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

// settle waits until no more than most parts are on their way. If one did not
// arrive, the upload goes back to what is stored.
func (u *upload) settle(most int) error {
	for len(u.sent) > most {
		p := u.sent[0]
		<-p.done
		if p.err != nil {
			u.lost = errors.Is(p.err, storage.ErrUnreachable)
			u.revert()
			return p.err
		}
		u.sent = u.sent[1:]
		u.arrived(p)
	}
	return nil
}

// arrived takes a part, the next in order, for stored.
func (u *upload) arrived(p *part) {
	p.after.extras = p.after.extras || u.good.extras
	p.after.partsSum = nextPart(u.good.partsSum, p.after.parts, p.size, p.etag, p.checksum)
	u.good = p.after
	done := types.CompletedPart{PartNumber: aws.Int32(p.after.parts), ETag: aws.String(p.etag)}
	if p.checksum != "" {
		done.ChecksumSHA256 = aws.String(p.checksum)
	}
	u.parts = append(u.parts, done)
	u.checkpoint()
}

// errForked: somebody else has written to the upload, by the same state.
var errForked = errors.New("its parts are not those that were sent: it was continued twice from one state")

// partsOf lists the parts that the state says, which must be there as they were
// sent. More may be: of a lineage that goes on from this state, too. None of
// theirs is ever committed here, since completing names each part by its ETag
// and checksum. If the one behind is the tail, it is returned too.
// storage.ErrUploadUnknown.
func (s *Store) partsOf(ctx context.Context, st *state) (parts []types.CompletedPart, tail *types.CompletedPart, err error) {
	var (
		size int64
		sum  [sha256.Size]byte
	)
	in := &s3.ListPartsInput{Bucket: s.bucket, Key: s.key(st.dataKey()), UploadId: &st.uploadID}
	for more := true; more; {
		page, err := s.api.ListParts(ctx, in)
		if notThere(err) || code(err) == "NoSuchUpload" {
			return nil, nil, storage.ErrUploadUnknown
		}
		if err != nil {
			return nil, nil, fmt.Errorf("list parts: %w", err)
		}
		for _, p := range page.Parts {
			number := aws.ToInt32(p.PartNumber)
			done := types.CompletedPart{PartNumber: p.PartNumber, ETag: p.ETag, ChecksumSHA256: p.ChecksumSHA256}
			if number > st.parts {
				if number == st.parts+1 && st.isTail(p) {
					tail = &done
				}
				break
			}
			size += aws.ToInt64(p.Size)
			sum = nextPart(sum, number, aws.ToInt64(p.Size), aws.ToString(p.ETag), aws.ToString(p.ChecksumSHA256))
			parts = append(parts, done)
		}
		more = aws.ToBool(page.IsTruncated) && len(parts) <= int(st.parts)
		in.PartNumberMarker = page.NextPartNumberMarker
	}
	if sum != st.partsSum || size != st.inParts || len(parts) != int(st.parts) {
		return nil, nil, fmt.Errorf("%w: %w", storage.ErrUploadUnknown, errForked)
	}
	return parts, tail, nil
}

// isTail reports whether a part is the same as the tail, by its SHA-256.
func (st *state) isTail(p types.Part) bool {
	return st.tail() > 0 && aws.ToInt64(p.Size) == st.tail() && aws.ToString(p.ChecksumSHA256) == base64.StdEncoding.EncodeToString(st.tailSum[:])
}

// putTailTwice stores the buffer as the tail of next, and as the part that it is
// if nothing more comes: then the request that ends the upload need not bring it
// back. That this part could not be sent is no reason to fail.
func (u *upload) putTailTwice(next *state) error {
	if u.good.uploadID == "" {
		return u.putTail(next)
	}
	p := &part{buf: u.buf, size: int64(u.buf.size), after: u.good}
	p.after.parts++
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = u.s.sendPart(u.ctx, p)
	}()
	err := u.putTail(next)
	<-sent
	return err
}
