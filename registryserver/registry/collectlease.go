package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// A collector holds a lease while it runs, so that others do not do the same work.
// Nothing else rests on it: two that run at once cost no byte.
const (
	leaseKey = gcFolder + "lease"
	// leaseBeat is how often a lease is renewed, and leaseLapse how old it is, by the
	// clock of the store, when another may take it.
	leaseBeat  = 30 * time.Second
	leaseLapse = 3 * time.Minute
)

// lease is that record. One without an ID is free.
type leaseRecord struct {
	Version int    `json:"version"`
	ID      string `json:"id,omitempty"` // of the run
	Beat    int    `json:"beat"`
}

type lease struct {
	r       *Registry
	ID      string
	mu      sync.Mutex
	record  leaseRecord
	version storage.Version
}

// takeLease takes the lease if it is free or lapsed, under an id or, if that is
// empty, a new one. CONFLICT.
func (r *Registry) takeLease(ctx context.Context, store storage.Collectible, id string) (*lease, error) {
	rec, err := r.records.Get(ctx, leaseKey)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, err
	}
	l := &lease{r: r, ID: cmp.Or(id, r.facts.newID())}
	if err == nil {
		if err := json.Unmarshal(rec.Value, &l.record); err == nil && l.record.ID != "" {
			now, err := store.StoreTime(ctx)
			if err != nil {
				return nil, err
			}
			if age := now.Sub(rec.ModTime); age < r.leaseLapse {
				return nil, oci.Errorf(oci.CodeConflict, "a garbage collection (%s) is running already; one that died is taken over %s after its last sign of life, which was %s ago", l.record.ID, r.leaseLapse, max(age, 0).Round(time.Second))
			}
		}
	}
	l.version = rec.Version // Absent where there is none
	l.record = leaseRecord{Version: 1, ID: l.ID, Beat: l.record.Beat}
	err = l.put(ctx)
	if errors.Is(err, storage.ErrConflict) {
		return nil, oci.Errorf(oci.CodeConflict, "another garbage collection has just begun")
	}
	return l, err
}

func (l *lease) put(ctx context.Context) error {
	l.record.Beat++
	value, err := json.Marshal(l.record)
	if err != nil {
		return err
	}
	version, err := l.r.records.Put(ctx, leaseKey, value, l.version)
	if err == nil {
		l.version = version
	}
	return err
}

// keep renews the lease until stop is called. The context it returns ends with
// errLeaseLost when another has taken it.
func (l *lease) keep(ctx context.Context) (running context.Context, stop func()) {
	running, lose := context.WithCancelCause(ctx)
	if l.r.leaseBeat <= 0 {
		return running, func() { lose(nil) }
	}
	done := make(chan struct{})
	beating, end := context.WithCancel(ctx)
	go func() {
		defer close(done)
		for {
			if pause(beating, l.r.leaseBeat) != nil {
				return
			}
			l.mu.Lock()
			err := l.put(beating)
			l.mu.Unlock()
			if errors.Is(err, storage.ErrConflict) {
				lose(errLeaseLost)
				return
			}
		}
	}()
	return running, func() {
		end()
		<-done
		lose(nil)
	}
}

// release makes the lease free, if it still is this one's.
func (l *lease) release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record.ID = ""
	if err := l.put(ctx); err != nil && !errors.Is(err, storage.ErrConflict) {
		return fmt.Errorf("end the collection: %w", err)
	}
	return nil
}
