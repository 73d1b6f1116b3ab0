package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// queueFolder is where events wait, one record each, oldest first.
const queueFolder = storage.KitRoot + "/events"

const (
	// lease is for how long one server has an event to itself. Clocks that differ
	// by more make an event arrive twice, never not at all.
	lease = 5 * time.Minute
	// sweepEvery is how often it is looked for events of servers that are gone.
	sweepEvery = time.Minute
	// maxActive bounds the events that one server has in memory, maxSweep those that
	// it takes over at once. What is beyond waits in the storage.
	maxActive = 4096
	maxSweep  = 500
	// maxAge is how long an event is tried.
	maxAge = 24 * time.Hour
	// perWebhook bounds the requests to one receiver at a time.
	perWebhook = 8
	// queueTime is how long the answer to a push may wait for its event's record.
	queueTime = 10 * time.Second
)

// Config is what a Notifier is made of. Only Webhooks and Records are needed.
type Config struct {
	Webhooks  *Store
	Records   storage.Records
	Server    string // the name of this server, shown in events
	UserAgent string
	ReadOnly  bool              // nothing is written: events are kept in memory only
	Transport http.RoundTripper // the default is a new one
	Log       *slog.Logger      // the default is slog.Default()
	Now       func() time.Time  // the default is time.Now
	Backoff   time.Duration     // the wait after the first failure; the default is 1 s
	Sweep     time.Duration     // the default is a minute
}

// Notifier delivers events to webhooks.
type Notifier struct {
	Config
	owner string // of records; another for each start of a server
	http  *http.Client

	mu     sync.Mutex
	active map[string]*delivery // by event id
	slots  map[string]chan struct{}
	wg     sync.WaitGroup
	ended  bool
	// later are events of others and when their lease ends, by key.
	later map[string]time.Time

	counts counters
	ctx    context.Context
	cancel context.CancelFunc
}

// queued is an event that waits, as it lies in the storage.
type queued struct {
	Version int       `json:"version"`
	Event   Event     `json:"event"`
	To      []string  `json:"to"`    // the webhooks that have not confirmed it
	Owner   string    `json:"owner"` // the server that delivers it
	Until   time.Time `json:"until"` // when another may
}

const queuedVersion = 1

// parseQueued parses a record of the queue.
func parseQueued(value []byte) (queued, error) {
	var q queued
	if err := json.Unmarshal(value, &q); err != nil {
		return q, fmt.Errorf("it is not the JSON that this server writes: %w", err)
	}
	if q.Version != queuedVersion {
		return q, fmt.Errorf("it has format %d, and this server knows only %d", q.Version, queuedVersion)
	}
	if q.Event.ID == "" {
		return q, errors.New("its event has no id")
	}
	return q, nil
}

// delivery is an event on its way.
type delivery struct {
	queued
	key     string // of the record; "" for an event that is only in memory
	version storage.Version
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
	if c.Transport == nil {
		c.Transport = newTransport()
	}
	n := &Notifier{
		Config: c, owner: newID(), active: make(map[string]*delivery), slots: make(map[string]chan struct{}), later: make(map[string]time.Time),
		counts: newCounters(),
		http:   &http.Client{Transport: c.Transport, Timeout: tryTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	return n
}

// Wants reports whether anybody is to hear of an event like this.
func (n *Notifier) Wants(e Event) bool { return len(n.Webhooks.matching(e)) > 0 }

// Notify takes an event for delivery. It returns once the event is in the
// storage, so that it is told even if this server dies; pulls, which are many,
// are only kept in memory. A storage that fails does not undo what happened:
// then the event is in memory, too, and the log says so.
func (n *Notifier) Notify(ctx context.Context, e Event) {
	e.Server = n.Server
	to := n.Webhooks.matching(e)
	if len(to) == 0 {
		return
	}
	e.ID, e.Time = newID(), n.Now().UTC()
	d := &delivery{queued: queued{Version: queuedVersion, Event: e, To: to, Owner: n.owner, Until: e.Time.Add(lease)}}
	if e.Action != Pull && !n.ReadOnly {
		d.key = fmt.Sprintf("%s/%016x-%s", queueFolder, e.Time.UnixNano(), e.ID)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), queueTime)
		defer cancel()
		if err := n.write(ctx, d, storage.Absent); err != nil {
			n.Log.ErrorContext(ctx, "an event could not be stored; if this server stops before it is delivered, it is lost",
				"event", e.ID, "action", e.Action, "repository", e.Repository, "error", err)
			d.key = ""
		}
	}
	n.start(d)
}

