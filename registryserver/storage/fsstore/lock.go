package fsstore

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"time"
)

// stripes are the locks of records, taken by every writer: within a process by
// a channel, between processes by flock on a file of its own for each stripe.
// They are held for a comparison and a rename, never for a sync.
type stripes struct {
	dir   string
	slots [lockStripes]stripe
}

// lockStripes is part of the format: processes that share a directory must
// agree on it.
const lockStripes = 256

type stripe struct {
	held chan struct{} // has a value while the stripe is held
	file *os.File      // opened by the first to hold it
}

func newStripes(dir string) *stripes {
	l := &stripes{dir: dir}
	for i := range l.slots {
		l.slots[i].held = make(chan struct{}, 1)
	}
	return l
}

// lock takes the stripe of a key, until unlock. Other keys may share it, so
// nobody holds two.
func (l *stripes) lock(ctx context.Context, key string) (unlock func(), err error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	i := h.Sum32() % lockStripes
	slot := &l.slots[i]
	select {
	case slot.held <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	release := func() { <-slot.held }
	if slot.file == nil {
		slot.file, err = openFile(filepath.Join(l.dir, fmt.Sprintf("%02x", i)), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			slot.file = nil
			release()
			return nil, fmt.Errorf("open lock: %w", bare(err))
		}
	}
	if err := waitFlock(ctx, slot.file, 0); err != nil {
		release()
		return nil, fmt.Errorf("lock: %w", err)
	}
	return func() {
		_ = funlock(slot.file)
		release()
	}, nil
}

// close lets go of the files. The store may still be used; it opens them again.
func (l *stripes) close() error {
	var errs []error
	for i := range l.slots {
		slot := &l.slots[i]
		slot.held <- struct{}{}
		if slot.file != nil {
			errs = append(errs, slot.file.Close())
			slot.file = nil
		}
		<-slot.held
	}
	return errors.Join(errs...)
}

// errHeld: another open file has the lock.
var errHeld = errors.New("held by another")

// waitFlock locks an open file, as soon as nobody else has. It gives up with
// errHeld after the time most, unless that is 0, and with the context's error.
// The system has no wait that a context could end, so it tries again and again.
func waitFlock(ctx context.Context, f *os.File, most time.Duration) error {
	start := time.Now()
	pause := time.Millisecond
	for {
		err := tryFlock(f)
		if !errors.Is(err, errHeld) {
			return err
		}
		if most > 0 && time.Since(start)+pause > most {
			return errHeld
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		pause = min(pause*3/2, 20*time.Millisecond)
	}
}
