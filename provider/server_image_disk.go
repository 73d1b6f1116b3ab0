package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	// blockSize is the size of every block of a snapshot. The API has no other
	// (StartSnapshot answers it, but nobody may choose it).
	blockSize = 512 << 10
	gibibyte  = 1 << 30
	// largestVolume is that of gp3, in GiB.
	largestVolume = 65536
)

// diskImage is what is known of a raw image of a disk in a file.
type diskImage struct {
	size   int64
	sha256 string // hexadecimal
}

// inspectDisk reads the file once, to know it by its content.
func inspectDisk(ctx context.Context, path string) (diskImage, error) {
	file, size, err := openDisk(path)
	if err != nil {
		return diskImage{}, err
	}
	defer file.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, readerOf(ctx, file))
	switch {
	case err != nil:
		return diskImage{}, fmt.Errorf("read %s: %w", path, err)
	case n != size:
		return diskImage{}, fmt.Errorf("%s is being written: it grew or shrank while it was read", path)
	}
	return diskImage{size, hex.EncodeToString(hash.Sum(nil))}, nil
}

func openDisk(path string) (*os.File, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file", path)
	case info.Size() == 0:
		err = fmt.Errorf("%s is empty", path)
	case gibibytes(info.Size()) > largestVolume:
		err = fmt.Errorf("%s is larger than a volume can be (%d GiB)", path, largestVolume)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}

// gibibytes is how large a volume has to be for so many bytes.
func gibibytes(bytes int64) int64 { return (bytes + gibibyte - 1) / gibibyte }

// readerOf ends a long read with the context.
func readerOf(ctx context.Context, r io.Reader) io.Reader { return contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
