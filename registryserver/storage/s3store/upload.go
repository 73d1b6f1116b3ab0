package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/uuid"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// errLetGo: the upload was closed, committed or aborted through this handle.
var errLetGo = fmt.Errorf("the upload was let go of: %w", fs.ErrClosed)

// upload is a hold of an upload. Nobody else is kept out: there may be several
// holds of one upload, and forks of its state. Each knows the hash of what it
// wrote or was told in its state, and commits only that.
type upload struct {
	s *Store
	// ctx is that of the request without its end: when a client goes away, what
	// it sent is still stored.
	ctx   context.Context
	begun bool       // by this hold, so nobody else knows of it
	want  oci.Digest // what was said to come, if it is a canonical digest

	good state // what is stored, and would be resumed
	// What follows is ahead of good by what is in memory. Unless it is loaded,
	// it is not ahead, and buf lacks the tail of good.
	loaded bool
	h      hash.Hash
	offset int64
	buf    *buffer // what is not in a part yet
	sent   []*part // on their way in this order, while buf fills

	// The multipart upload, before good has it.
	nonce    [8]byte
	uploadID string
	target   oci.Digest            // see state
	parts    []types.CompletedPart // those of good
	// tailPart is the tail of good, which is a part as well.
	tailPart *types.CompletedPart
	// completed is the ETag of the object that the parts have become: another
	// request is ending the upload, or has died over it.
	completed *string
	checked   int64 // how much of it the last checkpoint has

	lost   bool  // S3 could not be reached: nothing more is asked of it
	failed error // what went wrong while the buffer was taken
	letGo  bool
	state  []byte // set by Close
}

// StartUpload sends nothing: the upload is its state.
func (b blobs) StartUpload(ctx context.Context) (storage.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return nil, err
	}
	return b.hold(ctx, state{id: id}, true), nil
}

// ResumeUpload asks one thing of the bucket, whether the upload goes on, unless
// it has no bytes yet. For parts that is to list them, which must be those that
// the state says.
func (b blobs) ResumeUpload(ctx context.Context, encoded []byte) (storage.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st, err := parseState(encoded)
	if err != nil {
		return nil, err
	}
	if b.ended.Contains(st.id.String()) {
		return nil, storage.ErrUploadUnknown
	}
	u := b.hold(ctx, st, false)
	parts, tailPart, err := b.stillThere(ctx, &st)
	if errors.Is(err, storage.ErrUploadUnknown) && st.uploadID != "" {
		u.completed, err = b.completedAs(ctx, &st)
	}
	if err != nil {
		return nil, fmt.Errorf("resume upload: %w", notCancelled(ctx, err))
	}
	u.parts, u.tailPart, u.checked = parts, tailPart, st.inParts
	return u, nil
}

func (b blobs) hold(ctx context.Context, st state, begun bool) *upload {
	return &upload{
		s: b.Store, ctx: context.WithoutCancel(ctx), begun: begun, good: st, offset: st.offset,
		buf: b.memory.buffer(b.config.ChunkSize), nonce: st.nonce, uploadID: st.uploadID,
	}
}

// stillThere asks whether an upload goes on. storage.ErrUploadUnknown.
func (s *Store) stillThere(ctx context.Context, st *state) ([]types.CompletedPart, *types.CompletedPart, error) {
	switch {
	case st.kind == fresh:
		return nil, nil, nil
	case st.kind == direct:
		return nil, nil, s.notAborted(ctx, st)
	case st.uploadID != "":
		return s.partsOf(ctx, st)
	}
	_, err := s.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: s.bucket, Key: s.key(st.tailKey())})
	if notThere(err) {
		return nil, nil, storage.ErrUploadUnknown
	}
	return nil, nil, err
}

// notAborted looks for the mark that Abort leaves. storage.ErrUploadUnknown.
func (s *Store) notAborted(ctx context.Context, st *state) error {
	_, err := s.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: s.bucket, Key: s.key(st.endedKey())})
	switch {
	case err == nil:
		return storage.ErrUploadUnknown
	case notThere(err):
		return nil
	}
	return err
}

// Expect lets parts go to the key of the blob at once.
func (u *upload) Expect(want oci.Digest) {
	if !want.IsZero() && want.Algorithm() == oci.Canonical {
		u.want = want
	}
}

func (u *upload) Size() int64   { return u.offset }
func (u *upload) State() []byte { return bytes.Clone(u.state) }

func (u *upload) Write(p []byte) (int, error) {
	n, err := u.ReadFrom(bytes.NewReader(p))
	return int(n), err
}

