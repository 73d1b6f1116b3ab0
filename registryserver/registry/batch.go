package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// A garbage collection deletes in batches. Each is a record, which pushes read and
// change, too: docs/architecture.md has the protocol. A batch is first condemned,
// and written; then entered into the epoch record, where whoever pushes finds it;
// then, after the collector has looked again at what is needed, deleting; then it
// is taken out of the epoch record, and then it is gone.
type batch struct {
	Version int        `json:"version"`
	State   batchState `json:"state"`
	// Changes makes each content of the record another version.
	Changes int `json:"changes"`
	// Expires is when, by the clock of the store, what was asked of it for this
	// batch cannot happen any more.
	Expires time.Time `json:"expires,omitzero"`
	Items   []item    `json:"items"` // in the order of their names
}

type batchState string

const (
	// condemned: who needs an item takes it out.
	condemned batchState = "condemned"
	// deleting: its items are as good as gone. Who needs one waits until the batch
	// is over, and then makes it anew.
	deleting batchState = "deleting"
)

const batchVersion = 1

const (
	gcFolder     = storage.KitRoot + "/gc/"
	batchFolder  = gcFolder + "batches/"
	batchTries   = 50
	mostBatches  = 250  // at once: the epoch record lists them
	mostOfABatch = 2000 // items
)

func batchKey(id string) string { return batchFolder + id }

// span is the names of the first and last item of a batch, so that few batches
// have to be read.
type span struct {
	First string `json:"first"`
	Last  string `json:"last"`
}

func (s span) covers(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return s.First <= name && name <= s.Last })
}

// item is one thing that is deleted: the content of a blob, or records.
type item struct {
	Name string   `json:"name"`
	Why  string   `json:"why,omitempty"`
	Keys []string `json:"keys,omitempty"` // the records; none for a blob
	Size int64    `json:"size,omitempty"`

	modTime time.Time // of what was found; not stored here
}

// The names of items.

func blobItem(canonical oci.Digest) string { return "blob " + canonical.String() }

func layerItem(repo oci.Repository, d oci.Digest) string {
	return "layer " + repo.String() + " " + d.String()
}

func manifestItem(repo oci.Repository, d oci.Digest) string {
	return "manifest " + repo.String() + " " + d.String()
}

func tagItem(repo oci.Repository, tag oci.Tag) string {
	return "tag " + repo.String() + " " + tag.String()
}

// blob returns the digest of the content that the item is.
func (i item) blob() (oci.Digest, bool) {
	if len(i.Keys) > 0 || len(i.Name) < len("blob ") || i.Name[:5] != "blob " {
		return oci.Digest{}, false
	}
	d, err := oci.ParseDigest(i.Name[5:])
	return d, err == nil
}

func (b batch) span() span { return span{b.Items[0].Name, b.Items[len(b.Items)-1].Name} }

// without takes items out, and reports whether there were any.
func (b *batch) without(names func(string) bool) bool {
	n := len(b.Items)
	b.Items = slices.DeleteFunc(b.Items, func(i item) bool { return names(i.Name) })
	return len(b.Items) < n
}

func (b batch) targets() []storage.Target {
	var all []storage.Target
	for _, i := range b.Items {
		if d, ok := i.blob(); ok {
			all = append(all, storage.Target{Blob: d})
		}
		for _, key := range i.Keys {
			all = append(all, storage.Target{Key: key})
		}
	}
	return all
}

func (r *Registry) readBatch(ctx context.Context, id string) (batch, storage.Version, error) {
	var b batch
	rec, err := r.records.Get(ctx, batchKey(id))
	if err != nil {
		return b, "", err
	}
	if b, err = parseBatch(rec.Value); err != nil {
		return b, rec.Version, fmt.Errorf("record %s: %w", batchKey(id), err)
	}
	return b, rec.Version, nil
}

func parseBatch(value []byte) (batch, error) {
	var b batch
	if err := json.Unmarshal(value, &b); err != nil {
		return b, fmt.Errorf("it is damaged: %w", err)
	}
	if b.Version != batchVersion || b.State != condemned && b.State != deleting {
		return b, fmt.Errorf("it is of version %d and state %q, which this server does not know", b.Version, b.State)
	}
	return b, nil
}

func (r *Registry) writeBatch(ctx context.Context, id string, b batch, was storage.Version) (storage.Version, error) {
	b.Version = batchVersion
	b.Changes++
	value, err := json.Marshal(b)
	if err != nil {
		return "", err
	}
	return r.records.Put(ctx, batchKey(id), value, was)
}

// rescue takes what has one of the names out of the batches that the epoch record
// lists, and returns the names of those that are being deleted.
//
// The caller has written what needs them before it has read the record. So
// either it finds them here, or the collector finds what it has written.
func (r *Registry) rescue(ctx context.Context, e epoch, names []string) (going []string, err error) {
	if r.breakRule(skipRescue) {
		return nil, nil
	}
	for _, id := range slices.Sorted(maps.Keys(e.Batches)) {
		if !e.Batches[id].covers(names) {
			continue
		}
		found, err := r.rescueFrom(ctx, id, names)
		if err != nil {
			return nil, fmt.Errorf("look whether a garbage collection deletes what is needed: %w", err)
		}
		going = append(going, found...)
	}
	return going, nil
}

func (r *Registry) rescueFrom(ctx context.Context, id string, names []string) (going []string, err error) {
	for range batchTries {
		b, version, err := r.readBatch(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			return nil, nil // it is over
		}
		if err != nil {
			return nil, err
		}
		wanted := func(name string) bool { return slices.Contains(names, name) }
		if b.State == deleting {
			for _, i := range b.Items {
				if wanted(i.Name) {
					going = append(going, i.Name)
				}
			}
			return going, nil
		}
		if !b.without(wanted) {
			return nil, nil
		}
		if _, err = r.writeBatch(ctx, id, b, version); err == nil || !errors.Is(err, storage.ErrConflict) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("record %s: %d writers came first: %w", batchKey(id), batchTries, storage.ErrConflict)
}

// The rules of the protocol that a test breaks, to see that it finds out.
type rule int

const (
	skipRescue rule = iota + 1
	skipSecondMark
	skipEpoch
	skipPost
	skipExpiry
)

func (r *Registry) breakRule(rule rule) bool { return r.broken == rule }
