//go:build !unix

package fsstore

import (
	"os"
	"path/filepath"
)

// look is a folder from which names below it are looked at.
type look struct{ dir string }

func openLook(path string) (look, error) {
	_, err := os.Lstat(path)
	return look{path}, err
}

// regular reports whether the name, relative to the folder, is a regular file.
func (l look) regular(name string) bool {
	info, err := os.Lstat(filepath.Join(l.dir, filepath.FromSlash(name)))
	return err == nil && info.Mode().IsRegular()
}

func (look) close() {}
