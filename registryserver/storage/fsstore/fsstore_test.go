//go:build unix

package fsstore

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// openStore opens the store in a directory, which gives up on an upload that is
// held as soon as it sees that.
func openStore(t testing.TB, root string) *Store {
	t.Helper()
	s, err := New(root)
	if err != nil {
		t.Fatal(err)
	}
	s.busyWait = time.Nanosecond
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func suiteStore(t testing.TB, root string) storagetest.Store {
	s := openStore(t, root)
	return storagetest.Store{
		Blobs:     s.Blobs(),
		Records:   s.Records(),
		FoldsCase: s.CaseInsensitive(),
		Reopen:    func(t testing.TB) storagetest.Store { return suiteStore(t, root) },
	}
}

func TestContract(t *testing.T) {
	storagetest.Test(t, func(t testing.TB) storagetest.Store {
		root := t.TempDir()
		s := suiteStore(t, root)
		t.Cleanup(func() { wantTidy(t, root) })
		return s
	})
}

// wantTidy fails the test if temporary files, or folders of uploads that have
// ended, were left.
func wantTidy(t testing.TB, root string) {
	t.Helper()
	left, err := os.ReadDir(root + "/" + tmpDir)
	if err != nil {
		t.Error(err)
	}
	for _, e := range left {
		t.Errorf("the temporary file %s was left", e.Name())
	}
	ids, err := os.ReadDir(root + "/" + uploadsDir)
	if err != nil {
		t.Error(err)
	}
	for _, e := range ids {
		if _, err := os.Stat(root + "/" + dataName(e.Name())); err != nil {
			t.Errorf("of the upload %s, its folder was left", e.Name())
		}
	}
}

// wantFiles compares all files and folders below a folder of the root, except
// locks.
func wantFiles(t testing.TB, root string, want ...string) {
	t.Helper()
	var got []string
	var walk func(dir string)
	walk = func(dir string) {
		entries, err := os.ReadDir(root + "/" + dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			name := join(dir, e.Name())
			if e.IsDir() {
				if before := len(got); name != locksDir {
					if walk(name); len(got) == before {
						got = append(got, name+"/")
					}
				}
				continue
			}
			got = append(got, name)
		}
	}
	walk("")
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("the directory has\n%s\nwant\n%s", g, w)
	}
}
