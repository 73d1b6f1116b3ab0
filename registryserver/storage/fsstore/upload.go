package fsstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// errLetGo: the upload was closed, committed or aborted through this handle.
var errLetGo = fmt.Errorf("the upload was let go of: %w", fs.ErrClosed)

// upload is a hold of an upload, which is a file that is only ever appended to,
// in a folder named by its id. Whoever holds it has the file locked: who resumes
// goes on at its end, so a state that is replayed or forked continues what is
// there, and what is committed is what was hashed.
type upload struct {
	s    *Store
	id   string
	f    *os.File // nil once it was let go of
	size int64
	// sum covers the first sum.n bytes: all of them, unless the process was
	// restarted or has forgotten. Then Commit reads the rest.
	sum runningHash
	// written is where the last writeback that this hold began ends.
	written int64
}

// writebackStep is how much is written before the system is asked to bring it
// to the disk.
const writebackStep = 8 << 20

func dataName(id string) string { return uploadsDir + "/" + id + "/data" }

// StartUpload makes the file at once, so that a file that is missing means an
// upload that has ended.
//
//	mkdir, open(O_CREAT|O_EXCL), flock
func (b blobs) StartUpload(ctx context.Context) (storage.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var err error
	for range 20 { // a sweep of everything may take for abandoned what is not locked yet
		id := uuid.NewString()
		var f *os.File
		if f, err = b.createUpload(id); err == nil {
			return &upload{s: b.Store, id: id, f: f, sum: runningHash{h: oci.Canonical.NewHash()}}, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errHeld) {
			break
		}
	}
	return nil, fmt.Errorf("start upload: %w", bare(err))
}

func (s *Store) createUpload(id string) (*os.File, error) {
	name := dataName(id)
	dir := s.path(path.Dir(name))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	// It becomes a blob, so it has a blob's mode from the start; the folder is
	// private.
	f, err := openFile(s.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, fileMode(storage.DistributionRoot))
	if err != nil {
		_ = syscall.Rmdir(dir)
		return nil, err
	}
	if err := s.lockUpload(context.Background(), f, time.Millisecond); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// lockUpload locks an upload's file, and makes sure that it still is the
// upload's: who held it before may have committed or removed it.
func (s *Store) lockUpload(ctx context.Context, f *os.File, most time.Duration) error {
	if err := waitFlock(ctx, f, most); err != nil {
		return err
	}
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(f.Name())
	if err == nil && !os.SameFile(mine, there) {
		return fs.ErrNotExist
	}
	return err
}

// ResumeUpload takes an id for a state.
//
//	open, flock, fstat, stat
func (b blobs) ResumeUpload(ctx context.Context, state []byte) (storage.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	id, ok := parseState(state)
	if !ok {
		return nil, storage.ErrUploadUnknown
	}
	f, err := openFile(b.path(dataName(id)), os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return nil, resumeErr(err)
	}
	err = b.lockUpload(ctx, f, b.busyWait)
	var info fs.FileInfo
	if err == nil {
		info, err = f.Stat()
	}
	if err != nil {
		_ = f.Close()
		return nil, resumeErr(err)
	}
	u := &upload{s: b.Store, id: id, f: f, size: info.Size(), written: info.Size()}
	u.sum = u.remembered()
	return u, nil
}

// parseState accepts nothing but what State returns, so no state can name
// another file.
func parseState(state []byte) (id string, ok bool) {
	parsed, err := uuid.ParseBytes(state)
	if err != nil || parsed.String() != string(state) {
		return "", false
	}
	return string(bytes.Clone(state)), true
}

func resumeErr(err error) error {
	switch {
	case absent(err):
		return storage.ErrUploadUnknown
	case errors.Is(err, errHeld):
		return storage.ErrUploadBusy
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", storage.ErrUploadBusy, err)
	}
	return fmt.Errorf("resume upload: %w", bare(err))
}

// remembered takes the hash that this process had of the upload, if it still
// fits: the file may be longer by now, but what it covers has not changed.
func (u *upload) remembered() runningHash {
	sum, ok := u.s.hashes.Get(u.id)
	u.s.hashes.Remove(u.id)
	if !ok || sum.n > u.size {
		return runningHash{h: oci.Canonical.NewHash()}
	}
	return sum
}

// Expect changes nothing: content is renamed to its place in any case.
func (u *upload) Expect(oci.Digest) {}

func (u *upload) Size() int64   { return u.size }
func (u *upload) State() []byte { return []byte(u.id) }

func (u *upload) Write(p []byte) (int, error) {
	if u.f == nil {
		return 0, errLetGo
	}
	n, err := u.f.Write(p)
	if u.sum.n == u.size {
		u.sum.h.Write(p[:n])
		u.sum.n += int64(n)
	}
	u.size += int64(n)
	if err != nil {
		u.measure()
		return n, fmt.Errorf("write to upload: %w", bare(err))
	}
	if u.size-u.written >= writebackStep {
		startWriteback(u.f, u.written, u.size)
		u.written = u.size
	}
	return n, nil
}

// measure makes Size truthful after a write failed halfway, as it may on a
// network file system that had promised more than it could hold.
func (u *upload) measure() {
	info, err := u.f.Stat()
	if err != nil || info.Size() == u.size {
		return
	}
	if u.size = info.Size(); u.sum.n > u.size {
		u.sum = runningHash{h: oci.Canonical.NewHash()}
	}
}

// ReadFrom fills a buffer, and hashes and writes it while it is in the
// processor's cache.
func (u *upload) ReadFrom(r io.Reader) (int64, error) {
	if u.f == nil {
		return 0, errLetGo
	}
	buf, done := u.s.buffer()
	defer done()
	var total int64
	for {
		n, rerr := fill(r, buf)
		if n > 0 {
			written, err := u.Write(buf[:n])
			total += int64(written)
			if err != nil {
				return total, err
			}
		}
		if errors.Is(rerr, io.EOF) {
			return total, nil
		}
		if rerr != nil {
			return total, rerr
		}
	}
}

// fill reads until buf is full or r fails. Unlike io.ReadFull, it returns r's
// own error.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for idle := 0; n < len(buf) && err == nil; {
		var m int
		m, err = r.Read(buf[n:])
		n += m
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 && err == nil {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

func (u *upload) Close() error {
	if u.f == nil {
		return nil
	}
	u.s.hashes.Add(u.id, u.sum) // before another can have the lock
	err := u.f.Close()
	u.f = nil
	if err != nil {
		return fmt.Errorf("close upload: %w", bare(err))
	}
	return nil
}

func (u *upload) Abort(context.Context) error {
	if u.f == nil {
		return nil
	}
	if err := u.discard(); err != nil {
		return fmt.Errorf("abort upload: %w", bare(err))
	}
	return nil
}

// discard removes what is left of the upload, and lets go of it.
//
//	unlink, rmdir, close
func (u *upload) discard() error {
	err := u.s.removeUpload(u.id)
	err = errors.Join(err, u.f.Close())
	u.f = nil
	return err
}

// removeUpload removes an upload whose lock is held.
func (s *Store) removeUpload(id string) error {
	name := s.path(dataName(id))
	if err := syscall.Unlink(name); err != nil && !absent(err) {
		return err
	}
	if err := syscall.Rmdir(path.Dir(name)); err != nil && !absent(err) {
		return err
	}
	return nil
}
