// Package registry is the registry itself: push, pull, mount, tag, delete and
// list, over the two interfaces of package storage, with no HTTP in it. It
// lays out its records as CNCF distribution does (docs/storage-format.md), and
// writes in an order that leaves garbage after a crash, never a name that
// leads nowhere: blob data, then links, then a manifest's revision link and
// referrer entry, then the tag.
//
// Every error that a client may see is an *oci.Error; any other error is a
// fault of the store.
package registry

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Registry keeps repositories. Its methods may be called concurrently.
type Registry struct {
	blobs   storage.Blobs
	records storage.Records
	rules   Validation
	log     *slog.Logger

	deleted    func(context.Context)
	manifests  manifestCache
	public     publicCache
	pulls      *pullNotes
	facts      *facts
	flights    singleflight.Group // one question for all who ask it at once
	patience   time.Duration      // see awaitDeletion
	pause      func(context.Context, time.Duration) error
	leaseBeat  time.Duration
	leaseLapse time.Duration
	broken     rule // for tests
	// indexStands says that the index has all repositories.
	indexStands atomic.Bool
}

// Validation says what a pushed manifest is held to (distribution's
// "validation" section). The zero value is the strictest: everything that a
// manifest names must have been pushed to its repository.
type Validation struct {
	// Off accepts manifests whose config, layers or children are missing.
	Off bool
	// Platforms says which children of an index must exist.
	Platforms PlatformRule
	// PlatformList holds the "os/architecture" pairs of PlatformsListed.
	PlatformList []string
	// AllowURLs and DenyURLs hold patterns for the URLs of layers that live
	// elsewhere. A URL must match one of AllowURLs, if there are any, and none of
	// DenyURLs.
	AllowURLs, DenyURLs []*regexp.Regexp
}

// PlatformRule is which children of an index must exist when it is pushed.
type PlatformRule int

// The values of validation.manifests.indexes.platforms.
const (
	PlatformsAll PlatformRule = iota
	PlatformsNone
	PlatformsListed
)

// Options are what a registry can do without.
type Options struct {
	Validation Validation
	// Remember is for how long links and blobs that were seen in the store are
	// taken to be there without a look at its epoch record, and so for how long
	// what another instance deleted may still be served by digest. It is for
	// stores that cost a request to ask; 0 asks each time.
	Remember time.Duration
	// Shared is a cache that other instances on the storage have, too; nil for
	// none. It is asked for what this one does not remember, and may forget at any
	// time; what it returns must be what one of them Put.
	Shared SharedCache
	// Deleted is told that something was deleted, or is going to be; nil for nobody.
	Deleted func(ctx context.Context)
	// Now is the clock. The default is time.Now.
	Now func() time.Time
	// Log is the default if it is nil.
	Log *slog.Logger
}

// SharedCache keeps small values for all instances on a storage.
type SharedCache interface {
	Get(ctx context.Context, key string) (value []byte, ok bool)
	// Put does not wait.
	Put(key string, value []byte)
}

// New returns a registry over the two halves of a store.
func New(blobs storage.Blobs, records storage.Records, o Options) *Registry {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Deleted == nil {
		o.Deleted = func(context.Context) {}
	}
	return &Registry{
		blobs: blobs, records: records, rules: o.Validation, log: o.Log, deleted: o.Deleted,
		manifests: newManifestCache(), public: newPublicCache(), pulls: newPullNotes(), facts: newFacts(records, o),
		patience: awaitDeletion, pause: pause, leaseBeat: leaseBeat, leaseLapse: leaseLapse,
	}
}

// Watch looks at the epoch record now and then, so that what was seen in the
// store can be relied on, and keeps the index of repositories. It returns when ctx ends; where nothing is remembered,
// at once.
func (r *Registry) Watch(ctx context.Context) error {
	if !r.facts.on() {
		return nil
	}
	var indexAt time.Time
	oldest := reindexAtStart
	for {
		wait := r.facts.lifetime * 2 / 3
		if _, _, err := r.facts.look(ctx); err != nil && ctx.Err() == nil {
			// The facts grow old, and then the store is asked each time.
			wait = r.facts.lifetime / 6
			r.log.WarnContext(ctx, "the epoch of the storage could not be read", "error", err)
		}
		if now := r.facts.now(); !now.Before(indexAt) {
			indexAt = now.Add(indexLook)
			err := r.reindex(ctx, oldest)
			oldest = reindexEvery
			if err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "the index of repositories could not be made; the catalog walks over all of them until it is", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

// indexLook is how often it is looked whether the index stands, or is old.
const indexLook = 10 * time.Minute

// Look looks at the epoch record now: another instance is known to have deleted
// something.
func (r *Registry) Look(ctx context.Context) error {
	_, _, err := r.facts.look(ctx)
	return err
}

// Epoch is the present epoch of what is remembered. Whoever observes or stores
// something over several requests keeps it from the first to the last.
func (r *Registry) Epoch() Epoch { return r.facts.epoch() }

// fault turns the errors of package storage that are a client's doing into
// *oci.Error, and leaves the others as they are.
func fault(err error) error {
	switch {
	case errors.Is(err, storage.ErrDigestMismatch):
		return &oci.Error{Code: oci.CodeDigestInvalid, Message: "the content does not have the digest that was claimed for it; nothing was stored", Err: err}
	case errors.Is(err, storage.ErrUploadUnknown):
		return &oci.Error{Code: oci.CodeBlobUploadUnknown, Message: "upload unknown: it was finished, cancelled or swept, or never begun; start a new one", Err: err}
	case errors.Is(err, storage.ErrUploadBusy):
		return &oci.Error{Code: oci.CodeTooManyRequests, Message: "another request is still writing to this upload; ask for its status and go on from there", Err: err}
	}
	return err
}
