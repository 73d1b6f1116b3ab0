package storagetest

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

var errNotCollectible = errors.New("the store is not Collectible")

func (b faultyBlobs) collectible() (storage.Collectible, error) {
	c, ok := storage.As[storage.Collectible](b.Blobs)
	if !ok {
		return nil, errNotCollectible
	}
	return c, nil
}

func (b faultyBlobs) BlobsBelow(ctx context.Context, prefix string) iter.Seq2[storage.BlobInfo, error] {
	fault := b.f.decide("Collectible.BlobsBelow", prefix)
	c, err := b.collectible()
	if err != nil {
		return func(yield func(storage.BlobInfo, error) bool) { yield(storage.BlobInfo{}, err) }
	}
	return listed(fault, c.BlobsBelow(ctx, prefix))
}

func (b faultyBlobs) Entries(ctx context.Context, prefix string) iter.Seq2[storage.Entry, error] {
	fault := b.f.decide("Collectible.Entries", prefix)
	c, err := b.collectible()
	if err != nil {
		return func(yield func(storage.Entry, error) bool) { yield(storage.Entry{}, err) }
	}
	return listed(fault, c.Entries(ctx, prefix))
}

func (b faultyBlobs) StoreTime(ctx context.Context) (time.Time, error) {
	if err := b.f.read("Collectible.StoreTime", ""); err != nil {
		return time.Time{}, err
	}
	c, err := b.collectible()
	if err != nil {
		return time.Time{}, err
	}
	return c.StoreTime(ctx)
}

func (b faultyBlobs) PrepareDelete(ctx context.Context, targets []storage.Target) (storage.Deletion, error) {
	if err := b.f.read("Collectible.PrepareDelete", ""); err != nil {
		return nil, err
	}
	c, err := b.collectible()
	if err != nil {
		return nil, err
	}
	d, err := c.PrepareDelete(ctx, targets)
	return faultyDeletion{b.f, d}, err
}

// faultyDeletion may also happen later, but only if it says when that ends.
type faultyDeletion struct {
	f *Faults
	storage.Deletion
}

func (d faultyDeletion) Do(ctx context.Context, still func(context.Context) error) error {
	fault := d.f.decide("Deletion.Do", "")
	if fault == AppliedLater && d.Expires().IsZero() {
		fault = NotApplied
	}
	return d.f.apply(ctx, fault, func(ctx context.Context) error { return d.Deletion.Do(ctx, still) })
}
