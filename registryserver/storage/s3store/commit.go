package s3store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Commit of what fits one buffer is one request, or none if Close has stored it
// before. Of more, it completes the multipart upload with exactly the parts that
// this lineage hashed, and copies it to its place within S3.
func (u *upload) Commit(ctx context.Context, want oci.Digest) (storage.BlobInfo, error) {
	if u.letGo {
		return storage.BlobInfo{}, errLetGo
	}
	err := ctx.Err()
	var info storage.BlobInfo
	if err == nil {
		info, err = u.commit(ctx, want)
	}
	switch {
	case err == nil:
		u.end()
		return info, nil
	case errors.Is(err, storage.ErrDigestMismatch):
		return storage.BlobInfo{}, errors.Join(err, u.Abort(ctx))
	}
	err = fmt.Errorf("commit upload: %w", notCancelled(ctx, err))
	if errors.Is(err, storage.ErrUnreachable) {
		u.abandon() // the client has waited long enough
		return storage.BlobInfo{}, err
	}
	return storage.BlobInfo{}, errors.Join(err, u.Close())
}

func (u *upload) commit(ctx context.Context, want oci.Digest) (storage.BlobInfo, error) {
	if u.completed != nil {
		return u.commitCompleted(ctx, want)
	}
	if err := u.settle(0); err != nil {
		return storage.BlobInfo{}, err
	}
	stored := u.offset == u.good.offset
	if !stored || u.good.kind != direct && u.tailPart == nil {
		if err := u.load(); err != nil {
			return storage.BlobInfo{}, err
		}
	}
	d, err := u.good.digest()
	if u.loaded {
		d = sumOf(u.h)
	}
	if err != nil {
		return storage.BlobInfo{}, err
	}
	if want.IsZero() || want.Algorithm() == oci.Canonical && want != d {
		return storage.BlobInfo{}, storage.ErrDigestMismatch
	}
	info := storage.BlobInfo{Digest: d, Size: u.offset, ModTime: time.Now()}
	switch {
	case u.good.parts > 0:
		return info, u.commitParts(ctx, info, want)
	case stored && u.good.kind == direct:
		return info, u.s.proveBlob(ctx, d, want)
	}
	if err := prove(want, u.buf.reader()); err != nil {
		return storage.BlobInfo{}, err
	}
	if err := u.s.putBlob(ctx, d, u.buf); err != nil {
		return storage.BlobInfo{}, err
	}
	if u.good.kind == staged {
		u.s.clear(ctx, &u.good)
	}
	return info, nil
}

// commitParts makes a blob of a multipart upload.
func (u *upload) commitParts(ctx context.Context, info storage.BlobInfo, want oci.Digest) error {
	if u.tailPart != nil && !u.loaded {
		u.parts = append(u.parts, *u.tailPart)
	}
	if u.buf.size > 0 {
		if err := u.send(); err != nil {
			return err
		}
		if err := u.settle(0); err != nil {
			return err
		}
	}
	if !u.target.IsZero() && u.target != info.Digest {
		return fmt.Errorf("%w: another digest was expected", storage.ErrDigestMismatch)
	}
	done, err := u.s.api.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: u.s.bucket, Key: u.s.key(u.good.dataKey()), UploadId: &u.good.uploadID,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	})
	if code(err) == "NoSuchUpload" {
		return u.completedBefore(ctx, info)
	}
	if err != nil {
		return fmt.Errorf("complete %d parts: %w", len(u.parts), err)
	}
	if !u.target.IsZero() { // it is in its place
		u.s.clear(ctx, &u.good)
		return nil
	}
	if want.Algorithm() != oci.Canonical {
		if err := u.s.proveStaged(ctx, &u.good, done.ETag, want); err != nil {
			return err
		}
	}
	if err := u.s.copyBlob(ctx, &u.good, done.ETag, info); err != nil {
		return err
	}
	u.s.clear(ctx, &u.good)
	return nil
}

