package fsstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"
)

// tmpLifetime is how long a temporary file is let be, however long ago before
// is: writers need it for moments.
const tmpLifetime = time.Hour

// SweepUploads also removes temporary files that writers left when they were
// killed.
func (b blobs) SweepUploads(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := b.sweepTemp(ctx, before); err != nil {
		return 0, fmt.Errorf("sweep temporary files: %w", bare(err))
	}
	ids, err := b.foldersIn(uploadsDir)
	if err != nil {
		return 0, fmt.Errorf("sweep uploads: %w", bare(err))
	}
	swept := 0
	for _, name := range ids {
		if err := ctx.Err(); err != nil {
			return swept, err
		}
		id, ok := parseState([]byte(name))
		if !ok {
			continue // not ours
		}
		did, err := b.sweepUpload(id, before)
		if err != nil {
			return swept, fmt.Errorf("sweep upload: %w", bare(err))
		}
		if did {
			swept++
			b.hashes.Remove(id)
		}
	}
	return swept, nil
}

// sweepUpload removes an upload that nobody holds and nobody wrote to since
// before, and reports whether it did.
func (s *Store) sweepUpload(id string, before time.Time) (bool, error) {
	f, err := openFile(s.path(dataName(id)), os.O_RDWR|os.O_APPEND, 0)
	if absent(err) {
		return false, s.sweepFolder(path.Dir(dataName(id)), before)
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.ModTime().Before(before) {
		return false, err
	}
	if err := s.lockUpload(context.Background(), f, time.Nanosecond); err != nil {
		if absent(err) || errors.Is(err, errHeld) {
			return false, nil
		}
		return false, err
	}
	if info, err := f.Stat(); err != nil || !info.ModTime().Before(before) {
		return false, err // written to in between
	}
	return true, s.removeUpload(id)
}

// sweepFolder removes the folder of an upload that has ended, or never began,
// when a process was killed.
func (s *Store) sweepFolder(dir string, before time.Time) error {
	info, err := os.Stat(s.path(dir))
	if err == nil && info.ModTime().Before(before) {
		err = syscall.Rmdir(s.path(dir))
	}
	if err != nil && !absent(err) && !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	return nil
}

func (s *Store) sweepTemp(ctx context.Context, before time.Time) error {
	if youngest := time.Now().Add(-tmpLifetime); before.After(youngest) {
		before = youngest
	}
	entries, err := s.entries(tmpDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		file := s.path(tmpDir + "/" + e.name)
		info, err := os.Stat(file)
		if err == nil && info.Mode().IsRegular() && info.ModTime().Before(before) {
			err = os.Remove(file)
		}
		if err != nil && !absent(err) {
			return err
		}
	}
	return nil
}
