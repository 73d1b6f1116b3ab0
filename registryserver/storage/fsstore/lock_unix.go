//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package fsstore

import (
	"errors"
	"os"
	"syscall"
)

// tryFlock locks an open file against every other opening of it, in this
// process and others, until funlock or the last close. errHeld.
func tryFlock(f *os.File) error {
	err := flock(f, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errHeld
	}
	return err
}

func funlock(f *os.File) error { return flock(f, syscall.LOCK_UN) }

func flock(f *os.File, how int) error {
	for {
		// Fd makes no difference to a regular file, which never is in the poller.
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
