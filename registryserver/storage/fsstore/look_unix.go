//go:build unix

package fsstore

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// look is an open folder from which names below it are looked at: for the
// thousands of tags of a repository, walking the long path to it again for
// each would be most of the work.
type look struct{ folder int }

func openLook(path string) (look, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if !errors.Is(err, syscall.EINTR) {
			return look{fd}, err
		}
	}
}

// regular reports whether the name, relative to the folder, is a regular file.
func (l look) regular(name string) bool {
	var stat unix.Stat_t
	err := unix.Fstatat(l.folder, name, &stat, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && stat.Mode&unix.S_IFMT == unix.S_IFREG
}

func (l look) close() { _ = unix.Close(l.folder) }
