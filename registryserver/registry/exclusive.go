package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// exclusiveKey is the record that says that no program but ours writes to the
// storage. Others know nothing of the protocol by which garbage is deleted.
const exclusiveKey = storage.KitRoot + "/exclusive"

// ExclusiveMark says whether the storage is ours alone.
type ExclusiveMark struct {
	Exclusive bool
	Since     time.Time // by the clock of the store
	By        string    // who has marked it: "created" if the storage was empty
}

type exclusiveRecord struct {
	Version int    `json:"version"`
	By      string `json:"by"`
	ID      string `json:"id"` // another with each mark
}

// Exclusive returns the mark.
func (r *Registry) Exclusive(ctx context.Context) (ExclusiveMark, error) {
	rec, err := r.records.Get(ctx, exclusiveKey)
	if errors.Is(err, storage.ErrNotFound) {
		return ExclusiveMark{}, nil
	}
	if err != nil {
		return ExclusiveMark{}, err
	}
	var mark exclusiveRecord
	if err := json.Unmarshal(rec.Value, &mark); err != nil || mark.Version != 1 {
		return ExclusiveMark{}, fmt.Errorf("record %s is not what this server writes; set it anew with registryserver exclusive", exclusiveKey)
	}
	return ExclusiveMark{Exclusive: true, Since: rec.ModTime, By: mark.By}, nil
}

// MarkExclusive says from now on that no other program writes to the storage.
func (r *Registry) MarkExclusive(ctx context.Context, by string) error {
	return r.markExclusive(ctx, by, storage.Any)
}

func (r *Registry) markExclusive(ctx context.Context, by string, was storage.Version) error {
	value, err := json.Marshal(exclusiveRecord{Version: 1, By: by, ID: r.facts.newID()})
	if err != nil {
		return err
	}
	_, err = r.records.Put(ctx, exclusiveKey, value, was)
	return err
}

// UnmarkExclusive says that other programs may write. Nothing is deleted any more.
func (r *Registry) UnmarkExclusive(ctx context.Context) error {
	return r.records.Delete(ctx, exclusiveKey, storage.Any)
}

// MarkCreated marks a storage that holds nothing yet.
func (r *Registry) MarkCreated(ctx context.Context) error {
	mark, err := r.Exclusive(ctx)
	if err != nil || mark.Exclusive {
		return err
	}
	for _, err := range r.records.List(ctx, storage.DistributionRoot+"/", "") {
		return err // something is there
	}
	err = r.markExclusive(ctx, "created", storage.Absent)
	if errors.Is(err, storage.ErrConflict) {
		err = nil
	}
	return err
}

func notExclusive() error {
	return oci.Errorf(oci.CodeConflict, "the storage is not marked as exclusive, so another registry may write to it, and nothing can be deleted safely: make sure that only servers of Registry Kit use it, then run registryserver exclusive, or PUT /api/v1/storage/exclusive")
}
