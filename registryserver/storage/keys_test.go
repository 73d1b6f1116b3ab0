package storage_test

import (
	"errors"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

func TestCheckKey(t *testing.T) {
	long := strings.Repeat("x", storage.MaxKeyPartLength)
	for key, ok := range map[string]bool{
		"a": true, "a/b": true, "a!": true, "a b/~": true, ".a": true, "...": true, `a\b`: true, long: true,
		"docker/registry/v2/repositories/a/_layers/sha256/0/link": true,
		"": false, "/": false, "/a": false, "a/": false, "a//b": false, ".": false, "..": false, "a/../b": false, "a/.": false,
		"a\x00b": false, "a\nb": false, "ä": false, "\x7f": false, long + "x": false, strings.Repeat(long+"/", 3) + long: false,
	} {
		err := storage.CheckKey(key)
		if ok != (err == nil) || err != nil && !errors.Is(err, storage.ErrInvalidKey) {
			t.Errorf("CheckKey(%q) = %v", key, err)
		}
	}
}

func TestCheckPrefix(t *testing.T) {
	for prefix, ok := range map[string]bool{
		"": true, "a": true, "a/": true, "a/b": true, "a/.": true, "a/..": true, ".": true,
		"/": false, "/a": false, "a//": false, "../a": false, "a/../b": false, "./": false, "a\x00": false,
	} {
		if err := storage.CheckPrefix(prefix); ok != (err == nil) {
			t.Errorf("CheckPrefix(%q) = %v", prefix, err)
		}
	}
}

// FuzzCheckKey: a key that passes names exactly one file, below the root.
func FuzzCheckKey(f *testing.F) {
	for _, seed := range []string{"", "a", "a/b", "../a", "a/./b", "/etc/passwd", "a\x00", "a//b", "docker/registry/v2/blobs/sha256/aa", `..\a`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if storage.CheckKey(key) != nil {
			return
		}
		if path.Clean(key) != key || !filepath.IsLocal(key) {
			t.Errorf("%q passes, and is not one path below a root", key)
		}
		for i := range len(key) + 1 {
			if err := storage.CheckPrefix(key[:i]); err != nil {
				t.Errorf("%q is a key, but %q is no prefix: %v", key, key[:i], err)
			}
		}
	})
}

func TestBlobKey(t *testing.T) {
	d := oci.MustDigest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
	want := "docker/registry/v2/blobs/sha256/e3/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855/data"
	if got := storage.BlobKey(d); got != want {
		t.Errorf("BlobKey = %s", got)
	}
}
