package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Memory is the reference store: the contract of package storage in its
// plainest form. Its two halves are Blobs and Records.
type Memory struct {
	// Now is the clock that times of modification are taken from; time.Now
	// unless it is set before the store is used.
	Now func() time.Time

	collecting sync.Mutex // held by one Deletion at a time

	mu      sync.Mutex
	blobs   map[oci.Digest]memoryBlob
	uploads map[string]*memoryUpload
	started int
	records map[string]storage.Record
	folders map[string]int // how many records lie somewhere below
}

type memoryBlob struct {
	content []byte // never changed
	modTime time.Time
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		Now:     time.Now,
		blobs:   map[oci.Digest]memoryBlob{},
		uploads: map[string]*memoryUpload{},
		records: map[string]storage.Record{},
		folders: map[string]int{},
	}
}

// Blobs returns the half that keeps content.
func (m *Memory) Blobs() storage.Blobs { return memoryBlobs{m} }

// Records returns the half that keeps records.
func (m *Memory) Records() storage.Records { return memoryRecords{m} }

type memoryBlobs struct{ m *Memory }

func (b memoryBlobs) Stat(ctx context.Context, d oci.Digest) (storage.BlobInfo, error) {
	info, _, err := b.get(ctx, d)
	return info, err
}

func (b memoryBlobs) get(ctx context.Context, d oci.Digest) (storage.BlobInfo, []byte, error) {
	if err := ctx.Err(); err != nil {
		return storage.BlobInfo{}, nil, err
	}
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	blob, ok := b.m.blobs[d]
	if !ok {
		return storage.BlobInfo{}, nil, fmt.Errorf("blob %s: %w", d, storage.ErrNotFound)
	}
	return storage.BlobInfo{Digest: d, Size: int64(len(blob.content)), ModTime: blob.modTime}, blob.content, nil
}

func (b memoryBlobs) Open(ctx context.Context, d oci.Digest, offset int64) (io.ReadCloser, error) {
	_, content, err := b.get(ctx, d)
	if err != nil {
		return nil, err
	}
	r := memoryReader{bytes.NewReader(content)}
	if _, err := r.Seek(offset, io.SeekStart); err != nil {
		return nil, err
	}
	return r, nil
}

type memoryReader struct{ *bytes.Reader }

func (memoryReader) Close() error { return nil }

func (b memoryBlobs) Put(ctx context.Context, content []byte) (storage.BlobInfo, error) {
	if err := ctx.Err(); err != nil {
		return storage.BlobInfo{}, err
	}
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	return b.put(bytes.Clone(content)), nil
}

func (b memoryBlobs) put(content []byte) storage.BlobInfo {
	info := storage.BlobInfo{Digest: oci.FromBytes(content), Size: int64(len(content)), ModTime: b.m.Now()}
	b.m.blobs[info.Digest] = memoryBlob{content, info.ModTime}
	return info
}

func (b memoryBlobs) Delete(ctx context.Context, d oci.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	delete(b.m.blobs, d)
	return nil
}

func (b memoryBlobs) All(ctx context.Context) iter.Seq2[storage.BlobInfo, error] {
	return func(yield func(storage.BlobInfo, error) bool) {
		b.m.mu.Lock()
		digests := make([]oci.Digest, 0, len(b.m.blobs))
		for d := range b.m.blobs {
			digests = append(digests, d)
		}
		b.m.mu.Unlock()
		slices.SortFunc(digests, func(x, y oci.Digest) int { return strings.Compare(x.String(), y.String()) })
		for _, d := range digests {
			info, err := b.Stat(ctx, d)
			if err := ctx.Err(); err != nil {
				yield(storage.BlobInfo{}, err)
				return
			}
			if err == nil && !yield(info, nil) {
				return
			}
		}
	}
}
