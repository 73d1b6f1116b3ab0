package main_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// tree is what lies at rest: the content of every link, the digest of every blob, by path. It leaves out uploads in progress, and the folders
// that are ours alone and that the others ignore. Nothing but the two known folders may lie at the root.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !slices.Contains([]string{"docker", "registrykit"}, entry.Name()) {
			t.Errorf("%s lies at the root of the storage", entry.Name())
		}
	}
	files := map[string]string{}
	base := filepath.Join(root, "docker", "registry", "v2")
	err = filepath.WalkDir(base, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if slices.Contains([]string{"_uploads", "_referrers"}, entry.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(base, file)
		if files[name] = string(content); filepath.Base(file) != "link" {
			files[name] = sha256Digest(content)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func compareTrees(t *testing.T, ours, theirs map[string]string) {
	t.Helper()
	t.Attr("files", fmt.Sprint(len(theirs)))
	if maps.Equal(ours, theirs) {
		return
	}
	for _, name := range sortedKeys(theirs) {
		if got, ok := ours[name]; !ok {
			t.Errorf("only theirs: %s", name)
		} else if got != theirs[name] {
			t.Errorf("%s: ours has %q, theirs %q", name, got, theirs[name])
		}
	}
	for _, name := range sortedKeys(ours) {
		if _, ok := theirs[name]; !ok {
			t.Errorf("only ours: %s", name)
		}
	}
}
