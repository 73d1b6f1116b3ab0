package storagetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// memoryUpload is what is kept of an upload.
type memoryUpload struct {
	content []byte
	modTime time.Time
	held    bool
}

// memoryHandle is one hold of an upload.
type memoryHandle struct {
	m    *Memory
	id   string
	up   *memoryUpload // nil once it was let go of
	size int64
}

func (b memoryBlobs) StartUpload(ctx context.Context) (storage.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	b.m.started++
	up := &memoryUpload{modTime: b.m.Now(), held: true}
	id := fmt.Sprintf("upload-%d", b.m.started)
	b.m.uploads[id] = up
	return &memoryHandle{m: b.m, id: id, up: up}, nil
}

func (b memoryBlobs) ResumeUpload(ctx context.Context, state []byte) (storage.Upload, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	up, ok := b.m.uploads[string(state)]
	switch {
	case !ok:
		return nil, storage.ErrUploadUnknown
	case up.held:
		return nil, storage.ErrUploadBusy
	}
	up.held = true
	return &memoryHandle{m: b.m, id: string(state), up: up, size: int64(len(up.content))}, nil
}

func (b memoryBlobs) SweepUploads(ctx context.Context, before time.Time) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	swept := 0
	for id, up := range b.m.uploads {
		if !up.held && up.modTime.Before(before) {
			delete(b.m.uploads, id)
			swept++
		}
	}
	return swept, nil
}

func (h *memoryHandle) Write(p []byte) (int, error) {
	if h.up == nil {
		return 0, fs.ErrClosed
	}
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.up.content = append(h.up.content, p...)
	h.up.modTime = h.m.Now()
	h.size += int64(len(p))
	return len(p), nil
}

func (h *memoryHandle) ReadFrom(r io.Reader) (int64, error) {
	// A plain writer, so that io.Copy does not call ReadFrom again.
	return io.Copy(struct{ io.Writer }{h}, r)
}

// Expect changes nothing.
func (*memoryHandle) Expect(oci.Digest) {}

func (h *memoryHandle) Size() int64   { return h.size }
func (h *memoryHandle) State() []byte { return []byte(h.id) }

func (h *memoryHandle) Close() error {
	if h.up == nil {
		return nil
	}
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.up.held = false
	h.up = nil
	return nil
}

func (h *memoryHandle) Commit(ctx context.Context, want oci.Digest) (storage.BlobInfo, error) {
	if h.up == nil {
		return storage.BlobInfo{}, fs.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		_ = h.Close()
		return storage.BlobInfo{}, err
	}
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	content := bytes.Clone(h.up.content)
	h.gone()
	if want.IsZero() || want.Algorithm().Of(content) != want {
		return storage.BlobInfo{}, storage.ErrDigestMismatch
	}
	return memoryBlobs{h.m}.put(content), nil
}

func (h *memoryHandle) Abort(context.Context) error {
	if h.up == nil {
		return nil
	}
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.gone()
	return nil
}

func (h *memoryHandle) gone() {
	delete(h.m.uploads, h.id)
	h.up = nil
}
