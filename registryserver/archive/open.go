package archive

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Options say how an archive is read.
type Options struct {
	// TempDir is where files go that are needed for a while; "" is the system's.
	// They are removed by Close, and by the system if the process dies.
	TempDir string
	// MaxBytes bounds an archive unpacked, and each layer in it. The default is
	// 256 GiB.
	MaxBytes int64
}

const defaultMaxBytes = 256 << 30

func (o Options) withDefaults() Options {
	if o.MaxBytes <= 0 {
		o.MaxBytes = defaultMaxBytes
	}
	return o
}

// Open opens a tar file, compressed with gzip or not, or a folder.
func Open(ctx context.Context, path string, o Options) (*Archive, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		root, err := os.OpenRoot(path)
		if err != nil {
			return nil, err
		}
		return parse(ctx, folderFiles{root}, o)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	start := make([]byte, len(magicZstd))
	n, _ := io.ReadFull(file, start)
	if !info.Mode().IsRegular() || packed(start[:n]) != "" {
		defer file.Close()
		return Read(ctx, io.MultiReader(bytes.NewReader(start[:n]), file), o)
	}
	opened, err := newTarFiles(file)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return parse(ctx, opened, o)
}

// Read opens an archive that comes once, such as from a pipe. It is kept in a
// temporary file, since nothing says in what order its parts come.
func Read(ctx context.Context, r io.Reader, o Options) (*Archive, error) {
	o = o.withDefaults()
	buffered := bufio.NewReaderSize(r, 64<<10)
	start, _ := buffered.Peek(len(magicZstd))
	if len(start) == 0 {
		return nil, errors.New("nothing came; did the command before the pipe fail?")
	}
	var content io.Reader = buffered
	switch format := packed(start); format {
	case "":
	case "gzip":
		unpacked, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, err
		}
		content = unpacked
	default:
		return nil, fmt.Errorf("it is compressed with %s; unpack it first, as with %s -dc FILE | registryserver import -", format, format)
	}
	file, err := temporary(o.TempDir)
	if err != nil {
		return nil, err
	}
	opened, err := spool(ctx, file, content, o.MaxBytes)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return parse(ctx, opened, o)
}

func spool(ctx context.Context, file *os.File, content io.Reader, most int64) (*tarFiles, error) {
	n, err := io.Copy(file, io.LimitReader(contextReader{ctx, content}, most+1))
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	if n > most {
		return nil, fmt.Errorf("unpacked it is larger than %d bytes; allow for more with --max-bytes", most)
	}
	return newTarFiles(file)
}

// temporary returns a file that nobody else finds and that is gone once it is
// closed, where the system can do that.
func temporary(dir string) (*os.File, error) {
	file, err := os.CreateTemp(dir, "registryserver-archive-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

var magicZstd = []byte{0x28, 0xb5, 0x2f, 0xfd}

// packed names what content that begins so was compressed with; "" for nothing
// that is known.
func packed(start []byte) string {
	switch {
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		return "gzip"
	case bytes.HasPrefix(start, magicZstd):
		return "zstd"
	case bytes.HasPrefix(start, []byte("BZh")):
		return "bzip2"
	case bytes.HasPrefix(start, []byte{0xfd, '7', 'z', 'X'}):
		return "xz"
	}
	return ""
}

// contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}
