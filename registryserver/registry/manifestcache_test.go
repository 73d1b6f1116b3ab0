package registry_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/fsstore"
)

// Ensure that a manifest which was read before is found or not found as the
// store has it now, whoever changed that: nothing is served from memory that
// another process has deleted.
func TestManifestDeletedBehindTheCache(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		r := newRegistry(s)
		config := pushBlob(t, r, app, oci.SHA256, "{}")
		d := put(t, r, app, imageOf(config, ""), "v1")
		for range 2 {
			if m, err := r.Manifest(t.Context(), app, ref(t, "v1")); err != nil || string(m.Content) != imageOf(config, "") {
				t.Fatalf("%+v, %v", m, err)
			}
		}
		_, err := r.Manifest(t.Context(), other, oci.Reference{Digest: d})
		wantCode(t, "manifest of another repository", err, oci.CodeManifestUnknown)

		another := newRegistry(s) // as another process would
		must(t, another.DeleteManifest(t.Context(), app, d))
		_, err = r.Manifest(t.Context(), app, oci.Reference{Digest: d})
		wantCode(t, "manifest whose link another deleted", err, oci.CodeManifestUnknown)

		put(t, r, app, imageOf(config, ""), "v1")
		must(t, s.Blobs().Delete(t.Context(), d))
		_, err = r.Manifest(t.Context(), app, ref(t, "v1"))
		wantCode(t, "manifest whose content another deleted", err, oci.CodeManifestUnknown)
	})
}

// Ensure that bytes which a bad disk returned once do not outlive their
// repair.
func TestDamagedManifestIsNotRemembered(t *testing.T) {
	root := t.TempDir()
	s, err := fsstore.New(root)
	if err != nil {
		t.Fatal(err)
	}
	r := newRegistry(s)
	config := pushBlob(t, r, app, oci.SHA256, "{}")
	content := []byte(imageOf(config, ""))
	d := put(t, r, app, string(content), "v1")
	r = newRegistry(s) // as after a restart
	file := filepath.Join(root, filepath.FromSlash(storage.BlobKey(d)))
	damaged := bytes.Replace(content, []byte("layers"), []byte("LAYERS"), 1)
	for _, on := range [][]byte{damaged, content} {
		if err := os.WriteFile(file, on, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := r.Manifest(t.Context(), app, ref(t, "v1"))
		if err != nil || !bytes.Equal(m.Content, on) {
			t.Errorf("%s, %v; want what is on the disk", m.Content, err)
		}
	}
}
