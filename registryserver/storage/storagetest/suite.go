package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Store is one place under test.
type Store struct {
	Blobs   storage.Blobs
	Records storage.Records
	// Reopen opens the same place anew, as another process would: from what is
	// stored alone. The store it came from stays usable.
	Reopen func(t testing.TB) Store
	// FoldsCase says that keys which differ in case only are the same to this
	// store, which no store should do and some file systems do.
	FoldsCase bool
	// DeletesTogether says that of several who delete one version at the same
	// instant, more than one may be told that it did: S3 answers the deletion of
	// what is absent like that of what was there.
	DeletesTogether bool
	// Stateless says that an upload which fits one buffer is its state and
	// nothing else: there is nothing to sweep, and the state is good for as long
	// as whoever sealed it says. What is larger is swept as everywhere.
	Stateless bool
}

// Test holds a store to the contract of package storage. open returns a new,
// empty store each time. With names of parts, those alone are run: for stores
// that are too slow for the others.
func Test(t *testing.T, open func(t testing.TB) Store, parts ...string) {
	for _, part := range []struct {
		name string
		test func(*testing.T, func(testing.TB) Store)
	}{
		{"Blobs", testBlobs},
		{"Uploads", testUploads},
		{"ForkedUploads", testForks},
		{"Records", testRecords},
		{"Listings", testListings},
		{"Concurrency", testConcurrency},
		{"Collectible", testCollectible},
	} {
		if len(parts) == 0 || slices.Contains(parts, part.name) {
			t.Run(part.name, func(t *testing.T) { part.test(t, open) })
		}
	}
}

// each runs every case on a store of its own.
func each(t *testing.T, open func(t testing.TB) Store, cases map[string]func(*testing.T, Store)) {
	for name, test := range cases {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// Fsck proves that every blob has the bytes that its digest names and the size
// that the store says, and that blobs are listed once and in order. Tests call
// it after each step.
func Fsck(t testing.TB, b storage.Blobs) {
	t.Helper()
	last := ""
	for info, err := range b.All(context.Background()) {
		if err != nil {
			t.Fatalf("list blobs: %v", err)
		}
		if d := info.Digest.String(); d <= last {
			t.Errorf("blob %s is listed after %s", d, last)
		} else {
			last = d
		}
		checkBlob(t, b, info)
	}
}

func checkBlob(t testing.TB, b storage.Blobs, info storage.BlobInfo) {
	t.Helper()
	content, err := readBlob(b, info.Digest, 0)
	if err != nil {
		t.Errorf("read blob %s: %v", info.Digest, err)
		return
	}
	if info.Digest.Algorithm() != oci.Canonical {
		t.Errorf("blob %s is stored under a digest that is not canonical", info.Digest)
	}
	if got := oci.FromBytes(content); got != info.Digest {
		t.Errorf("blob %s has the bytes of %s", info.Digest, got)
	}
	if int64(len(content)) != info.Size {
		t.Errorf("blob %s has %d bytes, and is said to have %d", info.Digest, len(content), info.Size)
	}
	if info.ModTime.IsZero() {
		t.Errorf("blob %s has no time of modification", info.Digest)
	}
}

func readBlob(b storage.Blobs, d oci.Digest, offset int64) ([]byte, error) {
	r, err := b.Open(context.Background(), d, offset)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(r)
	return content, errors.Join(err, r.Close())
}

// wantBlob fails the test unless the content is there, whole.
func wantBlob(t testing.TB, b storage.Blobs, content []byte) {
	t.Helper()
	d := oci.FromBytes(content)
	info, err := b.Stat(context.Background(), d)
	if err != nil {
		t.Errorf("blob %s of %d bytes is missing: %v", d, len(content), err)
		return
	}
	if info.Digest != d || info.Size != int64(len(content)) {
		t.Errorf("Stat(%s) = %+v", d, info)
	}
	checkBlob(t, b, info)
}

// wantNoBlob fails the test if there is a blob of that digest.
func wantNoBlob(t testing.TB, b storage.Blobs, d oci.Digest) {
	t.Helper()
	if info, err := b.Stat(context.Background(), d); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Stat(%s) = %+v, %v; want ErrNotFound", d, info, err)
	}
	if r, err := b.Open(context.Background(), d, 0); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Open(%s) = %v, %v; want ErrNotFound", d, r, err)
	}
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v; want %v", what, err, want)
	}
}

func noErr(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// noise returns bytes that are the same for the same seed.
func noise(seed uint64, size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)}).Read(b)
	return b
}

// collect returns what a listing yields before it fails.
func collect[T any](all iter.Seq2[T, error]) ([]T, error) {
	var items []T
	for item, err := range all {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

// cancelled is a context that has ended.
func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// trickle returns its content in pieces of odd sizes, and then err.
type trickle struct {
	content []byte
	err     error
	sizes   []int
}

func (r *trickle) Read(p []byte) (int, error) {
	if len(r.content) == 0 {
		return 0, r.err
	}
	size := len(p)
	if len(r.sizes) > 0 {
		size = min(size, r.sizes[0])
		r.sizes = append(r.sizes[1:], r.sizes[0])
	}
	n := copy(p[:size], r.content)
	r.content = r.content[n:]
	return n, nil
}

func slowly(content []byte, err error) io.Reader {
	return &trickle{content: bytes.Clone(content), err: err, sizes: []int{1, 4096, 7, 65536, 32*1024 - 1}}
}

// inRepositories returns the key of what lies under that name in the folder of
// repositories.
func inRepositories(name string) string {
	return storage.DistributionRoot + "/repositories/" + name
}
