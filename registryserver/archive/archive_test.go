package archive_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/registrykit/terraform-provider-registry/registryserver/archive"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// file is an entry of a tar file; with a link it is one.
type file struct{ name, content, link string }

func tarOf(t testing.TB, files ...file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Size: int64(len(f.content)), Mode: 0o644}
		if f.link != "" {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, f.link, 0
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// savedOld is what docker save wrote before version 25: layers that are not
// compressed, the second the same as the first and so a link to it.
func savedOld(t testing.TB) []byte {
	t.Helper()
	layer := string(tarOf(t, file{name: "hello", content: "hello"}))
	id := oci.FromBytes([]byte(layer))
	config := fmt.Sprintf(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[%q,%q]}}`, id, id)
	configName := oci.FromBytes([]byte(config)).Hex() + ".json"
	manifest := fmt.Sprintf(`[{"Config":%q,"RepoTags":["app:3f2a9c1","registry.example.com:5000/team/app:v1"],"Layers":["a/layer.tar","b/layer.tar"]}]`, configName)
	return tarOf(t, file{name: "b/layer.tar", link: "../a/layer.tar"}, file{name: "manifest.json", content: manifest},
		file{name: configName, content: config}, file{name: "a/layer.tar", content: layer})
}

func read(t testing.TB, content []byte) *archive.Archive {
	t.Helper()
	a, err := archive.Read(t.Context(), bytes.NewReader(content), archive.Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// only prepares the one image of an archive.
func only(t testing.TB, a *archive.Archive) (oci.Descriptor, []string) {
	t.Helper()
	images := a.Images()
	if len(images) != 1 {
		t.Fatalf("%d images", len(images))
	}
	d, left, err := a.Prepare(t.Context(), images[0])
	if err != nil {
		t.Fatal(err)
	}
	return d, left
}

// write writes an image of a source as a tar file, and checks its announced size.
func write(t testing.TB, from archive.Source, d oci.Digest, names ...string) []byte {
	t.Helper()
	p, err := archive.NewPlan(t.Context(), from, d, names)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := p.Write(t.Context(), &b, from); err != nil {
		t.Fatal(err)
	}
	if size, err := p.Size(); err != nil || size != int64(b.Len()) {
		t.Errorf("the tar file has %d bytes, and was to have %d, %v", b.Len(), size, err)
	}
	return b.Bytes()
}

func TestDockerSaveOldLayout(t *testing.T) {
	plain := savedOld(t)
	var first oci.Digest
	for _, content := range [][]byte{plain, gzipped(t, plain)} {
		a := read(t, content)
		var names []string
		for _, n := range a.Images()[0].Names {
			names = append(names, n.String())
		}
		if got := strings.Join(names, " "); got != "app:3f2a9c1 team/app:v1" {
			t.Errorf("names %s", got)
		}
		d, _ := only(t, a)
		if first.IsZero() {
			first = d.Digest
		}
		if d.Digest != first || d.MediaType != oci.MediaTypeDockerManifest {
			t.Errorf("%+v; the same image must always have the same digest, %s", d, first)
		}
		// ggcr reads what we write, and checks every digest.
		written := write(t, a, d.Digest, "app:3f2a9c1")
		image, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(written)), nil }, nil)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := image.Layers()
		if err != nil || len(layers) != 2 {
			t.Fatalf("%d layers, %v", len(layers), err)
		}
		for _, l := range layers {
			r, err := l.Uncompressed()
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(r)
			if err != nil || !bytes.Contains(content, []byte("hello")) {
				t.Errorf("a layer holds %q, %v", content, err)
			}
		}
		// And what we wrote is the same image for us.
		if again, _ := only(t, read(t, written)); again.Digest != d.Digest {
			t.Errorf("%s became %s", d.Digest, again.Digest)
		}
	}
}

// What others write keeps its digest, as a folder and as a tar file, and from
// one archive to the next.
func TestOCILayout(t *testing.T) {
	image, err := random.Image(3000, 3)
	if err != nil {
		t.Fatal(err)
	}
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: mutate.Annotations(image, map[string]string{"a": "b"}).(v1.Image), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}})
	dir := t.TempDir()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "v1"})); err != nil {
		t.Fatal(err)
	}
	a, err := archive.Open(t.Context(), dir, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	want, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	d, left := only(t, a)
	if d.Digest.String() != want.String() || len(left) > 0 || a.Images()[0].Names[0].Tag != "v1" {
		t.Fatalf("%s, want %s; without %v", d.Digest, want, left)
	}
	again := read(t, write(t, a, d.Digest, "r.example.com/app:v1"))
	if d, left := only(t, again); d.Digest.String() != want.String() || len(left) > 0 {
		t.Errorf("%s, want %s; without %v", d.Digest, want, left)
	}
	chosen, err := archive.Choose(t.Context(), a, d.Digest, "linux/arm64")
	if err != nil {
		t.Fatal(err)
	}
	if arm, _ := only(t, read(t, write(t, a, chosen, "app:v1"))); arm.Digest != chosen {
		t.Errorf("%s, want %s", arm.Digest, chosen)
	}
	if _, err := archive.Choose(t.Context(), a, d.Digest, "linux/s390x"); oci.ErrorCode(err) != oci.CodeManifestUnknown || !strings.Contains(err.Error(), "linux/amd64, linux/arm64") {
		t.Errorf("%v", err)
	}
	// docker save with containerd leaves out the platforms that it has not pulled.
	removeBlob(t, dir, index, chosen)
	partial, err := archive.Open(t.Context(), dir, archive.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer partial.Close()
	d, left = only(t, partial)
	if digest, err := image.Digest(); err != nil || d.Digest.String() != digest.String() || !slices.Equal(left, []string{"linux/arm64"}) {
		t.Errorf("%s without %v, want %s, %v", d.Digest, left, digest, err)
	}
}

func removeBlob(t *testing.T, dir string, _ v1.ImageIndex, d oci.Digest) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, "blobs", string(d.Algorithm()), d.Hex())); err != nil {
		t.Fatal(err)
	}
}

func TestCompressedLayersStayAsTheyAre(t *testing.T) {
	image, err := random.Image(3000, 2)
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag("app:v1")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := tarball.Write(tag, image, &b); err != nil {
		t.Fatal(err)
	}
	a := read(t, b.Bytes())
	d, _ := only(t, a)
	content, err := a.Manifest(t.Context(), d.Digest)
	if err != nil {
		t.Fatal(err)
	}
	want, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range append(want.Layers, want.Config) {
		if !bytes.Contains(content, []byte(l.Digest.String())) {
			t.Errorf("%s lacks %s", content, l.Digest)
		}
	}
}

func TestHostileArchives(t *testing.T) {
	manifest := func(config, layer string) file {
		content, err := json.Marshal([]map[string]any{{"Config": config, "RepoTags": nil, "Layers": []string{layer}}})
		if err != nil {
			t.Fatal(err)
		}
		return file{name: "manifest.json", content: string(content)}
	}
	config := file{name: "c.json", content: `{"rootfs":{"diff_ids":["` + oci.FromBytes([]byte("x")).String() + `"]}}`}
	index := func(digest string) file {
		return file{name: "index.json", content: `{"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + digest + `","size":2}]}`}
	}
	other := oci.FromBytes([]byte("other"))
	bomb := gzipped(t, make([]byte, 4<<20))
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"nothing":               {nil, "nothing came"},
		"no tar file":           {[]byte(strings.Repeat("no tar file ", 100)), "no tar file"},
		"zstd":                  {[]byte{0x28, 0xb5, 0x2f, 0xfd, 0}, "zstd -dc"},
		"another tar file":      {tarOf(t, file{name: "a"}), "neither manifest.json nor index.json"},
		"cut off":               {savedOld(t)[:3000], "ends"},
		"out by a name":         {tarOf(t, file{name: "../../etc/passwd", content: "x"}), "leads out of it"},
		"out by a link":         {tarOf(t, file{name: "a/layer.tar", link: "../../etc/passwd"}), "leads out of it"},
		"out by an absolute":    {tarOf(t, file{name: "layer.tar", link: "/etc/passwd"}), "leads out of it"},
		"out by manifest.json":  {tarOf(t, manifest("../c.json", "l.tar")), "leads out of it"},
		"a link to itself":      {tarOf(t, manifest("c.json", "l.tar"), config, file{name: "l.tar", link: "l.tar"}), "links that do not end"},
		"a layer too few":       {tarOf(t, manifest("c.json", "l.tar"), file{name: "c.json", content: "{}"}), "1 layers of the image, its configuration 0"},
		"a damaged layer":       {tarOf(t, manifest("c.json", "l.tar"), config, file{name: "l.tar", content: "y"}), "is damaged"},
		"a missing layer":       {tarOf(t, manifest("c.json", "l.tar"), config), "does not have it"},
		"a bomb in it":          {tarOf(t, manifest("c.json", "l.tar"), config, file{name: "l.tar", content: string(bomb)}), "--max-bytes"},
		"a bomb":                {bomb, "--max-bytes"},
		"no JSON":               {tarOf(t, file{name: "index.json", content: "{"}), "index.json"},
		"a digest out of place": {tarOf(t, index("sha256:../../../etc/passwd")), "digest"},
		"a wrong digest":        {tarOf(t, index(other.String()), file{name: "blobs/sha256/" + other.Hex(), content: "{}"}), "does not have the digest"},
		"no manifest":           {tarOf(t, index(other.String())), "does not have it"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			err := use(t.Context(), c.content, archive.Options{TempDir: dir, MaxBytes: 1 << 20})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// use reads all that there is in an archive.
func use(ctx context.Context, content []byte, o archive.Options) error {
	a, err := archive.Read(ctx, bytes.NewReader(content), o)
	if err != nil {
		return err
	}
	defer a.Close()
	for _, i := range a.Images() {
		d, _, err := a.Prepare(ctx, i)
		if err != nil {
			return err
		}
		p, err := archive.NewPlan(ctx, a, d.Digest, nil)
		if err != nil {
			return err
		}
		if err := p.Write(ctx, io.Discard, a); err != nil {
			return err
		}
	}
	return nil
}

// A link of a folder does not lead out of it.
func TestFolderKeepsInside(t *testing.T) {
	dir, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(`{"manifests":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(dir, "index.json")); err != nil {
		t.Fatal(err)
	}
	if a, err := archive.Open(t.Context(), dir, archive.Options{}); err == nil {
		a.Close()
		t.Error("it was read")
	}
}

