package s3store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// idleAfter is how long a client may send nothing before its buffer can be taken
// for others. It is then stored as a tail, and brought back when the client goes
// on: clients that have stalled do not keep others from pushing.
const idleAfter = time.Second

// idlers are the uploads that wait for their clients.
type idlers struct {
	mu    sync.Mutex
	since map[*upload]time.Time
	// taking has those whose buffers are being stored; done is closed after.
	taking map[*upload]chan struct{}
}

// idle: the upload is about to wait for its client. Until busy returns, others
// may use it.
func (b *budget) idle(u *upload) {
	b.idlers.mu.Lock()
	defer b.idlers.mu.Unlock()
	b.idlers.since[u] = time.Now()
}

// busy: the client has sent something.
func (b *budget) busy(u *upload) {
	b.idlers.mu.Lock()
	delete(b.idlers.since, u)
	done := b.idlers.taking[u]
	b.idlers.mu.Unlock()
	if done != nil {
		<-done
	}
}

// take stores the buffer of the upload that has waited for its client for
// longest, and gives its memory back. It reports whether there was one.
func (b *budget) take() bool {
	b.idlers.mu.Lock()
	var longest *upload
	var began time.Time
	for u, since := range b.idlers.since {
		if u.buf.reserved > 0 && time.Since(since) >= idleAfter && (longest == nil || since.Before(began)) {
			longest, began = u, since
		}
	}
	if longest == nil {
		b.idlers.mu.Unlock()
		return false
	}
	done := make(chan struct{})
	delete(b.idlers.since, longest) // it is looked at once for each wait
	b.idlers.taking[longest] = done
	b.idlers.mu.Unlock()

	longest.failed = longest.giveBack()

	b.idlers.mu.Lock()
	delete(b.idlers.taking, longest)
	b.idlers.mu.Unlock()
	close(done)
	return true
}

// giveBack stores what is in memory as a tail, and forgets it. What cannot be
// stored is lost: the upload goes back to what was before.
func (u *upload) giveBack() error {
	if err := u.settle(0); err != nil {
		return err
	}
	if u.buf.size == 0 {
		u.buf.release()
		return nil
	}
	next := u.good
	next.target = u.target
	err := next.keep(u.h, u.offset)
	if err == nil {
		err = u.putTail(&next)
	}
	if err == nil {
		u.good = next
	}
	u.revert()
	return err
}

// putTail stores the buffer as the tail of st.
func (u *upload) putTail(st *state) error {
	sum := sha256.New()
	if _, err := io.Copy(sum, u.buf.reader()); err != nil {
		return err
	}
	st.kind, st.extras, st.tailSum = staged, true, [sha256.Size]byte(sum.Sum(nil))
	_, err := u.s.api.PutObject(u.ctx, u.s.putInput(u.s.key(st.tailKey()), u.buf.reader()))
	return err
}

// reserve waits for n bytes, in turn with others, and takes them from clients
// that have stalled. storage.ErrBusy.
func (b *budget) reserve(ctx context.Context, n int64) error {
	if b.free.TryAcquire(n) {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, b.wait)
	defer cancel()
	go b.takeUntil(waiting)
	err := b.free.Acquire(waiting, n)
	if err != nil && ctx.Err() == nil {
		return storage.Busy(fmt.Errorf("there was no memory for the buffer of an upload within %s: %w", b.wait, err))
	}
	return err
}

// takeUntil takes what there is to take until somebody has what they wait for.
func (b *budget) takeUntil(waiting context.Context) {
	for waiting.Err() == nil {
		if b.take() {
			continue
		}
		select {
		case <-waiting.Done():
		case <-time.After(idleAfter / 2):
		}
	}
}
