package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// epochKey is the record that every deletion of links or content changes before
// it begins and after it has ended. A garbage collection changes it in any store,
// other deletions only where instances remember what they have seen.
const epochKey = storage.KitRoot + "/epoch"

// epoch is that record. As long as it stays as it is and nothing is being
// deleted, what an instance has seen in the store is still there.
type epoch struct {
	Number int64 `json:"epoch"`
	// ID is another in each storage, also if one took the other's place.
	ID string `json:"id"`
	// Deleting has the deletions under way, by an id of each, and when they
	// began. One that failed stays, since the store may still apply it.
	Deleting map[string]time.Time `json:"deleting,omitempty"`
	// Batches are those of a garbage collection that is under way: see batch.
	Batches map[string]span `json:"batches,omitempty"`
}

// quiet reports whether nothing is being deleted at that time.
func (e epoch) quiet(at time.Time) bool {
	for _, began := range e.Deleting {
		if at.Sub(began) <= deletionEnds {
			return false
		}
	}
	return len(e.Batches) == 0
}

// deletionEnds is when a deletion that never ended is over all the same: its
// requests to the store were signed, and by then are refused.
const deletionEnds = time.Hour

// epochTries bounds how often a change of the record is tried again because
// another came first.
const epochTries = 50

func readEpoch(ctx context.Context, records storage.Records) (epoch, storage.Version, error) {
	var e epoch
	rec, err := records.Get(ctx, epochKey)
	if errors.Is(err, storage.ErrNotFound) {
		return e, storage.Absent, nil // nothing was ever deleted
	}
	if err != nil {
		return e, "", err
	}
	if err := json.Unmarshal(rec.Value, &e); err != nil {
		return e, rec.Version, fmt.Errorf("record %s is damaged: %w; remove it while no registry runs on this storage", epochKey, err)
	}
	return e, rec.Version, nil
}

// advance moves the record on, with change applied, and returns what it is now.
func (f *facts) advance(ctx context.Context, change func(*epoch)) (epoch, error) {
	for range epochTries {
		e, version, err := readEpoch(ctx, f.records)
		if err != nil {
			return e, err
		}
		e.Number++
		if e.ID == "" {
			e.ID = f.newID()
		}
		if e.Deleting == nil {
			e.Deleting = map[string]time.Time{}
		}
		if e.Batches == nil {
			e.Batches = map[string]span{}
		}
		now := f.now()
		maps.DeleteFunc(e.Deleting, func(_ string, began time.Time) bool { return now.Sub(began) > deletionEnds })
		change(&e)
		value, err := json.Marshal(e)
		if err != nil {
			return e, err
		}
		_, err = f.records.Put(ctx, epochKey, value, version)
		if err == nil || !errors.Is(err, storage.ErrConflict) {
			return e, err
		}
	}
	return epoch{}, fmt.Errorf("record %s: %d writers came first: %w", epochKey, epochTries, storage.ErrConflict)
}

// deleting runs a deletion of links or content between two changes of the
// epoch, where instances remember what they have seen.
func (r *Registry) deleting(ctx context.Context, do func() error) error {
	if !r.facts.on() {
		return do()
	}
	id := r.facts.newID()
	e, err := r.facts.advance(ctx, func(e *epoch) { e.Deleting[id] = r.facts.now().UTC() })
	if err != nil {
		return fmt.Errorf("begin a deletion: %w", err)
	}
	r.facts.saw(e)
	defer r.deleted(ctx)
	if err := do(); err != nil {
		return err
	}
	// The client's end is no reason to leave it open.
	e, err = r.facts.advance(context.WithoutCancel(ctx), func(e *epoch) { delete(e.Deleting, id) })
	if err != nil {
		return fmt.Errorf("end a deletion: %w", err)
	}
	r.facts.saw(e)
	return nil
}