// A blob that changed is found before the archive ends.
func TestWriteFindsDamage(t *testing.T) {
	a := read(t, savedOld(t))
	d, _ := only(t, a)
	p, err := archive.NewPlan(t.Context(), a, d.Digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(t.Context(), io.Discard, flipped{a}); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("%v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Write(ended, io.Discard, a); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

type flipped struct{ archive.Source }

func (f flipped) Open(ctx context.Context, d oci.Digest, offset int64) (io.ReadCloser, int64, error) {
	r, size, err := f.Source.Open(ctx, d, offset)
	if err != nil {
		return nil, 0, err
	}
	content, err := io.ReadAll(r)
	content[0] ^= 1
	return io.NopCloser(bytes.NewReader(content)), size, err
}

// Whatever is in an archive, what is read of it is what it says; and what is
// written of that is read again as the same.
func FuzzArchive(f *testing.F) {
	f.Add(savedOld(f))
	f.Add(gzipped(f, savedOld(f)))
	f.Add(tarOf(f, file{name: "index.json", content: `{"manifests":[]}`}))
	a := read(f, savedOld(f))
	d, _ := only(f, a)
	f.Add(write(f, a, d.Digest, "a/b:c"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		o := archive.Options{TempDir: dir, MaxBytes: 1 << 20}
		a, err := archive.Read(t.Context(), bytes.NewReader(content), o)
		if err != nil {
			return
		}
		defer a.Close()
		for _, i := range a.Images() {
			d, _, err := a.Prepare(t.Context(), i)
			if err != nil {
				continue
			}
			p, err := archive.NewPlan(t.Context(), a, d.Digest, nil)
			if err != nil {
				continue
			}
			var b bytes.Buffer
			if err := p.Write(t.Context(), &b, a); err != nil {
				continue
			}
			if size, err := p.Size(); err != nil || size != int64(b.Len()) {
				t.Errorf("%d bytes, not %d, %v", b.Len(), size, err)
			}
			if err := use(t.Context(), b.Bytes(), archive.Options{TempDir: dir, MaxBytes: 64 << 20}); err != nil {
				t.Errorf("what was written cannot be read: %v", err)
			}
		}
	})
}
