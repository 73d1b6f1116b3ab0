package fsstore

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// smallDisk mounts a file system of one megabyte, or skips the test where that
// is not permitted.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// takesNoWrites reports whether an error says both what the contract does and
// what the system did, and to clients only the former.
func takesNoWrites(err error, cause syscall.Errno) bool {
	e, ok := errors.AsType[*oci.Error](err)
	return ok && e.Code == oci.CodeUnavailable && !strings.Contains(e.Message, cause.Error()) &&
		errors.Is(err, storage.ErrUnavailable) && errors.Is(err, cause)
}

// TestFullDisk: what does not fit leaves nothing, and nothing that was there
// before suffers.
func TestFullDisk(t *testing.T) {
	ctx := context.Background()
	root := smallDisk(t)
	s := openStore(t, root)
	key := repositories + "/a/_manifests/tags/v1/current/link"
	put(t, s, key, "before")

	up := startUpload(t, s, "")
	content := bytes.Repeat([]byte("0123456789abcdef"), 2<<20/16)
	n, err := up.ReadFrom(bytes.NewReader(content))
	if !takesNoWrites(err, syscall.ENOSPC) || n != up.Size() || n == 0 || strings.Contains(err.Error(), root) {
		t.Errorf("ReadFrom = %d, %v; and then the upload has %d bytes", n, err, up.Size())
	}
	if err := s.Check(ctx); !takesNoWrites(err, syscall.ENOSPC) {
		t.Errorf("check: %v", err)
	}
	if _, err := s.Records().Put(ctx, key, bytes.Repeat([]byte("x"), 8192), storage.Any); !takesNoWrites(err, syscall.ENOSPC) {
		t.Errorf("put of a record: %v", err)
	}
	other := repositories + "/b/_manifests/tags/v1/current/link"
	if _, err := s.Records().Put(ctx, other, bytes.Repeat([]byte("x"), 8192), storage.Absent); !takesNoWrites(err, syscall.ENOSPC) {
		t.Errorf("put of a record: %v", err)
	}
	if _, err := s.Blobs().Put(ctx, content[:8192]); !takesNoWrites(err, syscall.ENOSPC) {
		t.Errorf("put of a blob: %v", err)
	}
	wantTidy(t, root)
	if rec, err := s.Records().Get(ctx, key); err != nil || string(rec.Value) != "before" {
		t.Errorf("the record is %q, %v", rec.Value, err)
	}
	for name, err := range s.Records().Children(ctx, repositories, "a") {
		t.Errorf("there is a repository %s, %v", name, err)
	}

	// What Size says is there, and is a prefix of what was sent.
	if err := up.Close(); err != nil {
		t.Fatal(err)
	}
	up = resumeUpload(t, s, up.State())
	if up.Size() != n {
		t.Errorf("the upload has %d bytes, and said %d", up.Size(), n)
	}
	if _, err := up.Commit(ctx, oci.FromBytes(content[:n])); err != nil {
		t.Errorf("commit of what fitted: %v", err)
	}
	storagetest.Fsck(t, s.Blobs())
	if err := s.Blobs().Delete(ctx, oci.FromBytes(content[:n])); err != nil {
		t.Error(err)
	}
	if err := s.Check(ctx); err != nil {
		t.Errorf("check with room again: %v", err)
	}
	put(t, s, other, "after")
}

func TestReadOnlyDisk(t *testing.T) {
	ctx := context.Background()
	root := smallDisk(t)
	s := openStore(t, root)
	d := putBlob(t, s, "hello")
	key := repositories + "/a/_layers/sha256/00/link"
	put(t, s, key, "value")
	if err := s.Close(); err != nil { // no file is open for writing
		t.Fatal(err)
	}
	if err := syscall.Mount("", root, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("a file system cannot be remounted here: %v", err)
	}
	if err := s.Check(ctx); !takesNoWrites(err, syscall.EROFS) {
		t.Errorf("check: %v", err)
	}
	if _, err := s.Records().Put(ctx, key, []byte("other"), storage.Any); !takesNoWrites(err, syscall.EROFS) {
		t.Errorf("put: %v", err)
	}
	if err := s.Records().Delete(ctx, key, storage.Any); !takesNoWrites(err, syscall.EROFS) {
		t.Errorf("delete: %v", err)
	}
	if err := s.Blobs().Delete(ctx, d); !takesNoWrites(err, syscall.EROFS) {
		t.Errorf("delete of a blob: %v", err)
	}
	if _, err := s.Blobs().StartUpload(ctx); !takesNoWrites(err, syscall.EROFS) {
		t.Errorf("start upload: %v", err)
	}
	storagetest.Fsck(t, s.Blobs())
	if _, err := New(root); err == nil || !strings.Contains(err.Error(), "mounted read-only") {
		t.Errorf("New: %v", err)
	}
}

// TestMountBelow: files cannot be renamed into a file system that is mounted
// below the root; New says so, before a push does.
func TestMountBelow(t *testing.T) {
	root := smallDisk(t)
	writeFile(t, root+"/"+storage.DistributionRoot+"/blobs/sha256/00/x", "")
	blobs := root + "/" + storage.DistributionRoot + "/blobs"
	if err := syscall.Mount("tmpfs", blobs, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(blobs, syscall.MNT_DETACH) })
	if _, err := New(root); err == nil || !strings.Contains(err.Error(), "several file systems") {
		t.Errorf("New: %v", err)
	}
	wantTidy(t, root)
}
