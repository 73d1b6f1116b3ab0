package fsstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// collectLock is the file whose lock who deletes garbage holds, from the look at
// whether it may to the last unlink. So a process that is paused in between holds
// it, and who takes over waits; one that was killed does not.
const collectLock = locksDir + "/collect"

const syncsAtOnce = 32

func (b blobs) BlobsBelow(ctx context.Context, prefix string) iter.Seq2[storage.BlobInfo, error] {
	return func(yield func(storage.BlobInfo, error) bool) {
		root := storage.DistributionRoot + "/blobs/" + string(oci.Canonical)
		shards, err := b.foldersIn(root)
		for _, shard := range shards {
			if err != nil {
				break
			}
			if len(shard) == 2 && (strings.HasPrefix(shard, prefix) || strings.HasPrefix(prefix, shard)) {
				var more bool
				if more, err = b.blobsIn(ctx, root+"/"+shard, shard, prefix, yield); !more {
					return
				}
			}
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			yield(storage.BlobInfo{}, fmt.Errorf("list blobs: %w", bare(err)))
		}
	}
}

// blobsIn yields the blobs of one of the 256 folders that have prefix, and
// reports whether to go on.
func (b blobs) blobsIn(ctx context.Context, dir, shard, prefix string, yield func(storage.BlobInfo, error) bool) (bool, error) {
	names, err := b.foldersIn(dir)
	if err != nil {
		return true, err
	}
	for _, name := range names {
		d, err := oci.ParseDigest(string(oci.Canonical) + ":" + name)
		if err != nil || !strings.HasPrefix(name, shard) || !strings.HasPrefix(name, prefix) {
			continue // foreign, or not asked for
		}
		info, err := b.Stat(ctx, d)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if more := yield(info, err); !more || err != nil {
			return false, nil //nolint:nilerr // it was told
		}
	}
	return true, nil
}

func (b blobs) Entries(ctx context.Context, prefix string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		for key, err := range (records(b)).List(ctx, prefix, "") {
			e := storage.Entry{Key: key}
			if err == nil {
				var info fs.FileInfo
				info, err = os.Stat(b.path(key))
				if err != nil && absent(err) {
					continue
				}
				if err == nil {
					e.ModTime = info.ModTime()
				} else {
					err = fmt.Errorf("list records %s: %w", prefix, bare(err))
				}
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// StoreTime is that of the file system, which another machine may serve.
func (b blobs) StoreTime(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, err
	}
	f, name, err := b.createTemp(tmpDir + "/")
	if err != nil {
		return time.Time{}, fmt.Errorf("find out the time of the file system: %w", bare(err))
	}
	_, err = f.Write([]byte{0})
	info, serr := f.Stat()
	err = errors.Join(err, serr, f.Close(), os.Remove(b.path(name)))
	if err != nil {
		return time.Time{}, fmt.Errorf("find out the time of the file system: %w", bare(err))
	}
	return info.ModTime(), nil
}

func (b blobs) PrepareDelete(ctx context.Context, targets []storage.Target) (storage.Deletion, error) {
	return &deletion{b, slices.Clone(targets)}, ctx.Err()
}

type deletion struct {
	b       blobs
	targets []storage.Target
}

// Expires is zero: an unlink has happened once it has returned.
func (*deletion) Expires() time.Time { return time.Time{} }

// Do syncs each folder once, at the end: a collection deletes thousands of names
// from few folders. So a crash of the machine may leave any of them; the batch is
// on record, and whoever collects next deletes it to the end.
//
//	flock; unlink and rmdir for each; fsync(folder) for each that is left
func (d *deletion) Do(ctx context.Context, still func(context.Context) error) error {
	f, err := openFile(d.b.path(collectLock), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open lock: %w", bare(err))
	}
	defer f.Close() // which lets go of the lock
	if err := waitFlock(ctx, f, 0); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if err := still(ctx); err != nil {
		return err
	}
	folders := map[string]struct{}{}
	for _, t := range d.targets {
		left, err := d.remove(ctx, t)
		if err != nil {
			return err
		}
		if left != "" {
			folders[left] = struct{}{}
		}
	}
	// File systems and disks serve those that wait at the same time together.
	var group errgroup.Group
	group.SetLimit(syncsAtOnce)
	for dir := range folders {
		group.Go(func() error {
			if err := syncDir(d.b.path(dir)); err != nil {
				return fmt.Errorf("delete: sync %s: %w", dir, bare(err))
			}
			return nil
		})
	}
	return group.Wait()
}

func (d *deletion) remove(ctx context.Context, t storage.Target) (left string, err error) {
	if t.Key == "" {
		return d.b.remove(ctx, t.Blob)
	}
	if err := mayUse(ctx, t.Key); err != nil {
		return "", err
	}
	left, err = records(d.b).remove(ctx, t.Key, storage.Any)
	return left, recordErr("delete", t.Key, err)
}
