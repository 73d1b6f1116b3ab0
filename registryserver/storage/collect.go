package storage

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Collectible is what a store of blobs is, too, whose garbage can be collected
// while others write to it. It speaks of both halves of the store. Ask for it
// with As.
type Collectible interface {
	// BlobsBelow is All for the digests whose hex begins with prefix. Several
	// listings may run at once.
	BlobsBelow(ctx context.Context, prefix string) iter.Seq2[BlobInfo, error]
	// Entries is List with times, from the beginning.
	Entries(ctx context.Context, prefix string) iter.Seq2[Entry, error]
	// StoreTime is the time by the clock that ModTime is taken from.
	StoreTime(ctx context.Context) (time.Time, error)
	// PrepareDelete readies a deletion, and deletes nothing. It is called before
	// it is published that the deletion begins.
	PrepareDelete(ctx context.Context, targets []Target) (Deletion, error)
}

// Entry is a record as a listing shows it.
type Entry struct {
	Key     string
	ModTime time.Time
}

// Target is what a Deletion deletes: the record of a key or, if that is "", a
// blob.
type Target struct {
	Key  string
	Blob oci.Digest
}

// Deletion is the deletion of what is garbage, by a process that may be paused at
// any step while others take over and go on. So what it does must have an end
// that the others can know of.
type Deletion interface {
	// Expires is when, by StoreTime, nothing of it can happen any more: what was
	// asked of the store and got no answer. The zero time says that nothing of it
	// happens once Do has returned, and that the Do of another process waits for
	// this one.
	Expires() time.Time
	// Do deletes all targets, unless still returns an error, which it then
	// returns. Where Expires is zero, no other Do deletes anything between still
	// and the end of Do. Targets that are absent are no error. With an error, some
	// may be deleted, and others may yet be until Expires has passed.
	Do(ctx context.Context, still func(context.Context) error) error
}

// ForeignUploads is what a store of blobs may also be: one where CNCF distribution
// leaves uploads that are no records.
type ForeignUploads interface {
	// SweepForeignUploads gives up those that were begun before, and reports how
	// many.
	SweepForeignUploads(ctx context.Context, before time.Time) (int, error)
}

// MaxTargets bounds the targets of one Deletion.
const MaxTargets = 10_000

// Answers notes when a store answered, by its own clock. Those of a store that
// says nothing of it stay zero.
type Answers struct {
	mu   sync.Mutex
	last time.Time
}

type answersKey struct{}

// WatchAnswers returns a context under which the store notes its answers.
func WatchAnswers(ctx context.Context) (context.Context, *Answers) {
	a := &Answers{}
	return context.WithValue(ctx, answersKey{}, a), a
}

// Last is when the store answered last.
func (a *Answers) Last() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// Answered is for stores: the one that is asked under ctx has answered, at that
// time by its clock.
func Answered(ctx context.Context, at time.Time) {
	a, ok := ctx.Value(answersKey{}).(*Answers)
	if !ok || at.IsZero() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if at.After(a.last) {
		a.last = at
	}
}