// completedBefore: the answer to the request that completed the upload was lost,
// or somebody else ended it. At the key of a blob one can see which.
func (u *upload) completedBefore(ctx context.Context, info storage.BlobInfo) error {
	if u.target.IsZero() {
		return storage.ErrUploadUnknown
	}
	there, err := blobs{u.s}.Stat(ctx, info.Digest)
	if err == nil && there.Size != info.Size || errors.Is(err, storage.ErrNotFound) {
		return storage.ErrUploadUnknown
	}
	return err
}

// prove returns ErrDigestMismatch unless r has the digest want. That of the
// canonical algorithm is known without reading.
func prove(want oci.Digest, r io.Reader) error {
	if want.Algorithm() == oci.Canonical {
		return nil
	}
	h := want.Algorithm().NewHash()
	if _, err := io.Copy(h, r); err != nil {
		return err
	}
	if oci.FromHash(want.Algorithm(), h) != want {
		return storage.ErrDigestMismatch
	}
	return nil
}

func (s *Store) proveBlob(ctx context.Context, d, want oci.Digest) error {
	if want.Algorithm() == oci.Canonical {
		return nil
	}
	r, err := blobs{s}.Open(ctx, d, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	return prove(want, r)
}

func (s *Store) proveStaged(ctx context.Context, st *state, etag *string, want oci.Digest) error {
	out, err := s.api.GetObject(ctx, &s3.GetObjectInput{Bucket: s.bucket, Key: s.key(st.dataKey()), IfMatch: etag})
	if err != nil {
		return fmt.Errorf("read back what was staged: %w", err)
	}
	defer out.Body.Close()
	return prove(want, out.Body)
}

// Abort leaves a mark by which every process knows, unless nobody else can know
// of the upload. What is stored at the key of a digest stays: another upload may
// have brought the same.
func (u *upload) Abort(ctx context.Context) error {
	if u.letGo {
		return nil
	}
	_ = u.settle(0)
	defer u.end()
	if u.begun && u.uploadID == "" {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	var err error
	if !u.begun {
		_, err = u.s.api.PutObject(ctx, u.s.putInput(u.s.key(u.good.endedKey()), nil))
	}
	u.abortMultipart(ctx)
	u.s.clear(ctx, &u.good)
	if err != nil {
		return fmt.Errorf("abort upload: %w", err)
	}
	return nil
}

// end lets go for good.
func (u *upload) end() {
	u.revert()
	u.letGo, u.state = true, nil
	u.s.ended.Add(u.good.id.String(), struct{}{})
}

// abortMultipart gives up the parts of the upload, also if none is known to be
// there yet.
func (u *upload) abortMultipart(ctx context.Context) {
	st := u.good
	st.target, st.nonce, st.uploadID = u.target, u.nonce, u.uploadID
	u.s.abortMultipart(ctx, &st)
}

// abortMultipart gives the parts up. What fails here is swept later.
func (s *Store) abortMultipart(ctx context.Context, st *state) {
	if st.uploadID == "" {
		return
	}
	_, _ = s.api.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: s.bucket, Key: s.key(st.dataKey()), UploadId: &st.uploadID})
}

// clear deletes what is staged of an upload, but not the mark of its end. What
// fails here is swept later. Without extras there is one object at most, and that
// is a blob where the parts went to the key of one.
func (s *Store) clear(ctx context.Context, st *state) {
	if !st.extras {
		if st.uploadID != "" && st.target.IsZero() {
			_, _ = s.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: s.bucket, Key: s.key(st.dataKey())})
		}
		return
	}
	var deletes errgroup.Group
	deletes.SetLimit(maxSent)
	for e, err := range s.entries(ctx, st.folder()+"/", "", "") {
		if err != nil {
			break
		}
		if e.key != st.endedKey() {
			deletes.Go(func() error {
				_, err := s.api.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: s.bucket, Key: s.key(e.key)})
				return err
			})
		}
	}
	_ = deletes.Wait()
}
