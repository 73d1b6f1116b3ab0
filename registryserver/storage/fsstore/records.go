package fsstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"syscall"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// records is the storage.Records of a Store. A key is the name of a file, a
// version the hash of its content.
type records struct{ *Store }

// Get takes no lock: a file is replaced whole, so whoever opens it reads one
// value.
func (r records) Get(ctx context.Context, key string) (storage.Record, error) {
	if err := mayUse(ctx, key); err != nil {
		return storage.Record{}, err
	}
	rec, err := r.get(key)
	if err != nil {
		return storage.Record{}, recordErr("get", key, err)
	}
	return rec, nil
}

func (r records) get(key string) (storage.Record, error) {
	value, info, err := r.read(key, storage.MaxRecordSize)
	if absent(err) {
		return storage.Record{}, storage.ErrNotFound
	}
	if err != nil {
		return storage.Record{}, err
	}
	return storage.Record{Value: value, Version: storage.VersionOf(value), ModTime: info.ModTime()}, nil
}

// Put stages the value before it takes the lock, and syncs the folder after:
// writers of other keys of the stripe do not wait for the disk.
//
//	stage; flock; open, read, close; rename (see move); unlock; fsync(folder)
//	if the value is there already: keep
func (r records) Put(ctx context.Context, key string, value []byte, was storage.Version) (storage.Version, error) {
	if err := mayUse(ctx, key); err != nil {
		return "", err
	}
	if len(value) > storage.MaxRecordSize {
		return "", fmt.Errorf("put record %s: %d bytes are more than %d", key, len(value), storage.MaxRecordSize)
	}
	done, err := r.putSame(key, value, was)
	if err != nil {
		return "", recordErr("put", key, err)
	}
	if done {
		return storage.VersionOf(value), nil
	}
	tmp, err := r.stage(value, key)
	if err == nil {
		err = r.replace(ctx, tmp, key, was)
		if err != nil {
			_ = os.Remove(r.path(tmp))
		}
	}
	if err == nil {
		err = syncDir(r.path(path.Dir(key)))
	}
	if err != nil {
		return "", recordErr("put", key, err)
	}
	return storage.VersionOf(value), nil
}

// putSame does what there is to do, which is little, if the record has the
// value already. It also fails early if it has another version than was.
func (r records) putSame(key string, value []byte, was storage.Version) (done bool, err error) {
	now, err := r.get(key)
	there := err == nil
	if was != storage.Any {
		if !there && !errors.Is(err, storage.ErrNotFound) {
			return false, err
		}
		if now.Version != was { // the zero Version is Absent
			return false, storage.ErrConflict
		}
	}
	if !there || !bytes.Equal(now.Value, value) {
		return false, nil // whatever is there, it is replaced
	}
	_, err = r.keep(key, int64(len(value)))
	return err == nil, nil // if it is gone since, or damaged, it is written anew
}

// replace puts a staged file in the place of the record, if that is as was
// says.
func (r records) replace(ctx context.Context, tmp, key string, was storage.Version) error {
	unlock, err := r.locks.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.compare(key, was); err != nil {
		return err
	}
	return r.move(tmp, key)
}

// compare returns ErrConflict unless the record is as was says. The caller has
// its lock.
func (r records) compare(key string, was storage.Version) error {
	if was == storage.Any {
		return nil
	}
	now, err := r.get(key)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	if now.Version != was {
		return storage.ErrConflict
	}
	return nil
}

// Delete also removes folders that nothing is left in: distribution takes
// every folder among the tags for a tag.
//
//	flock; open, read, close; unlink; rmdir; unlock; fsync(lowest folder left)
func (r records) Delete(ctx context.Context, key string, was storage.Version) error {
	if err := mayUse(ctx, key); err != nil {
		return err
	}
	left, err := r.remove(ctx, key, was)
	if err == nil {
		err = syncDir(r.path(left))
	}
	return recordErr("delete", key, err)
}

func (r records) remove(ctx context.Context, key string, was storage.Version) (left string, err error) {
	unlock, err := r.locks.lock(ctx, key)
	if err != nil {
		return "", err
	}
	defer unlock()
	if err := r.compare(key, was); err != nil {
		return "", err
	}
	if err := syscall.Unlink(r.path(key)); err != nil && !absent(err) {
		if info, serr := os.Stat(r.path(key)); serr == nil && info.IsDir() {
			return path.Dir(key), nil // a folder is no record
		}
		return "", err
	}
	// Also if there was no record: a process that was killed may have left the
	// folders.
	return r.prune(key), nil
}

// mayUse returns an error if the context has ended or the key is not one that
// a record can have.
func mayUse(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := storage.CheckKey(key); err != nil {
		return err
	}
	if reserved(key) {
		return fmt.Errorf("%w: %q is the store's own", storage.ErrInvalidKey, key)
	}
	return nil
}

// recordErr is the error of an operation on a record, or nil.
func recordErr(what, key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s record %s: %w", what, key, bare(err))
}
