package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Bounds of what an archive may hold.
const (
	maxEntries  = 200_000
	maxLinks    = 8 // of links that lead to links
	maxNames    = 32 << 20
	maxDocument = 8 << 20 // index.json, manifest.json, a manifest or a configuration
)

// errNoFile: the archive has no file of that name.
var errNoFile = errors.New("the archive does not have it")

// files are the files of an archive. Names have slashes and no dots.
type files interface {
	// open returns a file from its offset on, and its whole size. errNoFile.
	open(name string, offset int64) (io.ReadCloser, int64, error)
	io.Closer
}

// readDocument reads a file that must be small.
func readDocument(from files, name string) ([]byte, error) {
	r, size, err := from.open(name, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if size > maxDocument {
		return nil, fmt.Errorf("%s has %d bytes; more than %d are not read", name, size, maxDocument)
	}
	content, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return content, nil
}

// entry is where a file lies in a tar file, or which other one it is.
type entry struct {
	offset, size int64
	link         string // "" for a file
}

// tarFiles are the files of a tar file, which is read once to find them.
type tarFiles struct {
	file    *os.File
	entries map[string]entry
}

func newTarFiles(file *os.File) (*tarFiles, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	t := &tarFiles{file: file, entries: map[string]entry{}}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	r, names := tar.NewReader(file), 0
	for n := 0; ; n++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return nil, fmt.Errorf("it is no tar file, or ends early: %w", err)
		}
		if names += len(h.Name) + len(h.Linkname); n >= maxEntries || names > maxNames {
			return nil, fmt.Errorf("it has more than %d files, or their names are longer than %d bytes", maxEntries, maxNames)
		}
		// The reader takes no more from the file than it needs, so here the content begins.
		offset, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if err := t.add(h, offset, info.Size()); err != nil {
			return nil, err
		}
	}
}

// add notes an entry. A later one of the same name counts, as for docker load.
func (t *tarFiles) add(h *tar.Header, offset, end int64) error {
	name, err := cleanName(h.Name)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		for key := range h.PAXRecords {
			if strings.HasPrefix(key, "GNU.sparse.") {
				return fmt.Errorf("the file %s in it is sparse; write the archive without holes", name)
			}
		}
		if h.Size < 0 || h.Size > end-offset {
			return fmt.Errorf("it ends within the file %s", name)
		}
		t.entries[name] = entry{offset: offset, size: h.Size}
	case tar.TypeSymlink: // docker save writes a layer once and links to it
		if path.IsAbs(h.Linkname) {
			return fmt.Errorf("the link %s in it leads out of it, to %q", name, clip(h.Linkname))
		}
		return t.link(name, path.Join(path.Dir(name), h.Linkname))
	case tar.TypeLink:
		return t.link(name, h.Linkname)
	}
	return nil
}

func (t *tarFiles) link(name, to string) error {
	target, err := cleanName(to)
	if err != nil {
		return fmt.Errorf("the link %s in it leads out of it, to %q", name, clip(to))
	}
	t.entries[name] = entry{link: target}
	return nil
}

// cleanName returns a name as it is looked up; one that leads out of the archive
// is refused.
func cleanName(name string) (string, error) {
	clean := path.Clean(strings.TrimSuffix(name, "/"))
	if path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsRune(clean, 0) {
		return "", fmt.Errorf("the name %q in it leads out of it", clip(name))
	}
	return clean, nil
}

func (t *tarFiles) open(name string, offset int64) (io.ReadCloser, int64, error) {
	for range maxLinks {
		e, ok := t.entries[name]
		if !ok {
			return nil, 0, fmt.Errorf("%s: %w", name, errNoFile)
		}
		if e.link == "" {
			offset = min(offset, e.size)
			return io.NopCloser(io.NewSectionReader(t.file, e.offset+offset, e.size-offset)), e.size, nil
		}
		name = e.link
	}
	return nil, 0, fmt.Errorf("%s: a link to links that do not end", name)
}

func (t *tarFiles) Close() error { return t.file.Close() }

// folderFiles are the files of a folder, and none outside of it.
type folderFiles struct{ root *os.Root }

func (f folderFiles) open(name string, offset int64) (io.ReadCloser, int64, error) {
	info, err := f.root.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("%s: %w", name, errNoFile)
	}
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for ever
		return nil, 0, fmt.Errorf("%s is not a file", name)
	}
	file, err := f.root.Open(name)
	if err != nil {
		return nil, 0, err
	}
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		_ = file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

func (f folderFiles) Close() error { return f.root.Close() }

// clip bounds text of an archive that is quoted in an error.
func clip(s string) string {
	const most = 160
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
