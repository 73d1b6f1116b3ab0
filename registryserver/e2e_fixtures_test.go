package main_test

import (
	"archive/tar"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	mathrand "math/rand"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// fixtures is what the clients push.
type fixtures struct {
	image        v1.Image // for the platform of Docker's own images, linux/amd64
	imageLayout  string   // an OCI layout with the image under the tag app
	imageArchive string   // what docker save would write of it, as hello:1
	index        v1.ImageIndex
	indexLayout  string // an OCI layout with an index for linux/amd64 and linux/arm64 under the tag app
}

// indexSeed is that of the images in the index.
const indexSeed = 2

// architectures are those of the index.
var architectures = []string{"amd64", "arm64"}

func newFixtures(t *testing.T, dir string) fixtures {
	t.Helper()
	f := fixtures{
		image: platformImage(t, 1, "amd64"), imageLayout: filepath.Join(dir, "image"), imageArchive: filepath.Join(dir, "image.tar"),
		indexLayout: filepath.Join(dir, "index"),
	}
	f.index = mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, architecture := range architectures {
		f.index = mutate.AppendManifests(f.index, mutate.IndexAddendum{
			Add:        platformImage(t, indexSeed, architecture),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: architecture}},
		})
	}
	writeLayout(t, f.imageLayout, f.image)
	writeLayout(t, f.indexLayout, f.index)
	writeArchive(t, f.imageArchive, "hello:1", f.image)
	return f
}

// platformImage is a small image that can be unpacked, the same for the same seed and architecture.
func platformImage(t *testing.T, seed int64, architecture string) v1.Image {
	t.Helper()
	config := &v1.ConfigFile{OS: "linux", Architecture: architecture, RootFS: v1.RootFS{Type: "layers"}}
	config.Config.Cmd = []string{"/hello"}
	img, err := mutate.ConfigFile(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), config)
	if err != nil {
		t.Fatal(err)
	}
	source := mathrand.NewSource(seed)
	for range 2 {
		layer, err := random.Layer(2000, types.OCILayer, random.WithSource(source))
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, MediaType: types.OCILayer}); err != nil {
			t.Fatal(err)
		}
	}
	return img
}

// writeArchive writes what docker save would.
func writeArchive(t *testing.T, file, tag string, img v1.Image) {
	t.Helper()
	parsed, err := name.NewTag(tag)
	if err == nil {
		err = tarball.WriteToFile(file, parsed, img)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// writeLayout makes an OCI layout with one image or index in it, under the tag app.
func writeLayout(t *testing.T, dir string, a artifact) {
	t.Helper()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	tag := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "app"})
	switch a := a.(type) {
	case v1.ImageIndex:
		err = path.AppendIndex(a, tag)
	case v1.Image:
		err = path.AppendImage(a, tag)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// sameAsLayout fails the test unless an OCI layout holds the image or index, under any tag, with all that belongs to it.
func sameAsLayout(t *testing.T, dir string, want artifact) {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, descriptor := range manifest.Manifests {
		if descriptor.Digest.String() == digestOf(t, want) {
			return
		}
	}
	t.Fatalf("%s has %v; want %s", dir, manifest.Manifests, digestOf(t, want))
}

// configDigest is what Docker and podman take for the identity of an image.
func configDigest(t *testing.T, img v1.Image) string {
	t.Helper()
	hash, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	return hash.String()
}

// largeLayer is the size of the one layer of largeImage.
const largeLayer = 1 << 30

// largeImage returns an OCI layout with an image of one layer of 1 GiB under the tag app, and the tar file of that layer: made once per run.
func largeImage(t *testing.T) (image v1.Image, dir, layer string) {
	t.Helper()
	dir, layer = filepath.Join(builds, "large"), filepath.Join(builds, "large.tar")
	largeImageOnce.Do(func() {
		if err := writeLargeTar(layer); err != nil {
			t.Fatal(err)
		}
		content, err := tarball.LayerFromFile(layer, tarball.WithCompressionLevel(gzip.NoCompression), tarball.WithMediaType(types.OCILayer))
		if err != nil {
			t.Fatal(err)
		}
		img, err := mutate.AppendLayers(platformImage(t, 3, "amd64"), content)
		if err != nil {
			t.Fatal(err)
		}
		writeLayout(t, dir, img)
	})
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if image, err = index.Image(manifest.Manifests[0].Digest); err != nil {
		t.Fatal(err)
	}
	return image, dir, layer
}

var largeImageOnce sync.Once

func writeLargeTar(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	defer file.Close()
	archive := tar.NewWriter(file)
	if err := archive.WriteHeader(&tar.Header{Name: "large", Mode: 0o644, Size: largeLayer}); err != nil {
		return err
	}
	if _, err := io.CopyN(archive, mathrand.New(mathrand.NewSource(1)), largeLayer); err != nil {
		return err
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return file.Close()
}

// newCertificates makes a CA that nobody knows, and a certificate that it signed for registry.test. It returns the files of the latter.
func newCertificates(t *testing.T, dir, ca string) (certificate, key string) {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Example CA"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(2, 0, 0),
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "registry.test"}, DNSNames: []string{"registry.test"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
	}
	authorityKey, leafKey := newKey(t), newKey(t)
	certificate, key = filepath.Join(dir, "registry.pem"), filepath.Join(dir, "registry.key")
	writePEM(t, filepath.Join(dir, ca), "CERTIFICATE", sign(t, authority, authority, authorityKey, authorityKey))
	writePEM(t, certificate, "CERTIFICATE", sign(t, leaf, authority, leafKey, authorityKey))
	der, err := x509.MarshalPKCS8PrivateKey(leafKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, key, "PRIVATE KEY", der)
	return certificate, key
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, certificate, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, certificate, parent, key.Public(), parentKey)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// emptyDir makes an empty folder in the world's home, in place of what bears that name.
func (w *world) emptyDir(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(w.home, name)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// writeFile writes a file in the world's home.
func (w *world) writeFile(t *testing.T, name, content string) {
	t.Helper()
	file := filepath.Join(w.home, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