func (n *Notifier) write(ctx context.Context, d *delivery, was storage.Version) error {
	value, err := json.Marshal(d.queued)
	if err != nil {
		return err
	}
	version, err := n.Records.Put(ctx, d.key, value, was)
	if err == nil {
		d.version = version
	}
	return err
}

// start begins to deliver, if there is room. What has a record and finds none
// is found by a sweep.
func (n *Notifier) start(d *delivery) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.ended || n.active[d.Event.ID] != nil:
		return
	case len(n.active) >= maxActive:
		if d.key == "" {
			n.counts.drop(d.To)
		}
		return
	}
	n.active[d.Event.ID] = d
	n.wg.Go(func() { n.run(n.ctx, d) })
}

// Run takes up what other servers left, until ctx ends; then it lets go of what
// it has, so that others take it up at once.
func (n *Notifier) Run(ctx context.Context) {
	for {
		if n.Webhooks.any() && !n.ReadOnly {
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

// sweep takes over events whose lease has ended.
func (n *Notifier) sweep(ctx context.Context) error {
	seen := make(map[string]time.Time)
	taken := 0
	for key, err := range n.Records.List(ctx, queueFolder+"/", "") {
		if err != nil {
			return err
		}
		if len(seen) >= maxActive || taken >= maxSweep {
			break
		}
		if until, ok := n.later[key]; ok && n.Now().Before(until) {
			seen[key] = until
			continue
		}
		until, err := n.takeOver(ctx, key)
		if err != nil {
			return err
		}
		seen[key] = until
		taken++
	}
	n.later = seen
	return nil
}

// takeOver takes an event if it is nobody's, and returns when to look again.
func (n *Notifier) takeOver(ctx context.Context, key string) (time.Time, error) {
	again := n.Now().Add(lease / 2)
	rec, err := n.Records.Get(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return again, nil
	}
	if err != nil {
		return again, err
	}
	q, err := parseQueued(rec.Value)
	if err != nil {
		n.Log.ErrorContext(ctx, "an event that waits cannot be read; delete its record, or wait for the server that can", "record", key, "error", err)
		return n.Now().Add(time.Hour), nil
	}
	n.mu.Lock()
	mine := n.active[q.Event.ID] != nil
	n.mu.Unlock()
	if mine || n.Now().Before(q.Until) {
		return q.Until, nil
	}
	d := &delivery{queued: q, key: key}
	d.Owner, d.Until = n.owner, n.Now().Add(lease)
	if err := n.write(ctx, d, rec.Version); err != nil {
		if errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrNotFound) {
			return again, nil // somebody else has taken it
		}
		return again, err
	}
	n.start(d)
	return d.Until, nil
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
	defer n.mu.Unlock()
	for _, d := range n.active {
		if d.key == "" {
			n.counts.drop(d.To)
			continue
		}
		d.Owner, d.Until = "", time.Time{}
		if err := n.write(ctx, d, d.version); err != nil && ctx.Err() != nil {
			return // others take them up when the leases end
		}
	}
}

// forget ends a delivery.
func (n *Notifier) forget(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.active, id)
}

// slot returns what bounds the requests to a webhook.
func (n *Notifier) slot(name string) chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	s := n.slots[name]
	if s == nil {
		s = make(chan struct{}, perWebhook)
		n.slots[name] = s
	}
	return s
}

func without(names []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(other string) bool { return other == name })
}
