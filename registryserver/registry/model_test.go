package registry

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// The model runs the real code of pushes and collections against an in-memory
// store, one operation of the store at a time, in every order that there is: at
// each step any actor may go on, or die; a deletion may get no answer and happen
// later, until it expires; and the clock of the store may go on. States that were
// seen before, which are the content of the store and all that each actor has been
// told, are not explored again.

// sum is a hash.
type sum [16]byte

func (s sum) and(parts ...any) sum {
	h := sha256.New()
	h.Write(s[:])
	for _, p := range parts {
		switch p := p.(type) {
		case []byte:
			h.Write(binary.AppendVarint(nil, int64(len(p))))
			h.Write(p)
		case string:
			h.Write(binary.AppendVarint(nil, int64(len(p))))
			_, _ = io.WriteString(h, p)
		case sum:
			h.Write(p[:])
		default:
			fmt.Fprint(h, p, "|")
		}
	}
	return sum(h.Sum(nil)[:16])
}

// model is a scenario.
type model struct {
	name string
	// setup fills the store; its registry asks it directly. candidates are found
	// by a run before.
	setup func(t *testing.T, r *Registry)
	// actors are what runs at once. Each has an instance of its own.
	actors []actorSpec
	// remember has instances remember what they see.
	remember bool
	// expiring: deletions are requests that may come late, as in a bucket.
	expiring bool
	// dates: the store tells when it answers.
	dates bool
	// crashes and ticks are how many of each there may be.
	crashes, ticks int
	// losses is how many deletions may get no answer.
	losses int
	// switches is how often one may go on though another could that went before;
	// 0 for no bound.
	switches int
	broken   rule
}

type actorSpec struct {
	name string
	// warm is done before all begins, so that the instance remembers it.
	warm func(ctx context.Context, r *Registry)
	// do returns what the store must have once it has returned nil.
	do func(ctx context.Context, r *Registry) (acknowledged, error)
}

// acknowledged is what an actor was told to be stored.
type acknowledged struct {
	repo     oci.Repository
	manifest oci.Digest
	tag      string
}

// world is one execution of a model.
type world struct {
	m        *model
	mem      *storagetest.Memory
	blobs    storage.Blobs
	records  storage.Records
	actors   []*actor
	clock    time.Time
	ticks    int
	crashes  int
	losses   int
	failure  string
	switches int
	last     *actor
	changes  int // of the store
	hashed   int // storeHash: of changes-1
	hashOf   sum
	late     []*lateDelete
	lock     *actor
	events   chan *actor // an actor waits for its turn, or has ended
	trace    []string
}

type lateDelete struct {
	targets []storage.Target
	expires time.Time
}

type actor struct {
	w       *world
	name    string
	turn    chan bool // false: the actor is dead
	cancel  context.CancelFunc
	seen    sum // all that it was told
	what    string
	pausing bool
	changes int  // when it paused last
	ended   bool // set by the actor
	done    bool // and known
	warming bool // what is done before all begins
	crashed bool
	failing bool        // the operation may fail, and happen later
	enabled func() bool // nil: it may go on
	answer  int
	late    time.Duration // by its own clock
	ids     int
	ack     *acknowledged
	err     error
}

// step waits for the actor's turn, and notes what it is told in it.
func (a *actor) step(what string, do func() []any) {
	if a.warming {
		do()
		return
	}
	a.what = what
	a.w.events <- a
	if !<-a.turn {
		runtime.Goexit()
	}
	a.pausing, a.failing, a.enabled = false, false, nil
	a.seen = a.seen.and(what)
	a.seen = a.seen.and(do()...)
}

// local reports whether nobody else ever asks for a key, or changes it: then it
// does not matter when this actor does.
func (a *actor) local(key string) bool {
	rest, ok := strings.CutPrefix(key, storage.KitRoot+"/")
	if !ok {
		return false
	}
	return rest == "exclusive" || strings.HasPrefix(rest, "repository-settings") || a.w.m.collectors() == 1 &&
		(rest == "gc/lease" || strings.HasPrefix(rest, "gc/marks") || strings.HasPrefix(rest, "gc/candidates") || strings.HasPrefix(rest, "gc/reports"))
}

func (m *model) collectors() (n int) {
	for _, a := range m.actors {
		if strings.HasPrefix(a.name, "collector") {
			n++
		}
	}
	return n
}

func (a *actor) on(what, key string, do func() []any) {
	if a.local(key) {
		do()
		return
	}
	a.step(what+" "+key, do)
}

// answered tells the time of the store.
func (a *actor) answered(ctx context.Context) any {
	if !a.w.m.dates {
		return 0
	}
	storage.Answered(ctx, a.w.clock)
	return a.w.clock.Unix()
}

type modelRecords struct{ a *actor }

func (r modelRecords) Get(ctx context.Context, key string) (rec storage.Record, err error) {
	r.a.on("get", key, func() []any {
		rec, err = r.a.w.records.Get(ctx, key)
		return []any{rec.Value, rec.ModTime.Unix(), err != nil, r.a.answered(ctx)}
	})
	return rec, err
}

func (r modelRecords) Put(ctx context.Context, key string, value []byte, was storage.Version) (v storage.Version, err error) {
	r.a.on("put", key, func() []any {
		v, err = r.a.w.records.Put(ctx, key, value, was)
		r.a.w.changes++
		return []any{err != nil, r.a.answered(ctx)}
	})
	return v, err
}