// ReadFrom reads into the buffer, and sends it whenever it is full.
func (u *upload) ReadFrom(r io.Reader) (total int64, err error) {
	if u.letGo {
		return 0, errLetGo
	}
	scratch := u.s.memory.scratch.Get().(*[]byte)
	defer u.s.memory.scratch.Put(scratch)
	for {
		n, err := u.wait(r, *scratch)
		if n > 0 {
			if err := u.add((*scratch)[:n]); err != nil {
				return total, err
			}
			total += int64(n)
		}
		if err == io.EOF { //nolint:errorlint // readers return it bare
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// wait reads what the client sends next. Meanwhile its buffer may be taken.
func (u *upload) wait(r io.Reader, p []byte) (int, error) {
	u.s.memory.idle(u)
	n, err := r.Read(p)
	u.s.memory.busy(u)
	if u.failed != nil {
		return 0, u.failed
	}
	return n, err
}

// add appends to the buffer. The request that ends an upload mostly brings
// nothing more, and then what is stored is not brought back.
func (u *upload) add(p []byte) error {
	if u.completed != nil {
		return storage.ErrUploadUnknown
	}
	if err := u.load(); err != nil {
		return err
	}
	return u.append(p)
}

// append is add for what is loaded. A full buffer is sent when there is more: the
// last one may be a blob by itself.
func (u *upload) append(p []byte) error {
	for len(p) > 0 {
		room, err := u.buf.room()
		switch {
		case errors.Is(err, errNoRoom):
			if err := u.makeRoom(); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		case len(room) == 0:
			if err := u.send(); err != nil {
				return err
			}
			continue
		}
		n := copy(room, p)
		u.h.Write(p[:n])
		u.buf.grow(n)
		u.offset += int64(n)
		p = p[n:]
	}
	return nil
}

// makeRoom waits for memory, and holds none meanwhile.
func (u *upload) makeRoom() error {
	if u.buf.size > 0 {
		if err := u.giveBack(); err != nil {
			return err
		}
	}
	u.buf.release()
	if err := u.buf.claim(u.ctx, minPartSize); err != nil {
		u.revert()
		return err
	}
	return u.load()
}

// revert forgets what is not stored.
func (u *upload) revert() {
	for _, p := range u.sent {
		<-p.done
	}
	u.sent = nil
	u.buf.release()
	u.loaded, u.h, u.offset = false, nil, u.good.offset
}

// Close stores what is in memory.
func (u *upload) Close() error {
	if u.letGo {
		return nil
	}
	err := u.settle(0)
	switch {
	case u.lost:
		u.abandon()
	case !u.target.IsZero(): // it was to be committed
		u.abortMultipart(u.ctx)
		u.s.clear(u.ctx, &u.good)
		u.good = state{id: u.good.id}
	case err == nil && u.offset > u.good.offset:
		err = u.store()
	}
	if !u.letGo {
		u.revert()
		u.letGo, u.state = true, u.good.encode()
	}
	if err != nil {
		return fmt.Errorf("store an upload: %w", err)
	}
	return nil
}

// abandon lets go without a request: of what is in memory, and of parts that
// nobody can go on with. Those are swept later.
func (u *upload) abandon() {
	if u.letGo {
		return
	}
	if !u.target.IsZero() {
		u.good = state{id: u.good.id}
	}
	u.revert()
	u.letGo, u.state = true, u.good.encode()
}

// store stores the buffer: as a blob if it is all that there is and the first
// that is stored, as a part if it is large enough, else as a tail.
func (u *upload) store() error {
	next := u.good
	if err := next.keep(u.h, u.offset); err != nil {
		return err
	}
	switch {
	case u.good.kind == fresh:
		next.kind = direct
		d, err := next.digest()
		if err != nil {
			return err
		}
		if err := u.s.putBlob(u.ctx, d, u.buf); err != nil {
			return err
		}
	case u.buf.size >= minPartSize:
		if err := u.send(); err != nil {
			return err
		}
		return u.settle(0)
	default:
		if err := u.putTailTwice(&next); err != nil {
			return err
		}
	}
	u.good = next
	return nil
}

// putBlob puts content at the key of its digest. If something is there it is
// the same.
func (s *Store) putBlob(ctx context.Context, d oci.Digest, content *buffer) error {
	in := s.putInput(s.key(storage.BlobKey(d)), nil)
	in.IfNoneMatch = aws.String("*")
	err := patiently(ctx, func() error {
		in.Body = content.reader()
		_, err := s.api.PutObject(ctx, in)
		return err
	})
	if err != nil && !preconditionFailed(err) {
		return blobErr(ctx, "write", d, err)
	}
	return nil
}

// digest is that of all bytes.
func (st *state) digest() (oci.Digest, error) {
	h, err := st.running()
	if err != nil {
		return oci.Digest{}, err
	}
	return sumOf(h), nil
}

// sumOf is the canonical digest of a sha256.
func sumOf(h hash.Hash) oci.Digest { return oci.FromHash(oci.Canonical, h) }
