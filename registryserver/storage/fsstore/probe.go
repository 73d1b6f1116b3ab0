package fsstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

var (
	errNoLocks = errors.New("its file system does not lock files (flock), without which uploads and records could be damaged: use a local file system, or mount NFS as version 4 with locking")
	errNoSync  = errors.New("its file system does not sync files (fsync), so that nothing would outlive a crash: use another")
	errMounts  = errors.New("it spans several file systems, and files cannot be renamed from one to another: mount one file system at the storage directory itself, and nothing below it")
)

// probe tries what the store relies on, and reports whether names that differ
// in case only are the same.
func (s *Store) probe() (caseInsensitive bool, err error) {
	f, name, err := s.createTemp(tmpDir + "/")
	if err != nil {
		return false, err
	}
	defer func() {
		err = errors.Join(err, f.Close(), os.Remove(s.path(name)))
	}()
	if _, err := f.WriteString("probe"); err != nil {
		return false, err
	}
	if err := f.Sync(); err != nil {
		return false, fmt.Errorf("%w (%w)", errNoSync, bare(err))
	}
	if err := s.probeLock(f); err != nil {
		return false, err
	}
	if err := s.probeMounts(name); err != nil {
		return false, err
	}
	// The name ends in hex digits of which the probe's own are lower case.
	marked := name + "-case"
	if err := os.Rename(s.path(name), s.path(marked)); err != nil {
		return false, err
	}
	name = marked
	_, err = os.Stat(s.path(path.Dir(name) + "/" + strings.ToUpper(path.Base(name))))
	return err == nil, nil
}

// probeLock: one opening of a file must keep another out.
func (s *Store) probeLock(f *os.File) error {
	if err := tryFlock(f); err != nil {
		return fmt.Errorf("%w (%w)", errNoLocks, err)
	}
	second, err := openFile(f.Name(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer second.Close()
	switch err := tryFlock(second); {
	case err == nil:
		return errNoLocks
	case !errors.Is(err, errHeld):
		return fmt.Errorf("%w (%w)", errNoLocks, err)
	}
	return nil
}

// probeMounts renames a temporary file to the folders that files are renamed
// to, and back.
func (s *Store) probeMounts(name string) error {
	for _, dir := range []string{"", "/blobs", "/blobs/sha256", "/repositories"} {
		dir = storage.DistributionRoot + dir
		if _, err := os.Stat(s.path(dir)); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		there := dir + "/.registrykit-probe-" + path.Base(name)
		if err := os.Rename(s.path(name), s.path(there)); err != nil {
			return err
		}
		if err := os.Rename(s.path(there), s.path(name)); err != nil {
			return err
		}
	}
	return nil
}

// explain says what to do about an error of New.
func explain(root string, err error) error {
	if abs, e := filepath.Abs(root); e == nil {
		root = abs
	}
	advice := ""
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		advice = "this operating system has no file locks that the server can use; run it on Linux, macOS or BSD"
	case errors.Is(err, errNoLocks), errors.Is(err, errNoSync):
		return fmt.Errorf("storage directory %s cannot be used: %w", root, err)
	case errors.Is(err, syscall.EXDEV):
		err = errMounts
		return fmt.Errorf("storage directory %s cannot be used: %w", root, err)
	case errors.Is(err, fs.ErrPermission):
		advice = fmt.Sprintf("user %d must be able to write there: change the owner (chown -R %d %s), run the server as the owner, or choose another storage.filesystem.rootdirectory", os.Geteuid(), os.Geteuid(), root)
	case errors.Is(err, syscall.EROFS):
		advice = "the file system is mounted read-only: mount it writable, or choose another storage.filesystem.rootdirectory"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		advice = "the disk, or the user's share of it, is full: make room, or choose another storage.filesystem.rootdirectory"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		advice = "a file stands where a directory is needed: choose another storage.filesystem.rootdirectory"
	default:
		return fmt.Errorf("open storage directory %s: %w", root, err)
	}
	return fmt.Errorf("open storage directory %s: %w; %s", root, err, advice)
}
