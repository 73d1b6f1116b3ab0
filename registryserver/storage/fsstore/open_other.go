//go:build !unix

package fsstore

import (
	"io/fs"
	"os"
)

// openFile is os.OpenFile.
func openFile(path string, flag int, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag, mode)
}
