package s3store

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// load brings back what is not in parts, so that more can be added to it. It
// must be what the hash says.
func (u *upload) load() error {
	if u.loaded {
		return nil
	}
	err := u.buf.claim(u.ctx, u.good.inMemory())
	switch {
	case err != nil:
	case u.good.kind == direct:
		err = u.loadDirect()
	default:
		if u.h, err = u.good.running(); err == nil && u.good.tail() > 0 {
			err = u.loadTail()
		}
	}
	if err != nil {
		u.revert()
		return fmt.Errorf("read back an upload: %w", err)
	}
	u.loaded = true
	return nil
}

func (u *upload) loadDirect() error {
	want, err := u.good.digest()
	if err != nil {
		return err
	}
	r, err := blobs{u.s}.Open(u.ctx, want, 0)
	if errors.Is(err, storage.ErrNotFound) {
		return storage.ErrUploadUnknown
	}
	if err != nil {
		return err
	}
	defer r.Close()
	size := u.good.offset
	u.h, u.offset = sha256.New(), 0
	piece := make([]byte, scratchSize)
	for err == nil {
		var n int
		if n, err = r.Read(piece); n > 0 {
			if err := u.append(piece[:n]); err != nil {
				return err
			}
		}
	}
	if err != io.EOF { //nolint:errorlint // readers return it bare
		return err
	}
	if sumOf(u.h) != want || u.offset != size {
		return errors.New("the blob that it began with is not what its digest says")
	}
	return nil
}

func (u *upload) loadTail() error {
	out, err := u.s.api.GetObject(u.ctx, &s3.GetObjectInput{Bucket: u.s.bucket, Key: u.s.key(u.good.tailKey())})
	if notThere(err) {
		return storage.ErrUploadUnknown
	}
	if err != nil {
		return err
	}
	defer out.Body.Close()
	for rest := u.good.tail(); rest > 0; {
		room, err := u.buf.room()
		if err != nil {
			return err
		}
		n, err := io.ReadFull(out.Body, room[:min(int64(len(room)), rest)])
		if err != nil || n == 0 {
			return fmt.Errorf("its tail is shorter than it was, or chunks were larger then: %w", err)
		}
		u.buf.grow(n)
		rest -= int64(n)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, u.buf.reader()); err != nil {
		return err
	}
	if [sha256.Size]byte(sum.Sum(nil)) != u.good.tailSum {
		return errors.New("its tail is not what was stored")
	}
	return nil
}
