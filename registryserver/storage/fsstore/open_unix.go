//go:build unix

package fsstore

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openFile is os.OpenFile for files on a disk. Package os offers every file to
// the poller first, which takes none of these: five more system calls for each
// file that is opened, most of what reading a link would cost.
//
//	open, fcntl
func openFile(path string, flag int, mode fs.FileMode) (*os.File, error) {
	for {
		fd, err := unix.Open(path, flag|unix.O_CLOEXEC, uint32(mode.Perm()))
		if err == nil {
			return os.NewFile(uintptr(fd), path), nil
		}
		// A network or user-space file system may be interrupted.
		if !errors.Is(err, syscall.EINTR) {
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}
