package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// choice is what happens next: an actor goes on (with an answer, where there are
// several), or dies; a late deletion happens; the clock goes on.
type choice struct {
	kind   string
	actor  int
	answer int
}

// exploration is a search through all executions of a model.
type exploration struct {
	t      *testing.T
	m      *model
	mem    *storagetest.Memory
	seen   map[sum]struct{}
	todo   [][]choice
	runs   int
	ends   int
	acked  int // executions at whose end somebody was acknowledged
	broken string
	cut    bool // there are more states
}

// explore returns what went wrong in some execution, or "".
func explore(t *testing.T, m *model, most int) *exploration {
	t.Helper()
	x := &exploration{t: t, m: m, mem: m.before(t), seen: map[sum]struct{}{}, todo: [][]choice{nil}}
	for len(x.todo) > 0 && x.broken == "" {
		next := x.todo[len(x.todo)-1]
		x.todo = x.todo[:len(x.todo)-1]
		x.run(next)
		if x.runs++; len(x.seen) > most {
			x.cut = true
			break
		}
	}
	return x
}

// run executes the model along a path, and then goes on until the end or a state
// that was seen.
func (x *exploration) run(path []choice) {
	w := newWorld(x.m, x.mem)
	defer w.stop()
	for _, c := range path {
		w.take(c)
	}
	for {
		state := w.hash()
		if _, ok := x.seen[state]; ok {
			return
		}
		x.seen[state] = struct{}{}
		choices := w.choices()
		if len(choices) == 0 {
			x.ends++
			if n := w.check(); n > 0 {
				x.acked++
			} else if n < 0 {
				x.broken = w.failure + "\n" + strings.Join(w.trace, "\n")
			}
			return
		}
		for _, c := range choices[1:] {
			x.todo = append(x.todo, append(slices.Clone(path), c))
		}
		path = append(slices.Clip(path), choices[0])
		w.take(choices[0])
	}
}

var modelStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// before is the store that all executions begin with.
func (m *model) before(t *testing.T) *storagetest.Memory {
	mem := storagetest.NewMemory()
	mem.Now = func() time.Time { return modelStart.Add(-72 * time.Hour) }
	direct := New(mem.Blobs(), mem.Records(), Options{Now: mem.Now})
	ids := 0
	direct.facts.newID = func() string { ids++; return fmt.Sprintf("setup-%d", ids) }
	if err := direct.MarkExclusive(context.Background(), "test"); err != nil {
		t.Fatal(err)
	}
	m.setup(t, direct)
	return mem
}

func newWorld(m *model, mem *storagetest.Memory) *world {
	w := &world{m: m, mem: mem.Clone(), clock: modelStart, events: make(chan *actor)}
	w.mem.Now = func() time.Time { return w.clock }
	w.blobs, w.records = w.mem.Blobs(), w.mem.Records()
	ctx := context.Background()
	for i, spec := range m.actors {
		a := &actor{w: w, name: spec.name, turn: make(chan bool)}
		w.actors = append(w.actors, a)
		w.start(ctx, i, a, spec)
	}
	return w
}

// start lets an actor come to its first operation.
func (w *world) start(ctx context.Context, i int, a *actor, spec actorSpec) {
	o := Options{Now: func() time.Time { return modelStart.Add(a.late) }}
	if w.m.remember {
		o.Remember = time.Hour
	}
	r := New(modelBlobs{w.blobs, a}, modelRecords{a}, o)
	r.broken = w.m.broken
	r.leaseBeat, r.leaseLapse = 0, 0
	r.facts.newID = func() string { a.ids++; return fmt.Sprintf("%d-%d", i, a.ids) }
	r.pause = func(ctx context.Context, _ time.Duration) error {
		a.pausing, a.changes = true, w.changes
		a.step("pause", func() []any { return nil })
		return ctx.Err()
	}
	ctx, a.cancel = context.WithCancel(ctx)
	go func() {
		defer func() {
			a.ended = true
			w.events <- a
		}()
		if spec.warm != nil {
			a.warming = true
			spec.warm(ctx, r)
			a.warming = false
		}
		ack, err := spec.do(ctx, r)
		if a.err = err; err == nil {
			a.ack = &ack
		}
	}()
	w.await()
}

// await returns when an actor waits for its turn, or has ended.
func (w *world) await() {
	a := <-w.events
	a.done = a.ended
}

// choices are what can happen now.
func (w *world) choices() []choice {
	var all, pausing []choice
	alive := false
	last := w.last != nil && !w.last.done && !w.last.crashed && !(w.last.pausing && w.last.changes == w.changes) && (w.last.enabled == nil || w.last.enabled())
	for i, a := range w.actors {
		if a.done || a.crashed {
			continue
		}
		alive = true
		switch {
		case a.enabled != nil && !a.enabled():
		case last && a != w.last && w.m.switches > 0 && w.switches == w.m.switches:
		case a.pausing && a.changes == w.changes:
			pausing = append(pausing, choice{kind: "go", actor: i})
		default:
			all = append(all, choice{kind: "go", actor: i})
			if a.failing && w.losses < w.m.losses {
				all = append(all, choice{kind: "go", actor: i, answer: 1})
			}
		}
	}
	stuck := len(all) == 0 && len(w.late) == 0
	if stuck {
		for _, c := range pausing { // nothing else would ever end their waiting
			if a := w.actors[c.actor]; a.late < 2*time.Hour || w.ticks >= w.m.ticks+3 {
				all = append(all, c)
			}
		}
	}
	if !alive && len(w.late) == 0 {
		return nil
	}
	for i, a := range w.actors {
		if w.crashes < w.m.crashes && !a.done && !a.crashed {
			all = append(all, choice{kind: "crash", actor: i})
		}
	}
	for i, l := range w.late {
		if w.clock.Before(l.expires) {
			all = append(all, choice{kind: "late", actor: i})
		}
	}
	if w.ticks < w.m.ticks || stuck && w.ticks < w.m.ticks+3 || len(all) == 0 {
		all = append(all, choice{kind: "tick"})
	}
	return all
}

