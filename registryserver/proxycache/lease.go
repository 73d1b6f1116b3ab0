package proxycache

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// A server that fetches something holds a lease on its digest meanwhile, so that
// all servers on a storage fetch it once. Nothing else rests on it: two that
// fetch at once store the same bytes. So no clock but that of the one who waits
// decides: a lease that did not change while it was watched for Lapse is taken
// over, by compare-and-swap.
const leaseFolder = storage.KitRoot + "/proxy-fetches/"

// leaseRecord is that record, in JSON (docs/storage-format.md).
type leaseRecord struct {
	Version int    `json:"version"`
	Owner   string `json:"owner"` // of this one fetch
	Beat    int    `json:"beat"`
}

type lease struct {
	c       *Cache
	key     string
	mu      sync.Mutex
	record  leaseRecord
	version storage.Version
}

// once does something for a digest unless it is done: here and now, or by another
// server, which is waited for.
func (c *Cache) once(ctx context.Context, d oci.Digest, done func(context.Context) (bool, error), do func(context.Context) error) error {
	for {
		if ok, err := done(ctx); ok || err != nil {
			return err
		}
		l, err := c.takeLease(ctx, d)
		if err != nil {
			return err
		}
		if l == nil {
			continue // another has let go of it: it is done, or failed
		}
		stop := l.keep(ctx)
		ok, err := done(ctx) // the one before may have ended since it was looked
		if !ok && err == nil {
			err = do(ctx)
		}
		stop()
		l.release(ctx)
		return err
	}
}

// takeLease takes the lease, or waits until who has it lets go of it and returns
// none.
func (c *Cache) takeLease(ctx context.Context, d oci.Digest) (*lease, error) {
	l := &lease{c: c, key: leaseFolder + string(d.Algorithm()) + "/" + d.Hex(), record: leaseRecord{Version: 1, Owner: rand.Text()}}
	var seen storage.Version
	var since time.Time
	was := storage.Absent
	for step := 20 * time.Millisecond; ; step = min(2*step, 500*time.Millisecond) {
		if was == storage.Absent || was == seen && time.Since(since) >= c.Lapse {
			err := l.put(ctx, was)
			if err == nil || !errors.Is(err, storage.ErrConflict) {
				return l, err
			}
		}
		rec, err := c.Records.Get(ctx, l.key)
		switch {
		case errors.Is(err, storage.ErrNotFound):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("read %s: %w", l.key, err)
		case l.mine(rec):
			l.version = rec.Version
			return l, nil // the store said conflict, but it was our own write
		case rec.Version != seen:
			seen, since = rec.Version, time.Now()
		}
		was = rec.Version
		if err := wait(ctx, step); err != nil {
			return nil, err
		}
	}
}

func (l *lease) mine(rec storage.Record) bool {
	var r leaseRecord
	return json.Unmarshal(rec.Value, &r) == nil && r.Owner == l.record.Owner
}

func (l *lease) put(ctx context.Context, was storage.Version) error {
	l.record.Beat++
	value, err := json.Marshal(l.record)
	if err != nil {
		return err
	}
	version, err := l.c.Records.Put(ctx, l.key, value, was)
	if err == nil {
		l.version = version
	}
	return err
}

// keep shows that the fetch lives, until stop is called.
func (l *lease) keep(ctx context.Context) (stop func()) {
	beating, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for wait(beating, l.c.Beat) == nil {
			l.mu.Lock()
			err := l.put(beating, l.version)
			l.mu.Unlock()
			if errors.Is(err, storage.ErrConflict) {
				return // another took it over, since this one was paused
			}
		}
	}()
	return func() { end(); <-done }
}

// release lets go of the lease, also where the fetch was ended from outside.
func (l *lease) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.c.Records.Delete(ctx, l.key, l.version)
	if errors.Is(err, storage.ErrConflict) {
		// A last sign of life may have been written whose answer was not waited for.
		if rec, lost := l.c.Records.Get(ctx, l.key); lost == nil && l.mine(rec) {
			err = l.c.Records.Delete(ctx, l.key, rec.Version)
		}
	}
	if err != nil && !errors.Is(err, storage.ErrConflict) {
		l.c.Log.WarnContext(ctx, "the lease of a fetch could not be let go of; others wait until it lapses", "key", l.key, "error", err)
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
