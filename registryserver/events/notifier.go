package events

import (
	"context"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

const (
	// lease is for how long one server has an event to itself. Clocks that differ
	// by more make an event arrive twice, never not at all.
	lease = 5 * time.Minute
	// sweepEvery is how often it is looked for events of servers that are gone.
	sweepEvery = time.Minute
	// maxActive bounds the deliveries that one server has in memory, those of one
	// receiver to its share and maxPerReceiver; maxSweep the events that it reads
	// at once. What is beyond waits in the storage.
	maxActive      = 4096
	maxPerReceiver = 512
	maxSweep       = 500
	// maxQueued bounds the events that wait in the storage.
	maxQueued = 20_000
	// maxAge is how long an event is tried.
	maxAge = 24 * time.Hour
	// perReceiver bounds the requests to one receiver at a time.
	perReceiver = 8
	// queueTime is how long the answer to a push may wait for its event's record.
	queueTime = 10 * time.Second
)

// Config is what a Notifier is made of. Only Webhooks and Records are needed.
type Config struct {
	Webhooks *Store
	// Replications are the registries that images are copied to; nil for none.
	Replications Receivers
	Records      storage.Records
	Server       string // the name of this server, shown in events
	UserAgent    string
	ReadOnly     bool              // nothing is written: events are kept in memory only
	Transport    http.RoundTripper // the default is a new one
	Log          *slog.Logger      // the default is slog.Default()
	Now          func() time.Time  // the default is time.Now
	Backoff      time.Duration     // the wait after the first failure; the default is 1 s
	Sweep        time.Duration     // the default is a minute
	MaxQueued    int               // the default is 20,000
}

// Notifier delivers events to webhooks, and to what replicates images.
type Notifier struct {
	Config
	owner    string // of records; another for each start of a server
	webhooks webhooks

	mu     sync.Mutex
	active map[string]*delivery // by event id
	load   map[string]int       // deliveries in memory, by receiver
	slots  map[string]chan struct{}
	wg     sync.WaitGroup
	ended  bool

	queue  backlog
	counts counters
	ctx    context.Context
	cancel context.CancelFunc
}

// delivery is an event on its way.
type delivery struct {
	queued
	key     string // of the record; "" for an event that is only in memory
	version storage.Version
	going   []string // the receivers that there is room for
}

// New returns a notifier; Run makes it take up what was left.
func New(c Config) *Notifier {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Backoff <= 0 {
		c.Backoff = time.Second
	}
	if c.Sweep <= 0 {
		c.Sweep = sweepEvery
	}
	if c.MaxQueued <= 0 {
		c.MaxQueued = maxQueued
	}
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	if c.Replications == nil {
		c.Replications = none{}
	}
	sender := &http.Client{Transport: c.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	n := &Notifier{
		Config: c, owner: newID(), active: make(map[string]*delivery), load: make(map[string]int), slots: make(map[string]chan struct{}),
		queue:    backlog{later: make(map[string]time.Time)},
		counts:   newCounters(),
		webhooks: webhooks{c.Webhooks, sender, c.UserAgent, c.Now},
	}
	n.ctx, n.cancel = context.WithCancel(storage.Background(context.Background()))
	return n
}

// Notify takes an event for delivery. It returns once the event is in the
// storage, so that it is told even if this server dies; pulls and blobs, which
// are many, are only kept in memory. A storage that fails does not undo what
// happened: then the event is in memory, too, and the log says so.
func (n *Notifier) Notify(ctx context.Context, e Event) {
	e.Server = n.Server
	to := slices.Concat(n.webhooks.Matching(e), n.Replications.Matching(e))
	if len(to) == 0 {
		return
	}
	e.ID, e.Time = newID(), n.Now().UTC()
	d := &delivery{queued: queued{Version: queuedVersion, Event: e, To: to, Owner: n.owner, Until: e.Time.Add(lease)}}
	if e.durable() && !n.ReadOnly {
		if n.queue.waiting.Load() >= int64(n.MaxQueued) {
			n.Log.ErrorContext(ctx, "an event is dropped: too many wait already; make the receivers answer, or disable those that never will", "waiting", n.queue.waiting.Load(),
				"receivers", to, "action", e.Action, "repository", e.Repository, "tag", e.Tag)
			n.counts.drop(to)
			return
		}
		parked := !n.roomForAny(d.queued)
		if parked {
			d.Owner, d.Until = "", time.Time{}
		}
		d.key = fmt.Sprintf("%s/%016x-%s", queueFolder, e.Time.UnixNano(), e.ID)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), queueTime)
		defer cancel()
		if err := n.write(ctx, d, storage.Absent); err != nil {
			n.Log.ErrorContext(ctx, "an event could not be stored; if this server stops before it is delivered, it is lost",
				"event", e.ID, "action", e.Action, "repository", e.Repository, "error", err)
			d.key = ""
		} else if n.queue.waiting.Add(1); parked {
			return
		}
	}
	if !n.start(d) && d.key != "" { // the room was gone by then
		n.release(context.WithoutCancel(ctx), d)
	}
}