func (w *world) take(c choice) {
	switch c.kind {
	case "go":
		a := w.actors[c.actor]
		what := a.what
		if l := w.last; l != nil && l != a && !l.done && !l.crashed && !(l.pausing && l.changes == w.changes) && (l.enabled == nil || l.enabled()) {
			w.switches++
		}
		w.last = a
		if a.pausing && a.changes == w.changes {
			a.late += time.Hour // it gives up
		}
		if c.answer == 1 {
			w.losses++
		}
		a.answer = c.answer
		a.turn <- true
		w.await()
		w.note("%s: %s %d", a.name, what, c.answer)
	case "crash":
		w.crashes++
		w.actors[c.actor].crashed = true
		w.note("%s dies before %s", w.actors[c.actor].name, w.actors[c.actor].what)
	case "late":
		l := w.late[c.actor]
		w.late = slices.Delete(slices.Clone(w.late), c.actor, c.actor+1)
		w.apply(l.targets)
		w.note("a late deletion happens")
	case "tick":
		w.ticks++
		w.clock = w.clock.Add(90 * time.Second)
		w.late = slices.DeleteFunc(slices.Clone(w.late), func(l *lateDelete) bool { return !w.clock.Before(l.expires) })
		w.changes++
		w.note("a minute and a half goes by")
	}
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// stop ends all actors.
func (w *world) stop() {
	for _, a := range w.actors {
		a.cancel()
		for !a.done {
			select {
			case a.turn <- false:
			case b := <-w.events:
				b.done = b.ended
			}
		}
	}
}

// hash is the state: the store, and what each actor knows.
func (w *world) hash() sum {
	var h sum
	parts := []any{w.storeHash()}
	for _, a := range w.actors {
		parts = append(parts, a.seen, a.what, a.done, a.crashed, a.late, a.pausing && a.changes == w.changes, w.lock == a, w.m.switches > 0 && w.last == a)
	}
	for _, l := range w.late {
		parts = append(parts, fmt.Sprint(l.targets), l.expires.Unix())
	}
	return h.and(append(parts, w.clock.Unix(), w.ticks, w.crashes, w.losses, w.switches*min(w.m.switches, 1))...)
}

func (w *world) storeHash() sum {
	if w.hashed == w.changes+1 {
		return w.hashOf
	}
	ctx := context.Background()
	var parts []any
	for info, err := range w.blobs.All(ctx) {
		parts = append(parts, info.Digest.String(), info.ModTime.Unix(), err)
	}
	for key, err := range w.records.List(ctx, "", "") {
		rec, _ := w.records.Get(ctx, key)
		parts = append(parts, key, string(rec.Version), rec.ModTime.Unix(), err)
	}
	w.hashed, w.hashOf = w.changes+1, sum{}.and(parts...)
	return w.hashOf
}

// check returns how many pushes were acknowledged at the end, or -1 and sets
// failure if one has lost something.
func (w *world) check() int {
	n := 0
	for _, a := range w.actors {
		if a.ack == nil || a.ack.manifest.IsZero() {
			continue
		}
		n++
		if err := w.whole(*a.ack); err != nil {
			w.failure = fmt.Sprintf("%s was acknowledged: %v", a.name, err)
			return -1
		}
	}
	return n
}

func (w *world) whole(ack acknowledged) error {
	ctx := context.Background()
	r := New(w.blobs, w.records, Options{Now: w.mem.Now})
	if ack.tag != "" {
		rec, err := w.records.Get(ctx, tagsDir(ack.repo)+"/"+ack.tag+"/current/link")
		if err != nil || string(rec.Value) != ack.manifest.String() {
			return fmt.Errorf("its tag: %q, %w", rec.Value, err)
		}
	}
	return w.wholeManifest(ctx, r, ack.repo, ack.manifest)
}

func (w *world) wholeManifest(ctx context.Context, r *Registry, repo oci.Repository, d oci.Digest) error {
	canonical, err := r.revision(ctx, repo, d, store)
	if err != nil {
		return err
	}
	content, err := r.readManifest(ctx, canonical)
	if err != nil {
		return err
	}
	m, err := oci.ParseManifest("", content)
	if err != nil {
		return err
	}
	for _, b := range m.Blobs() {
		if _, err := r.statBlob(ctx, repo, b.Digest, store); err != nil {
			return fmt.Errorf("%s: %w", b.Digest, err)
		}
	}
	for _, child := range m.Manifests {
		if err := w.wholeManifest(ctx, r, repo, child.Digest); err != nil {
			return err
		}
	}
	return nil
}
