package fsstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// blobs is the storage.Blobs of a Store.
type blobs struct{ *Store }

func (b blobs) Stat(ctx context.Context, d oci.Digest) (storage.BlobInfo, error) {
	if err := b.mayBe(ctx, d); err != nil {
		return storage.BlobInfo{}, err
	}
	info, err := os.Stat(b.path(storage.BlobKey(d)))
	if err != nil || !info.Mode().IsRegular() {
		return storage.BlobInfo{}, blobErr("stat", d, err)
	}
	return blobInfo(d, info), nil
}

// Open returns an *os.File, which can be sent without passing through this
// process.
func (b blobs) Open(ctx context.Context, d oci.Digest, offset int64) (io.ReadCloser, error) {
	if err := b.mayBe(ctx, d); err != nil {
		return nil, err
	}
	f, err := openFile(b.path(storage.BlobKey(d)), os.O_RDONLY, 0)
	if err != nil {
		return nil, blobErr("open", d, err)
	}
	if offset != 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			_ = f.Close()
			return nil, blobErr("seek in", d, err)
		}
	}
	return f, nil
}

func (b blobs) Put(ctx context.Context, content []byte) (storage.BlobInfo, error) {
	if err := ctx.Err(); err != nil {
		return storage.BlobInfo{}, err
	}
	d, size := oci.FromBytes(content), int64(len(content))
	if info, err := b.keep(storage.BlobKey(d), size); err == nil {
		return blobInfo(d, info), nil
	}
	tmp, err := b.stage(content, storage.BlobKey(d))
	if err != nil {
		return storage.BlobInfo{}, blobErr("write", d, err)
	}
	info, err := b.adopt(tmp, d)
	if err != nil {
		_ = os.Remove(b.path(tmp))
		return storage.BlobInfo{}, blobErr("write", d, err)
	}
	return info, nil
}

// adopt makes a synced file with the content of d its blob. It replaces what may
// be there.
//
//	rename (see move), fsync(folder)
func (s *Store) adopt(from string, d oci.Digest) (storage.BlobInfo, error) {
	to := storage.BlobKey(d)
	if err := s.move(from, to); err != nil {
		return storage.BlobInfo{}, err
	}
	if err := syncDir(s.path(path.Dir(to))); err != nil {
		return storage.BlobInfo{}, err
	}
	info, err := os.Stat(s.path(to))
	if err != nil {
		return storage.BlobInfo{}, err
	}
	return blobInfo(d, info), nil
}

// Delete
//
//	unlink, rmdir, fsync(lowest folder left)
func (b blobs) Delete(ctx context.Context, d oci.Digest) error {
	left, err := b.remove(ctx, d)
	if err != nil || left == "" {
		return err
	}
	if err := syncDir(b.path(left)); err != nil {
		return blobErr("delete", d, err)
	}
	return nil
}

// remove deletes a blob, which lasts once the folder has been synced that it
// returns; "" if there cannot be such a blob.
func (b blobs) remove(ctx context.Context, d oci.Digest) (left string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if !canonical(d) {
		return "", nil
	}
	key := storage.BlobKey(d)
	if err := syscall.Unlink(b.path(key)); err != nil && !absent(err) {
		return "", blobErr("delete", d, err)
	}
	return b.prune(key), nil
}

func (b blobs) All(ctx context.Context) iter.Seq2[storage.BlobInfo, error] {
	return func(yield func(storage.BlobInfo, error) bool) {
		root := storage.DistributionRoot + "/blobs/" + string(oci.Canonical)
		shards, err := b.foldersIn(root)
		for _, shard := range shards {
			var names []string
			if names, err = b.foldersIn(root + "/" + shard); err != nil {
				break
			}
			for _, name := range names {
				d, perr := oci.ParseDigest(string(oci.Canonical) + ":" + name)
				if perr != nil || !strings.HasPrefix(name, shard) || len(shard) != 2 {
					continue // foreign
				}
				info, err := b.Stat(ctx, d)
				if errors.Is(err, storage.ErrNotFound) {
					continue
				}
				if !yield(info, err) || err != nil {
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

// foldersIn returns the names of the folders in a folder, in byte order.
func (s *Store) foldersIn(dir string) ([]string, error) {
	entries, err := s.entries(dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		if e.folder {
			names = append(names, e.name)
		}
	}
	slices.Sort(names)
	return names, err
}

// mayBe returns an error if the context has ended or d is no digest of a blob.
func (b blobs) mayBe(ctx context.Context, d oci.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !canonical(d) {
		return blobErr("find", d, fs.ErrNotExist)
	}
	return nil
}

func canonical(d oci.Digest) bool { return !d.IsZero() && d.Algorithm() == oci.Canonical }

// blobErr is the error of an operation on a blob. No error at all stands for
// something that is no file.
func blobErr(what string, d oci.Digest, err error) error {
	if err == nil || absent(err) {
		err = storage.ErrNotFound
	}
	return fmt.Errorf("%s blob %s: %w", what, d, bare(err))
}

func blobInfo(d oci.Digest, info fs.FileInfo) storage.BlobInfo {
	return storage.BlobInfo{Digest: d, Size: info.Size(), ModTime: info.ModTime()}
}
