package fsstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// read returns the content of a file of at most limit bytes. Where there is
// none, also because there is a folder, it returns fs.ErrNotExist.
func (d disk) read(name string, limit int64) ([]byte, fs.FileInfo, error) {
	f, err := openFile(d.path(name), os.O_RDONLY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		return nil, nil, fs.ErrNotExist
	}
	content := make([]byte, 0, min(info.Size(), limit)+1)
	for {
		n, err := f.Read(content[len(content):cap(content)])
		content = content[:len(content)+n]
		if errors.Is(err, io.EOF) {
			return content, info, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if n > 0 && len(content) < cap(content) {
			return content, info, nil // a disk gives less than was asked for at the end only
		}
		if int64(len(content)) > limit {
			return nil, nil, fmt.Errorf("the file has more than %d bytes", limit)
		}
		if len(content) == cap(content) { // it grew meanwhile
			content = append(content, 0)[:len(content)]
		}
	}
}

// readAt fills buf from f, whose end must not come before.
func readAt(f *os.File, buf []byte, offset int64) error {
	n, err := f.ReadAt(buf, offset)
	if n < len(buf) && (err == nil || errors.Is(err, io.EOF)) {
		return io.ErrUnexpectedEOF
	}
	if n == len(buf) {
		return nil
	}
	return err
}

// absent reports whether a file could not be opened because there is none: its
// name, or a folder in it, does not exist or cannot.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
}

// bare takes the path out of an error of package os, for errors that name keys
// instead. The system's error stays for errors.Is. That of a disk that takes no
// writes is storage.ErrUnavailable.
func bare(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		err = e.Err
	}
	if unwritable(err) && !errors.Is(err, storage.ErrUnavailable) {
		return storage.Unavailable(err)
	}
	return err
}

// unwritable reports whether the disk, or what is left of it for this user, is
// full or read-only. A broken one (EIO) is not among them: it may lack what it
// had, too.
func unwritable(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EROFS)
}

// touch sets the time of modification of a file of ours to now.
func touch(file string) error { return os.Chtimes(file, time.Time{}, time.Now()) }