// start begins to deliver to those receivers that there is room for, and
// reports whether there is one. What has a record and finds no room is found by
// a sweep.
func (n *Notifier) start(d *delivery) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended || n.active[d.Event.ID] != nil {
		return false
	}
	n.admit(d)
	if d.key == "" {
		n.counts.drop(without(d.To, d.going...))
		d.To = slices.Clone(d.going)
	}
	if len(d.going) == 0 {
		return false
	}
	n.active[d.Event.ID] = d
	n.wg.Go(func() { n.run(n.ctx, d) })
	return true
}

// admit makes those receivers of a delivery go that are not going yet and that
// there is room for, and returns them, for who holds mu.
func (n *Notifier) admit(d *delivery) (more []string) {
	for _, name := range without(d.To, d.going...) {
		if n.roomFor(name, d.Event) {
			more = append(more, name)
			n.load[name]++
		}
	}
	d.going = append(d.going, more...)
	return more
}

// join admits to a delivery that goes on for one receiver those others that there
// was no room for: they do not wait for one that is down.
func (n *Notifier) join(d *delivery) (more []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ended {
		return nil
	}
	return n.admit(d)
}

// roomFor reports whether this server can deliver to a receiver now, for who
// holds mu.
func (n *Notifier) roomFor(name string, e Event) bool {
	if n.of(name).Foreign(name) {
		return n.Now().Sub(e.Time) > maxAge // to be given up, by any server
	}
	return n.load[name] < min(maxPerReceiver, max(maxActive/max(n.count(), 1), 1))
}

// Run takes up what other servers left, until ctx ends; then it lets go of what
// it has, so that others take it up at once.
func (n *Notifier) Run(ctx context.Context) {
	for {
		if (n.count() > 0 || n.queue.waiting.Load() > 0) && !n.ReadOnly {
			if err := n.sweep(ctx); err != nil && ctx.Err() == nil {
				n.Log.WarnContext(ctx, "the events that wait could not be listed", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			n.stop(context.WithoutCancel(ctx))
			return
		case <-time.After(n.Sweep - mathrand.N(n.Sweep/10+1)):
		}
	}
}

// stop ends deliveries and gives their events back.
func (n *Notifier) stop(ctx context.Context) {
	n.mu.Lock()
	n.ended = true
	n.mu.Unlock()
	n.cancel()
	n.wg.Wait()
	ctx, cancel := context.WithTimeout(ctx, queueTime)
	defer cancel()
	n.mu.Lock()
	left := n.active
	n.active = make(map[string]*delivery)
	n.mu.Unlock()
	var group errgroup.Group
	group.SetLimit(16)
	for _, d := range left {
		if d.key == "" {
			n.counts.drop(d.To)
			continue
		}
		group.Go(func() error { n.release(ctx, d); return nil })
	}
	_ = group.Wait()
}

// finished ends a delivery to one receiver, and forget that of an event.
func (n *Notifier) finished(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.load[name]--; n.load[name] <= 0 {
		delete(n.load, name)
	}
}

func (n *Notifier) forget(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.active, id)
}

// slot returns what bounds the requests to a receiver.
func (n *Notifier) slot(name string) chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.slots[name]
	if s == nil {
		s = make(chan struct{}, perReceiver)
		n.slots[name] = s
	}
	return s
}

func without(names []string, others ...string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
}