func (r modelRecords) Delete(ctx context.Context, key string, was storage.Version) (err error) {
	r.a.on("delete", key, func() []any {
		err = r.a.w.records.Delete(ctx, key, was)
		r.a.w.changes++
		return []any{err != nil}
	})
	return err
}

func (r modelRecords) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return atOnce(r.a, "list", prefix, func() iter.Seq2[string, error] { return r.a.w.records.List(ctx, prefix, after) })
}

func (r modelRecords) Children(ctx context.Context, dir, after string) iter.Seq2[string, error] {
	return atOnce(r.a, "children", dir, func() iter.Seq2[string, error] { return r.a.w.records.Children(ctx, dir, after) })
}

// atOnce is a listing in one step.
func atOnce[T any](a *actor, what, key string, list func() iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var all []T
		a.on(what, key, func() []any {
			var told []any
			for found, err := range list() {
				if err != nil {
					panic(err)
				}
				all = append(all, found)
				told = append(told, found)
			}
			return told
		})
		for _, found := range all {
			if !yield(found, nil) {
				return
			}
		}
	}
}

type modelBlobs struct {
	storage.Blobs // what is not asked of it here
	a             *actor
}

func (b modelBlobs) Stat(ctx context.Context, d oci.Digest) (info storage.BlobInfo, err error) {
	b.a.step("stat "+d.Hex()[:6], func() []any {
		info, err = b.a.w.blobs.Stat(ctx, d)
		return []any{err != nil}
	})
	return info, err
}

func (b modelBlobs) Open(ctx context.Context, d oci.Digest, offset int64) (r io.ReadCloser, err error) {
	b.a.step("open "+d.Hex()[:6], func() []any {
		r, err = b.a.w.blobs.Open(ctx, d, offset)
		return []any{err != nil}
	})
	return r, err
}

func (b modelBlobs) Put(ctx context.Context, content []byte) (info storage.BlobInfo, err error) {
	b.a.step("put blob "+oci.FromBytes(content).Hex()[:6], func() []any {
		info, err = b.a.w.blobs.Put(ctx, content)
		b.a.w.changes++
		return []any{err != nil}
	})
	return info, err
}

func (b modelBlobs) BlobsBelow(ctx context.Context, prefix string) iter.Seq2[storage.BlobInfo, error] {
	c := b.a.w.blobs.(storage.Collectible)
	return atOnce(b.a, "blobs", prefix, func() iter.Seq2[storage.BlobInfo, error] { return c.BlobsBelow(ctx, prefix) })
}

func (b modelBlobs) Entries(ctx context.Context, prefix string) iter.Seq2[storage.Entry, error] {
	c := b.a.w.blobs.(storage.Collectible)
	return atOnce(b.a, "entries", prefix, func() iter.Seq2[storage.Entry, error] { return c.Entries(ctx, prefix) })
}

func (b modelBlobs) StoreTime(context.Context) (now time.Time, err error) {
	read := func() []any {
		now = b.a.w.clock
		return []any{now.Unix()}
	}
	if b.a.w.m.ticks == 0 {
		read()
		return now, nil
	}
	b.a.step("time", read)
	return now, nil
}

func (b modelBlobs) PrepareDelete(_ context.Context, targets []storage.Target) (d storage.Deletion, err error) {
	made := &modelDeletion{b: b, targets: slices.Clone(targets)}
	if b.a.w.m.expiring {
		b.a.step("sign", func() []any {
			made.expires = b.a.w.clock.Add(time.Minute)
			return []any{made.expires.Unix()}
		})
	}
	return made, nil
}

type modelDeletion struct {
	b       modelBlobs
	targets []storage.Target
	expires time.Time
}

func (d *modelDeletion) Expires() time.Time { return d.expires }

var errNoAnswer = errors.New("no answer")

// Do holds a lock on a disk, and deletes one thing at a time. In a bucket the
// request may be refused because it has expired, or get no answer.
func (d *modelDeletion) Do(ctx context.Context, still func(context.Context) error) (err error) {
	a := d.b.a
	if !a.w.m.expiring {
		a.enabled = func() bool { return a.w.lock == nil || a.w.lock.crashed }
		a.step("lock", func() []any { a.w.lock = a; return nil })
		defer func() {
			if a.w.lock == a && !a.crashed {
				a.w.lock = nil
			}
		}()
		if err := still(ctx); err != nil {
			return err
		}
		for _, t := range d.targets {
			a.step("unlink", func() []any { a.w.apply([]storage.Target{t}); return nil })
		}
		return nil
	}
	if err := still(ctx); err != nil {
		return err
	}
	a.failing = true
	a.step("delete all", func() []any {
		switch {
		case !a.w.clock.Before(d.expires):
			err = errors.New("expired")
		case a.answer == 1: // it is on its way
			a.w.late = append(a.w.late, &lateDelete{d.targets, d.expires})
			err = errNoAnswer
		default:
			a.w.apply(d.targets)
		}
		return []any{err != nil}
	})
	return err
}

func (w *world) apply(targets []storage.Target) {
	w.changes++
	for _, t := range targets {
		if t.Key != "" {
			_ = w.records.Delete(context.Background(), t.Key, storage.Any)
		} else {
			_ = w.blobs.Delete(context.Background(), t.Blob)
		}
	}
}
