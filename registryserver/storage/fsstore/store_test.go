//go:build unix

package fsstore

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

func TestNewSaysWhatToDo(t *testing.T) {
	file := t.TempDir() + "/file"
	writeFile(t, file, "")
	for _, root := range []string{file, file + "/below"} {
		if _, err := New(root); err == nil || !strings.Contains(err.Error(), root) || !strings.Contains(err.Error(), "choose another storage.filesystem.rootdirectory") {
			t.Errorf("New(%s): %v", root, err)
		}
	}
	if os.Geteuid() == 0 {
		t.Log("running as root, to whom everything is permitted: the error for another user's directory was not tried")
		return
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	if _, err := New(dir); err == nil || !strings.Contains(err.Error(), "chown") {
		t.Errorf("New on a directory without permission: %v", err)
	}
}

func TestRootThroughLink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/real", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	d := putBlob(t, openStore(t, dir+"/link"), "hello")
	if _, err := openStore(t, dir+"/real").Blobs().Stat(context.Background(), d); err != nil {
		t.Error(err)
	}
}

func TestRelativeRoot(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	s := openStore(t, "data")
	t.Chdir("/")
	d := putBlob(t, s, "hello")
	if _, err := os.Stat(dir + "/data/" + storage.BlobKey(d)); err != nil {
		t.Error(err)
	}
}

// TestNewLeavesNothing: opening an empty directory makes nothing that another
// program would take for content.
func TestNewLeavesNothing(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	putBlob(t, s, "hello")
	put(t, s, repositories+"/a/_layers/sha256/00/link", "value")
	openStore(t, root)
	wantFiles(t, root,
		"docker/registry/v2/blobs/sha256/2c/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824/data",
		repositories+"/a/_layers/sha256/00/link", storage.KitRoot+"/tmp/", storage.KitRoot+"/uploads/")
}

func TestCheck(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root)
	ctx := context.Background()
	if err := s.Check(ctx); err != nil {
		t.Error(err)
	}
	wantTidy(t, root)
	if err := os.Rename(root+"/registrykit", root+"/elsewhere"); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(ctx); err == nil {
		t.Error("Check passes without the directory")
	}
	openStore(t, root)
	if err := s.Check(ctx); err == nil || !strings.Contains(err.Error(), "unmounted") {
		t.Errorf("Check on another directory: %v", err)
	}
}

func TestCloseAndGoOn(t *testing.T) {
	s := openStore(t, t.TempDir())
	put(t, s, "a/b", "one")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	put(t, s, "a/b", "two")
}
