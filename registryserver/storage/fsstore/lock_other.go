//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package fsstore

import (
	"errors"
	"os"
)

// Here the package can be built, and New says that it cannot be used.

func tryFlock(*os.File) error { return errors.ErrUnsupported }

func funlock(*os.File) error { return errors.ErrUnsupported }
