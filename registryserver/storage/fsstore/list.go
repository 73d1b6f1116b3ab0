package fsstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// reserved reports whether a name is or lies in a folder of the store's own,
// which holds no records.
func reserved(name string) bool {
	rest, ok := strings.CutPrefix(name, storage.KitRoot+"/")
	if !ok {
		return false
	}
	top, _, _ := strings.Cut(rest, "/")
	return top == "uploads" || top == "tmp" || top == "locks"
}

// join returns the name of what lies in a folder; "" is the root.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

func (r records) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := storage.CheckPrefix(prefix)
		if err == nil {
			l := listing{s: r.Store, prefix: prefix, after: after, yield: yield}
			dir := ""
			if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
				dir = prefix[:i]
			}
			err = l.walk(ctx, dir)
		}
		if err != nil && !errors.Is(err, errLeft) {
			yield("", fmt.Errorf("list records %s: %w", prefix, bare(err)))
		}
	}
}

// errLeft: the caller wants no more of a listing.
var errLeft = errors.New("left")

// listing is one walk over keys in byte order.
type listing struct {
	s             *Store
	prefix, after string
	yield         func(string, error) bool
}

// walk yields the keys below a folder. In byte order of keys, a folder sorts
// as its name and the '/' that follows it: a-b comes before all of a/….
func (l *listing) walk(ctx context.Context, dir string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := l.s.recordEntries(dir)
	if err != nil {
		return err
	}
	for i := range entries {
		if entries[i].folder {
			entries[i].name += "/"
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	for _, e := range entries {
		key := join(dir, e.name)
		switch {
		case !strings.HasPrefix(key, l.prefix):
		case e.folder && (key > l.after || strings.HasPrefix(l.after, key)):
			err = l.walk(ctx, strings.TrimSuffix(key, "/"))
		case !e.folder && key > l.after:
			if err = ctx.Err(); err == nil && !l.yield(key, nil) {
				err = errLeft
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r records) Children(ctx context.Context, dir, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := r.children(ctx, dir, after, yield); err != nil && !errors.Is(err, errLeft) {
			yield("", fmt.Errorf("list children of %s: %w", dir, bare(err)))
		}
	}
}

func (r records) children(ctx context.Context, dir, after string, yield func(string, error) bool) error {
	if dir != "" {
		if err := storage.CheckKey(dir); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	entries, err := r.recordEntries(dir)
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	look, err := openLook(r.path(dir))
	if err != nil {
		if absent(err) {
			return nil
		}
		return err
	}
	defer look.close()
	found := "" // where the record below the last child was
	for _, e := range entries {
		if e.name <= after {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.folder {
			// Folders side by side tend to look the same, and every tag has its
			// current/link: look there first.
			if found == "" || reserved(join(dir, e.name+"/"+found)) || !look.regular(e.name+"/"+found) {
				if found, err = r.recordBelow(join(dir, e.name)); err != nil {
					return err
				}
			}
			if found == "" {
				continue
			}
		}
		if !yield(e.name, nil) {
			return errLeft
		}
	}
	return nil
}

// recordBelow returns the name, relative to the folder, of some record in it or
// below, or "".
func (s *Store) recordBelow(dir string) (string, error) {
	f, err := openFile(s.path(dir), os.O_RDONLY, 0)
	if err != nil {
		if absent(err) {
			return "", nil // removed meanwhile
		}
		return "", err
	}
	defer f.Close()
	var folders []string
	for {
		batch, err := f.ReadDir(64)
		for _, e := range withRecords(dir, s.classify(dir, batch)) {
			if !e.folder {
				return e.name, nil
			}
			folders = append(folders, e.name)
		}
		if errors.Is(err, io.EOF) || absent(err) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	// In order, so that of a tag it is current/link that is found, which the tags
	// beside it have, too, and not a link of its history, which they do not.
	slices.Sort(folders)
	for _, name := range folders {
		if below, err := s.recordBelow(join(dir, name)); err != nil || below != "" {
			return join(name, below), err
		}
	}
	return "", nil
}

// entry is a file or folder in a folder.
type entry struct {
	name   string
	folder bool
}

// entries returns what is in a folder, in no order. A folder that is absent is
// empty, and so is a file.
func (s *Store) entries(dir string) ([]entry, error) {
	f, err := openFile(s.path(dir), os.O_RDONLY, 0)
	if err != nil {
		if absent(err) {
			return nil, nil
		}
		return nil, err
	}
	defer f.Close()
	all, err := f.ReadDir(-1)
	if err != nil {
		if absent(err) {
			return nil, nil
		}
		return nil, err
	}
	return s.classify(dir, all), nil
}

// recordEntries is entries without the store's own folders.
func (s *Store) recordEntries(dir string) ([]entry, error) {
	if reserved(dir) {
		return nil, nil
	}
	entries, err := s.entries(dir)
	return withRecords(dir, entries), err
}

func withRecords(dir string, entries []entry) []entry {
	if dir != storage.KitRoot {
		return entries
	}
	return slices.DeleteFunc(entries, func(e entry) bool { return reserved(join(dir, e.name)) })
}

// classify leaves out what is neither a file nor a folder. Links are followed: where an administrator has made one, reading
// follows it too.
func (s *Store) classify(dir string, all []fs.DirEntry) []entry {
	entries := make([]entry, 0, len(all))
	for _, e := range all {
		name, mode := e.Name(), e.Type()
		if mode&fs.ModeSymlink != 0 {
			info, err := os.Stat(s.path(join(dir, name)))
			if err != nil {
				continue // it leads nowhere
			}
			mode = info.Mode()
		}
		if mode.IsDir() || mode.IsRegular() {
			entries = append(entries, entry{name, mode.IsDir()})
		}
	}
	return entries
}
