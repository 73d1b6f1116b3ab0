package s3store

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// blockSize is how much memory a buffer grows by.
	blockSize = 256 << 10
	// memoryWait is how long an upload waits for memory before its client is
	// told to come back later.
	memoryWait = 30 * time.Second
)

// budget bounds the memory of all buffers of a store. A buffer takes what its
// bytes need as they arrive. Whoever waits for memory holds none: it has stored
// its bytes, and waits for the smallest part there is at once. So a hundred
// uploads with half a part each, all waiting for one another, cannot come about.
type budget struct {
	free   *semaphore.Weighted
	used   atomic.Int64 // of free
	blocks sync.Pool    // of *[]byte
	wait   time.Duration
	idlers idlers
	// scratch is of *[]byte, what is read from a client before there is room.
	scratch sync.Pool
}

// scratchSize is how much is read from a client at once.
const scratchSize = 64 << 10

func newBudget(size int64) *budget {
	b := &budget{free: semaphore.NewWeighted(size), wait: memoryWait, idlers: idlers{since: map[*upload]time.Time{}, taking: map[*upload]chan struct{}{}}}
	b.blocks.New = func() any { block := make([]byte, blockSize); return &block }
	b.scratch.New = func() any { p := make([]byte, scratchSize); return &p }
	return b
}

// buffer holds the bytes of one part.
type buffer struct {
	from     *budget
	limit    int // the size of a full part
	blocks   []*[]byte
	size     int
	reserved int64
	full     bool // there is no room for more
}

func (b *budget) buffer(limit int64) *buffer { return &buffer{from: b, limit: int(limit)} }

// errNoRoom: there is no memory now, and what the buffer has is too little for a
// part.
var errNoRoom = errors.New("no room")

// room returns where the next bytes go: empty once the part is full. The caller
// says through grow how many it put there. errNoRoom.
func (f *buffer) room() ([]byte, error) {
	if f.full || f.size >= f.limit {
		return nil, nil
	}
	if f.size == len(f.blocks)*blockSize {
		if err := f.more(); err != nil || f.full {
			return nil, err
		}
	}
	block := *f.blocks[f.size/blockSize]
	at := f.size % blockSize
	return block[at:min(blockSize, at+f.limit-f.size)], nil
}

func (f *buffer) grow(n int) { f.size += n }

// more adds a block.
func (f *buffer) more() error {
	switch next := int64(len(f.blocks)+1) * blockSize; {
	case next <= f.reserved:
	case f.from.free.TryAcquire(blockSize):
		f.from.used.Add(blockSize)
		f.reserved += blockSize
	case f.size >= minPartSize:
		f.full = true // large enough to be sent, and others wait
		return nil
	default:
		return errNoRoom
	}
	f.blocks = append(f.blocks, f.from.blocks.Get().(*[]byte))
	return nil
}

// claim waits for memory for n bytes. The buffer has none yet. storage.ErrBusy.
func (f *buffer) claim(ctx context.Context, n int64) error {
	n = (n + blockSize - 1) / blockSize * blockSize
	if n <= f.reserved {
		return nil
	}
	if err := f.from.reserve(ctx, n-f.reserved); err != nil {
		return err
	}
	f.from.used.Add(n - f.reserved)
	f.reserved = n
	return nil
}

// release gives the memory back. The buffer is empty then.
func (f *buffer) release() {
	for _, block := range f.blocks {
		f.from.blocks.Put(block)
	}
	f.from.used.Add(-f.reserved)
	f.from.free.Release(f.reserved)
	f.blocks, f.size, f.reserved, f.full = nil, 0, 0, false
}

// reader reads the buffer from its beginning.
func (f *buffer) reader() io.ReadSeeker { return &bufferReader{f: f} }

type bufferReader struct {
	f  *buffer
	at int
}

func (r *bufferReader) Read(p []byte) (int, error) {
	if r.at >= r.f.size {
		return 0, io.EOF
	}
	block := *r.f.blocks[r.at/blockSize]
	from := r.at % blockSize
	n := copy(p, block[from:min(blockSize, from+r.f.size-r.at)])
	r.at += n
	return n, nil
}

func (r *bufferReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += int64(r.at)
	case io.SeekEnd:
		offset += int64(r.f.size)
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	r.at = int(offset)
	return offset, nil
}
