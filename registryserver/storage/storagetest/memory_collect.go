package storagetest

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

func (b memoryBlobs) BlobsBelow(ctx context.Context, prefix string) iter.Seq2[storage.BlobInfo, error] {
	return func(yield func(storage.BlobInfo, error) bool) {
		for info, err := range b.All(ctx) {
			if err == nil && !strings.HasPrefix(info.Digest.Hex(), prefix) {
				continue
			}
			if !yield(info, err) {
				return
			}
		}
	}
}

func (b memoryBlobs) Entries(ctx context.Context, prefix string) iter.Seq2[storage.Entry, error] {
	return func(yield func(storage.Entry, error) bool) {
		r := memoryRecords(b)
		for key, err := range r.List(ctx, prefix, "") {
			e := storage.Entry{Key: key}
			if err == nil {
				b.m.mu.Lock()
				rec, there := b.m.records[key]
				b.m.mu.Unlock()
				if !there {
					continue
				}
				e.ModTime = rec.ModTime
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func (b memoryBlobs) StoreTime(ctx context.Context) (time.Time, error) { return b.m.Now(), ctx.Err() }

func (b memoryBlobs) PrepareDelete(ctx context.Context, targets []storage.Target) (storage.Deletion, error) {
	return &memoryDeletion{b, slices.Clone(targets)}, ctx.Err()
}

type memoryDeletion struct {
	b       memoryBlobs
	targets []storage.Target
}

func (*memoryDeletion) Expires() time.Time { return time.Time{} }

func (d *memoryDeletion) Do(ctx context.Context, still func(context.Context) error) error {
	d.b.m.collecting.Lock()
	defer d.b.m.collecting.Unlock()
	if err := still(ctx); err != nil {
		return err
	}
	for _, t := range d.targets {
		err := d.b.Delete(ctx, t.Blob)
		if t.Key != "" {
			err = memoryRecords(d.b).Delete(ctx, t.Key, storage.Any)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
