package fsstore

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// disk is a directory and the ways to change it so that a change outlives a
// crash of the machine once it has returned. Names are relative to the root,
// joined by '/'.
//
// A new name is durable when its file, the folder that holds it, and every
// folder above that was made on the way have been synced. What each function
// asks of the system is written above it. See "All File Systems Are Not Created
// Equal" (Pillai et al., OSDI 2014) and "Can Applications Recover from fsync
// Failures?" (Rebello et al., ATC 2020): after a failed sync nothing is known
// about the file, so it is thrown away and never synced again.
type disk struct {
	root string
	// folders has those that are known to be durable: made, or found, and their
	// parent synced, by this process.
	//
	// BUG: if another process removes such a folder and makes it anew, and the
	// machine crashes before it has synced the parent, then a record that this
	// process put into the new folder in between is lost.
	folders *lru.Cache[string, struct{}]
	// tree is held for reading while folders are made and filled, and for writing
	// while empty ones are removed.
	tree *sync.RWMutex
}

const rememberedFolders = 16 << 10

func openDisk(root string) (disk, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return disk{}, err
	}
	if _, err := os.Stat(abs); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(abs, 0o777); err != nil {
			return disk{}, err
		}
		if err := syncDir(filepath.Dir(abs)); err != nil {
			return disk{}, err
		}
	}
	folders, err := lru.New[string, struct{}](rememberedFolders)
	return disk{root: abs, folders: folders, tree: &sync.RWMutex{}}, err
}

// path returns the file of a name that is known to be good.
func (d disk) path(name string) string { return d.root + string(filepath.Separator) + name }

// private reports whether the name is ours alone. What is distribution's has
// the modes that distribution gives it, so that both can run as the same user
// or group.
func private(name string) bool {
	top, _, _ := strings.Cut(name, "/")
	return top == "registrykit"
}

func dirMode(name string) fs.FileMode {
	if private(name) {
		return 0o700
	}
	return 0o777 // less the umask
}

func fileMode(name string) fs.FileMode {
	if private(name) {
		return 0o600
	}
	return 0o666
}

// createTemp makes an empty temporary file that is going to be renamed to the
// name to.
func (d disk) createTemp(to string) (*os.File, string, error) {
	name := tmpDir + "/" + uuid.NewString()
	f, err := openFile(d.path(name), os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode(to))
	return f, name, err
}

// stage writes content to a temporary file that can be renamed to the name to.
//
//	open(tmp, O_CREAT|O_EXCL), write, fsync, close
func (d disk) stage(content []byte, to string) (string, error) {
	f, name, err := d.createTemp(to)
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return name, nil
}

// move renames a file to a name whose folders may be missing. The new name is
// durable once syncDir has returned for its folder. If it fails, folders that
// were made for it are removed.
//
//	mkdir and fsync(parent) for each missing folder; rename
func (d disk) move(from, to string) error {
	var err error
	for range 10 {
		if err = d.moveOnce(from, to); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		// Another process removed a folder that had become empty.
		for dir := path.Dir(to); dir != "."; dir = path.Dir(dir) {
			d.folders.Remove(dir)
		}
	}
	if err != nil {
		d.prune(to)
	}
	return err
}

func (d disk) moveOnce(from, to string) error {
	d.tree.RLock()
	defer d.tree.RUnlock()
	if err := d.mkdirs(path.Dir(to)); err != nil {
		return err
	}
	return os.Rename(d.path(from), d.path(to))
}

// mkdirs makes a folder and those above it, durably.
//
//	mkdir, fsync(parent): for each folder that this process does not know
func (d disk) mkdirs(dir string) error {
	if dir == "." {
		return nil
	}
	if _, ok := d.folders.Get(dir); ok {
		return nil
	}
	parent := path.Dir(dir)
	if err := d.mkdirs(parent); err != nil {
		return err
	}
	if err := os.Mkdir(d.path(dir), dirMode(dir)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// Also if it was there: whoever made it may not have synced it yet.
	if err := syncDir(d.path(parent)); err != nil {
		return err
	}
	d.folders.Add(dir, struct{}{})
	return nil
}

// prune removes the folders that held the name, from below, as long as they are
// empty, and returns the lowest that is left.
//
//	rmdir
func (d disk) prune(name string) string {
	d.tree.Lock()
	defer d.tree.Unlock()
	dir := path.Dir(name)
	for ; !isRoot(dir); dir = path.Dir(dir) {
		if err := syscall.Rmdir(d.path(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			break
		}
		d.folders.Remove(dir)
	}
	return dir
}

// isRoot reports whether a folder stays when it is empty.
func isRoot(dir string) bool {
	switch dir {
	case ".", storage.DistributionRoot, storage.DistributionRoot + "/repositories", storage.DistributionRoot + "/blobs", storage.KitRoot:
		return true
	}
	return false
}

// keep makes a file durable that is there already, with size bytes, and renews
// its time of modification. Another program may have written it, and synced
// nothing. It returns fs.ErrNotExist if there is no such file of that size.
//
//	open, fstat, utimensat, fsync, close; fsync(folder)
func (d disk) keep(name string, size int64) (fs.FileInfo, error) {
	f, err := openFile(d.path(name), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() != size {
		return nil, fs.ErrNotExist
	}
	// A file of another user cannot be touched. That is no reason to fail.
	_ = os.Chtimes(f.Name(), time.Time{}, time.Now())
	if err := f.Sync(); err != nil {
		return nil, err
	}
	d.tree.RLock()
	err = d.mkdirs(path.Dir(name))
	d.tree.RUnlock()
	if err != nil {
		return nil, err
	}
	if err := syncDir(d.path(path.Dir(name))); err != nil {
		return nil, err
	}
	return f.Stat()
}

// syncDir makes the names in a folder durable. One that is gone has none.
//
//	open(folder, O_RDONLY), fsync, close
func syncDir(dir string) error {
	f, err := openFile(dir, os.O_RDONLY, 0)
	if err != nil {
		if absent(err) {
			return nil
		}
		return err
	}
	defer f.Close()
	err = f.Sync()
	// Some network and virtual file systems do not sync folders, and say so.
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}
