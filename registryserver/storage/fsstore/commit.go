package fsstore

import (
	"context"
	"errors"
	"fmt"
	"hash"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

func (u *upload) Commit(ctx context.Context, want oci.Digest) (storage.BlobInfo, error) {
	if u.f == nil {
		return storage.BlobInfo{}, errLetGo
	}
	d, err := u.verify(ctx, want)
	switch {
	case errors.Is(err, storage.ErrDigestMismatch):
		_ = u.discard() // a sweep will get what this does not
		return storage.BlobInfo{}, err
	case err != nil:
		_ = u.Close()
		return storage.BlobInfo{}, fmt.Errorf("verify upload: %w", bare(err))
	}
	if info, err := u.s.keep(storage.BlobKey(d), u.size); err == nil {
		_ = u.discard()
		return blobInfo(d, info), nil
	}
	info, err := u.publish(d)
	if err != nil {
		return storage.BlobInfo{}, blobErr("commit", d, err)
	}
	return info, nil
}

// publish makes the upload the blob of d.
//
//	utimensat, fsync; rename, fsync(folder) (see adopt); rmdir, close
func (u *upload) publish(d oci.Digest) (storage.BlobInfo, error) {
	// The blob is as old as its commit: a collector spares what is young.
	if err := touch(u.f.Name()); err != nil {
		_ = u.Close()
		return storage.BlobInfo{}, err
	}
	if err := u.f.Sync(); err != nil {
		_ = u.discard() // its bytes may be lost, whatever a second sync would say
		return storage.BlobInfo{}, err
	}
	info, err := u.s.adopt(dataName(u.id), d)
	if err != nil {
		_ = u.Close()
		return storage.BlobInfo{}, err
	}
	_ = u.discard()
	return info, nil
}

// verify returns the canonical digest of the upload once it is proved to have
// the digest want. It reads from the file what the running hash does not cover,
// and everything for a digest of another algorithm. ErrDigestMismatch.
func (u *upload) verify(ctx context.Context, want oci.Digest) (oci.Digest, error) {
	if want.IsZero() {
		return oci.Digest{}, storage.ErrDigestMismatch
	}
	var other hash.Hash
	at := u.sum.n
	if want.Algorithm() != oci.Canonical {
		other, at = want.Algorithm().NewHash(), 0
	}
	buf, done := u.s.buffer()
	defer done()
	for at < u.size {
		if err := ctx.Err(); err != nil {
			return oci.Digest{}, err
		}
		piece := buf[:min(int64(len(buf)), u.size-at)]
		if err := readAt(u.f, piece, at); err != nil {
			return oci.Digest{}, err
		}
		end := at + int64(len(piece))
		if other != nil {
			other.Write(piece)
		}
		if end > u.sum.n {
			u.sum.h.Write(piece[max(0, u.sum.n-at):])
			u.sum.n = end
		}
		at = end
	}
	if err := ctx.Err(); err != nil {
		return oci.Digest{}, err
	}
	got := oci.FromHash(oci.Canonical, u.sum.h)
	if other == nil && got != want || other != nil && oci.FromHash(want.Algorithm(), other) != want {
		return oci.Digest{}, storage.ErrDigestMismatch
	}
	return got, nil
}
