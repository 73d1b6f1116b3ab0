package proxycache

import (
	"context"
	"io"
	"sync"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// flight is a blob on its way from the upstream into the storage, and to all who
// read it meanwhile. It goes on without them. It keeps a window of what came
// last; who reads before that waits until the blob is stored, and reads it from
// there: so memory is bounded, and nobody who is slow holds up the others.
type flight struct {
	window int

	mu      sync.Mutex
	changed chan struct{} // closed, and another made, at each change
	size    int64         // -1 until the upstream has said it
	known   bool          // it has answered
	chunks  []chunk       // of the window, in order
	end     int64         // how much has come
	held    int           // bytes in chunks
	done    bool          // it is stored, or err says why not
	err     error
}

type flightKey struct {
	repo   oci.Repository
	digest oci.Digest
}

// chunk is content from its offset on. What is in data does not change.
type chunk struct {
	offset int64
	data   []byte
}

const chunkSize = 64 << 10

func newFlight(window int) *flight {
	return &flight{window: window, changed: make(chan struct{}), size: -1}
}

// signal tells all who wait. The caller has the lock.
func (f *flight) signal() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// start says how large the blob is; -1 if the upstream does not.
func (f *flight) start(size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.size, f.known = size, true
	f.signal()
}

// finish says that the blob is stored and is what its digest names, or why not.
func (f *flight) finish(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done, f.err = true, err
	f.signal()
}

// add appends to the window what has come.
func (f *flight) add(p []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(p) > 0 {
		if n := len(f.chunks); n == 0 || len(f.chunks[n-1].data) == chunkSize {
			f.chunks = append(f.chunks, chunk{f.end, make([]byte, 0, chunkSize)})
		}
		last := &f.chunks[len(f.chunks)-1]
		n := min(len(p), chunkSize-len(last.data))
		last.data = append(last.data, p[:n]...)
		p = p[n:]
		f.end += int64(n)
		f.held += n
	}
	for f.held > f.window && len(f.chunks) > 1 {
		f.held -= len(f.chunks[0].data)
		f.chunks[0] = chunk{} // nobody else refers to it
		f.chunks = f.chunks[1:]
	}
	f.signal()
}

// await waits until the upstream has answered or all is over.
func (f *flight) await(ctx context.Context) (size int64, done bool, err error) {
	for {
		f.mu.Lock()
		size, known, done, err, changed := f.size, f.known && f.size >= 0, f.done, f.err, f.changed
		f.mu.Unlock()
		if known || done {
			return size, done, err
		}
		select {
		case <-ctx.Done():
			return 0, false, ctx.Err()
		case <-changed:
		}
	}
}

// landed waits until the blob is stored.
func (f *flight) landed(ctx context.Context) error {
	for {
		f.mu.Lock()
		done, err, changed := f.done, f.err, f.changed
		f.mu.Unlock()
		if done {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// errBehind says that what is asked for is in the storage by now, and not in the
// window.
type errBehind struct{}

func (errBehind) Error() string { return "read on from the storage" }

// readAt copies from an offset on, and waits until there is something. The last
// byte is held back until the blob is known to be what its digest names: who was
// sent something else never has the whole. errBehind.
func (f *flight) readAt(ctx context.Context, p []byte, offset int64) (int, error) {
	for {
		f.mu.Lock()
		end, done, err, changed, chunks := f.end, f.done, f.err, f.changed, f.chunks
		if !done {
			end = min(end, f.size-1)
		}
		var from []byte
		for _, c := range chunks {
			if offset >= c.offset && offset < c.offset+int64(len(c.data)) {
				from = c.data[offset-c.offset : min(int64(len(c.data)), max(end-c.offset, offset-c.offset))]
			}
		}
		f.mu.Unlock()
		switch {
		case err != nil:
			return 0, err
		case len(from) > 0:
			return copy(p, from), nil
		case done && offset >= end:
			return 0, io.EOF
		case done:
			return 0, errBehind{}
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-changed:
		}
	}
}
