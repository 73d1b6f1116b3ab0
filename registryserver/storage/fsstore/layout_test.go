//go:build unix

package fsstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

const repositories = storage.DistributionRoot + "/repositories"

func put(t testing.TB, s *Store, key, value string) storage.Version {
	t.Helper()
	version, err := s.Records().Put(context.Background(), key, []byte(value), storage.Any)
	if err != nil {
		t.Fatal(err)
	}
	return version
}

func putBlob(t testing.TB, s *Store, content string) oci.Digest {
	t.Helper()
	info, err := s.Blobs().Put(context.Background(), []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return info.Digest
}

func writeFile(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(path.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestLayout: every file is where docs/storage-format.md says, with distribution's
// modes where it is distribution's, and private where it is ours.
func TestLayout(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o022))
	ctx := context.Background()
	root := t.TempDir() + "/made/on/the/way"
	s := openStore(t, root)
	d := putBlob(t, s, "hello")
	put(t, s, repositories+"/a/b/_layers/sha256/"+d.Hex()+"/link", d.String())
	put(t, s, storage.KitRoot+"/secrets/http", "secret")
	committed, err := s.Blobs().StartUpload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = committed.Write([]byte("world"))
	info, err := committed.Commit(ctx, oci.FromBytes([]byte("world")))
	if err != nil {
		t.Fatal(err)
	}
	open, err := s.Blobs().StartUpload(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()

	link := repositories + "/a/b/_layers/sha256/" + d.Hex() + "/link"
	secret := storage.KitRoot + "/secrets/http"
	upload := storage.KitRoot + "/uploads/" + string(open.State()) + "/data"
	wantFiles(t, root,
		"docker/registry/v2/blobs/sha256/2c/"+d.Hex()+"/data",
		"docker/registry/v2/blobs/sha256/48/"+info.Digest.Hex()+"/data",
		link, secret, storage.KitRoot+"/tmp/", upload)
	if content, err := os.ReadFile(root + "/" + link); err != nil || string(content) != d.String() {
		t.Errorf("the link is %q, %v", content, err)
	}
	for name, want := range map[string]fs.FileMode{
		"docker": 0o755, "docker/registry/v2/blobs/sha256/2c": 0o755, repositories + "/a": 0o755,
		storage.BlobKey(d): 0o644, storage.BlobKey(info.Digest): 0o644, link: 0o644,
		"registrykit": 0o700, storage.KitRoot: 0o700, storage.KitRoot + "/secrets": 0o700, storage.KitRoot + "/tmp": 0o700,
		secret: 0o600, path.Dir(upload): 0o700,
	} {
		if info, err := os.Stat(root + "/" + name); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v; want %v", name, info.Mode().Perm(), err, want)
		}
	}
}

func TestOpenIsAFile(t *testing.T) {
	s := openStore(t, t.TempDir())
	d := putBlob(t, s, "hello")
	r, err := s.Blobs().Open(context.Background(), d, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, ok := r.(*os.File); !ok {
		t.Errorf("Open returns a %T, which sendfile does not know", r)
	}
	if content, err := io.ReadAll(r); err != nil || string(content) != "llo" {
		t.Errorf("read %q, %v", content, err)
	}
}

// TestForeignFiles: what distribution and administrators leave about does no
// harm.
func TestForeignFiles(t *testing.T) {
	ctx := context.Background()
	root := t.TempDir()
	s := openStore(t, root)
	d := putBlob(t, s, "hello")
	blobs := root + "/" + storage.DistributionRoot + "/blobs"
	for _, name := range []string{"README", "sha256/README", "sha256/2c/README", "sha256/2c/abc/data", "sha256/zz/" + d.Hex() + "/data",
		"sha256/2/" + d.Hex() + "/data", "sha256/2c/" + strings.ToUpper(d.Hex()) + "/data", "sha512/ab/cd/data"} {
		writeFile(t, blobs+"/"+name, "junk")
	}
	noData := blobs + "/sha256/aa/" + strings.Repeat("a", 64)
	if err := os.MkdirAll(noData, 0o755); err != nil { // as after a collection that was killed
		t.Fatal(err)
	}
	if err := os.MkdirAll(blobs+"/sha256/bb/"+strings.Repeat("b", 64)+"/data", 0o755); err != nil {
		t.Fatal(err)
	}
	var all []oci.Digest
	for info, err := range s.Blobs().All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Digest)
	}
	if !slices.Equal(all, []oci.Digest{d}) {
		t.Errorf("All = %v, want %v", all, d)
	}

	repo := root + "/" + repositories + "/a"
	writeFile(t, repo+"/_uploads/0/startedat", "2020-01-01T00:00:00Z")
	writeFile(t, repo+"/_manifests/tags/v1/current/link", "junk")
	if err := os.MkdirAll(repo+"/_manifests/tags/dangling/current", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(repo+"/_manifests/tags/fifo", 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", repo+"/_manifests/tags/broken"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("v1", repo+"/_manifests/tags/linked"); err != nil {
		t.Fatal(err)
	}
	names := func(dir string) (names []string) {
		for name, err := range s.Records().Children(ctx, dir, "") {
			if err != nil {
				t.Error(err)
			}
			names = append(names, name)
		}
		return names
	}
	if got := names(repositories + "/a"); !slices.Equal(got, []string{"_manifests", "_uploads"}) {
		t.Errorf("the repository has %q", got)
	}
	if got := names(repositories + "/a/_manifests/tags"); !slices.Equal(got, []string{"linked", "v1"}) {
		t.Errorf("the tags are %q", got)
	}
	var keys []string
	for key, err := range s.Records().List(ctx, repositories+"/a/_manifests/", "") {
		if err != nil {
			t.Error(err)
		}
		keys = append(keys, strings.TrimPrefix(key, repositories+"/a/_manifests/"))
	}
	if !slices.Equal(keys, []string{"tags/linked/current/link", "tags/v1/current/link"}) {
		t.Errorf("the keys are %q", keys)
	}
	// Deleting what is absent removes the folders that a killed process left.
	if err := s.Records().Delete(ctx, repositories+"/a/_manifests/tags/dangling/current/link", storage.Any); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(repo + "/_manifests/tags/dangling"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of a dangling tag is still there: %v", err)
	}
}

// TestDamagedBlobs: new content replaces what has another size; what has the
// right size stays, and is as young as its last commit.
func TestDamagedBlobs(t *testing.T) {
	ctx := context.Background()
	root := t.TempDir()
	s := openStore(t, root)
	content := bytes.Repeat([]byte("hello "), 1000)
	d := oci.FromBytes(content)
	file := root + "/" + storage.BlobKey(d)
	upload := func() (storage.BlobInfo, error) {
		up, err := s.Blobs().StartUpload(ctx)
		if err != nil {
			return storage.BlobInfo{}, err
		}
		if _, err := up.Write(content); err != nil {
			return storage.BlobInfo{}, err
		}
		return up.Commit(ctx, d)
	}
	for name, store := range map[string]func() (storage.BlobInfo, error){
		"Put":    func() (storage.BlobInfo, error) { return s.Blobs().Put(ctx, content) },
		"Commit": upload,
	} {
		for _, damage := range []string{"", "hello", string(content) + "more"} {
			writeFile(t, file, damage)
			if info, err := store(); err != nil || info.Size != int64(len(content)) {
				t.Errorf("%s = %+v, %v", name, info, err)
			}
			storagetest.Fsck(t, s.Blobs())
		}
		old := time.Now().Add(-48 * time.Hour)
		if err := os.Chtimes(file, old, old); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Stat(file)
		info, err := store()
		if err != nil || time.Since(info.ModTime) > time.Hour {
			t.Errorf("%s of what is there = %+v, %v", name, info, err)
		}
		if after, _ := os.Stat(file); !os.SameFile(before, after) {
			t.Errorf("%s replaced what was there already", name)
		}
	}
	wantTidy(t, root)
}

// TestPutSame: a record that has the value already is not written again, and
// still is as young as its last write.
func TestPutSame(t *testing.T) {
	ctx := context.Background()
	root := t.TempDir()
	s := openStore(t, root)
	key := repositories + "/a/_layers/sha256/00/link"
	version := put(t, s, key, "value")
	before, _ := os.Stat(root + "/" + key)
	old := time.Now().Add(-48 * time.Hour)
	for _, was := range []storage.Version{storage.Any, version} {
		if err := os.Chtimes(root+"/"+key, old, old); err != nil {
			t.Fatal(err)
		}
		if v, err := s.Records().Put(ctx, key, []byte("value"), was); err != nil || v != version {
			t.Errorf("put = %v, %v", v, err)
		}
		after, _ := os.Stat(root + "/" + key)
		if !os.SameFile(before, after) {
			t.Errorf("the record was written again")
		}
		if time.Since(after.ModTime()) > time.Hour {
			t.Errorf("the record's time was not renewed")
		}
	}
	put(t, s, key, "other")
	if after, _ := os.Stat(root + "/" + key); os.SameFile(before, after) {
		t.Errorf("the record was written in place, where a reader may see half of it")
	}
	// What some other program left there, whatever it is, can be replaced.
	writeFile(t, root+"/"+key, strings.Repeat("x", storage.MaxRecordSize+1))
	if _, err := s.Records().Get(ctx, key); err == nil || errors.Is(err, storage.ErrNotFound) {
		t.Errorf("get of a file that is too large: %v", err)
	}
	put(t, s, key, "value")
}

func TestReservedKeys(t *testing.T) {
	ctx := context.Background()
	s := openStore(t, t.TempDir())
	for _, dir := range []string{uploadsDir, tmpDir, locksDir} {
		for _, key := range []string{dir, dir + "/x", dir + "/x/data"} {
			if _, err := s.Records().Put(ctx, key, nil, storage.Any); !errors.Is(err, storage.ErrInvalidKey) {
				t.Errorf("put %s: %v", key, err)
			}
			if _, err := s.Records().Get(ctx, key); !errors.Is(err, storage.ErrInvalidKey) {
				t.Errorf("get %s: %v", key, err)
			}
			if err := s.Records().Delete(ctx, key, storage.Any); !errors.Is(err, storage.ErrInvalidKey) {
				t.Errorf("delete %s: %v", key, err)
			}
		}
		for name, err := range s.Records().Children(ctx, dir, "") {
			t.Errorf("%s shows %s, %v", dir, name, err)
		}
		for key, err := range s.Records().List(ctx, dir+"/", "") {
			t.Errorf("%s shows %s, %v", dir, key, err)
		}
	}
	put(t, s, uploadsDir+"-of-others/x", "")
}

// TestErrorsNameKeys: errors go to logs and further; they say nothing about
// where the store is.
func TestErrorsNameKeys(t *testing.T) {
	ctx := context.Background()
	root := t.TempDir()
	s := openStore(t, root)
	key := repositories + "/a/_layers/sha256/00/link"
	put(t, s, key+"/below", "")
	var errs []error
	_, err := s.Records().Put(ctx, key, nil, storage.Any)
	errs = append(errs, err)
	put(t, s, repositories+"/file", "")
	_, err = s.Records().Put(ctx, repositories+"/file/below", nil, storage.Any)
	errs = append(errs, err)
	_, err = s.Blobs().Open(ctx, oci.FromBytes(nil), -1)
	errs = append(errs, err)
	_, err = s.Blobs().Open(ctx, putBlob(t, s, ""), -1)
	errs = append(errs, err)
	for _, err := range errs {
		if err == nil {
			t.Errorf("no error where there should be one")
		} else if strings.Contains(err.Error(), root) {
			t.Errorf("the error tells the root: %v", err)
		}
	}
	wantTidy(t, root)
}
