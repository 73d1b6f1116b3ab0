package registry

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// The bounds of facts: at most some 40 MiB.
const (
	rememberedLinks = 64 << 10
	rememberedBlobs = 64 << 10
)

// facts remembers which links and blobs the store was seen to have, so that
// asking again takes no request. Only deletions end such a fact, and each of
// them changes the epoch: all facts are of the epoch that was known before they
// were observed, and go when another is seen. So
//
//   - a read may be answered from memory for as long as the epoch was looked at
//     within the lifetime: what another instance deleted is served that long;
//   - a push may rely on memory once it has looked at the epoch itself, and
//     nothing is being deleted (see settled).
//
// That something is absent is never remembered.
type facts struct {
	records  storage.Records
	lifetime time.Duration // 0: nothing is remembered
	now      func() time.Time
	shared   SharedCache // or nil
	newID    func() string
	asked    atomic.Int64 // how often something was looked for
	found    atomic.Int64 // and was known

	mu      sync.Mutex
	known   Epoch
	latest  epoch     // the record of known
	checked time.Time // when the epoch was last looked at
	links   *lru.Cache[string, oci.Digest]
	blobs   *lru.Cache[oci.Digest, storage.BlobInfo]
}

// Epoch is the number of an epoch: of the one that was known before something
// was observed, for what is to be remembered of it. noEpoch is before the first
// look.
type Epoch int64

const noEpoch Epoch = -1

func newFacts(records storage.Records, o Options) *facts {
	f := &facts{records: records, lifetime: o.Remember, now: o.Now, shared: o.Shared, newID: uuid.NewString, known: noEpoch}
	if !f.on() {
		return f
	}
	var err error
	if f.links, err = lru.New[string, oci.Digest](rememberedLinks); err == nil {
		f.blobs, err = lru.New[oci.Digest, storage.BlobInfo](rememberedBlobs)
	}
	if err != nil {
		panic(err) // only for a size below one
	}
	return f
}

func (f *facts) on() bool { return f.lifetime > 0 }

// look reads the epoch, and reports whether nothing is being deleted.
func (f *facts) look(ctx context.Context) (e epoch, quiet bool, err error) {
	asked := f.now()
	e, _, err = readEpoch(ctx, f.records)
	if err == nil && e.ID == "" && f.on() && f.shared != nil {
		// What is shared is told apart by the record's id, so there must be one.
		e, err = f.advance(ctx, func(*epoch) {})
	}
	if err != nil {
		return e, false, err
	}
	f.sawAt(e, asked)
	return e, e.quiet(asked), nil
}

// present is the epoch as it was looked at lately, or as it is now.
func (f *facts) present(ctx context.Context) (epoch, error) {
	if f.on() {
		f.mu.Lock()
		e, ok := f.latest, f.usable()
		f.mu.Unlock()
		if ok {
			return e, nil
		}
	}
	e, _, err := f.look(ctx)
	return e, err
}

// saw takes note of what the epoch is.
func (f *facts) saw(e epoch) { f.sawAt(e, f.now()) }

func (f *facts) sawAt(e epoch, at time.Time) {
	if !f.on() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if Epoch(e.Number) < f.known {
		return // an answer that others overtook
	}
	if Epoch(e.Number) > f.known || e.ID != f.latest.ID {
		f.latest = e // whose maps nobody changes
		f.known = Epoch(e.Number)
		f.links.Purge()
		f.blobs.Purge()
	}
	if at.After(f.checked) {
		f.checked = at
	}
}

// epoch returns what a fact has to be added with. It is taken before the store
// is asked or written to.
func (f *facts) epoch() Epoch {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known
}

// usable: the epoch has been looked at lately. The caller has the lock.
func (f *facts) usable() bool { return f.known != noEpoch && f.now().Sub(f.checked) <= f.lifetime }

func (f *facts) link(key string) (oci.Digest, bool) {
	if !f.on() {
		return oci.Digest{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.usable() {
		return oci.Digest{}, false
	}
	return recalled(f, f.links, key)
}

func (f *facts) blob(d oci.Digest) (storage.BlobInfo, bool) {
	if !f.on() {
		return storage.BlobInfo{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.usable() {
		return storage.BlobInfo{}, false
	}
	return recalled(f, f.blobs, d)
}

func recalled[K comparable, V any](f *facts, known *lru.Cache[K, V], key K) (V, bool) {
	value, ok := known.Get(key)
	f.asked.Add(1)
	if ok {
		f.found.Add(1)
	}
	return value, ok
}

// CacheStats is how often a fact was looked for in memory, and how often it was
// found there or in the shared cache.
type CacheStats struct{ Requests, Hits int64 }

// CacheStats counts from the start.
func (r *Registry) CacheStats() CacheStats {
	return CacheStats{Requests: r.facts.asked.Load(), Hits: r.facts.found.Load()}
}

// addLink remembers what a link holds.
func (f *facts) addLink(seen Epoch, key string, d oci.Digest) {
	f.shareLink(seen, key, d)
	f.keepLink(seen, key, d)
}

func (f *facts) keepLink(seen Epoch, key string, d oci.Digest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.on() && seen == f.known && seen != noEpoch {
		f.links.Add(key, d)
	}
}

// addBlob remembers that a blob is there.
func (f *facts) addBlob(seen Epoch, info storage.BlobInfo) {
	f.shareBlob(seen, info)
	f.keepBlob(seen, info)
}

func (f *facts) keepBlob(seen Epoch, info storage.BlobInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.on() && seen == f.known && seen != noEpoch {
		f.blobs.Add(info.Digest, info)
	}
}
