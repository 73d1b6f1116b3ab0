package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// queueFolder is where events wait, one record each, oldest first
// (docs/storage-format.md).
const queueFolder = storage.KitRoot + "/events"

// queued is an event that waits, as it lies in the storage.
type queued struct {
	Version int       `json:"version"`
	Event   Event     `json:"event"`
	To      []string  `json:"to"`    // the receivers that have not confirmed it
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

// backlog is what one server knows of the queue.
type backlog struct {
	waiting atomic.Int64
	// later are events of others and when to look again, by key; after is the key
	// that the last sweep read last. Both are Run's alone.
	later map[string]time.Time
	after string
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

// release lets any server have an event. If it fails, the lease has to end.
func (n *Notifier) release(ctx context.Context, d *delivery) {
	d.Owner, d.Until = "", time.Time{}
	err := n.write(ctx, d, d.version)
	if err != nil && !errors.Is(err, storage.ErrConflict) {
		n.Log.WarnContext(ctx, "an event waits until its lease ends", "event", d.Event.ID, "error", err)
	}
}

// renew keeps an event for this server, and reports whether it still has it.
func (n *Notifier) renew(ctx context.Context, d *delivery) bool {
	if d.key == "" {
		return true
	}
	d.Until = n.Now().Add(lease)
	err := n.write(ctx, d, d.version)
	return !errors.Is(err, storage.ErrConflict) && !errors.Is(err, storage.ErrNotFound)
}

// done removes the record of an event that all receivers have.
func (n *Notifier) done(ctx context.Context, d *delivery) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), queueTime)
	defer stop()
	if err := n.Records.Delete(ctx, d.key, storage.Any); err != nil {
		n.Log.WarnContext(ctx, "an event was delivered, and its record could not be deleted: it will be delivered again", "event", d.Event.ID, "error", err)
		return
	}
	n.queue.waiting.Add(-1)
}

// sweep takes over events that are nobody's. Where there are many, each sweep
// goes on where the last one ended, so that those of a receiver that is down
// never hide those of one that is up.
func (n *Notifier) sweep(ctx context.Context) error {
	maps.DeleteFunc(n.queue.later, func(_ string, until time.Time) bool { return !n.Now().Before(until) })
	var waiting int64
	var keys []string
	for key, err := range n.Records.List(ctx, queueFolder+"/", "") {
		if err != nil {
			return err
		}
		if waiting++; waiting > int64(n.MaxQueued) {
			break
		}
		if _, ok := n.queue.later[key]; !ok && !n.delivers(key) {
			keys = append(keys, key)
		}
	}
	n.queue.waiting.Store(waiting)
	if len(keys) == 0 {
		return nil
	}
	// Another server may have made a receiver that these are for.
	for _, r := range []Receivers{n.webhooks, n.Replications} {
		if err := r.Refresh(ctx); err != nil {
			return err
		}
	}
	first, found := slices.BinarySearch(keys, n.queue.after)
	if found {
		first++
	}
	keys = slices.Concat(keys[first:], keys[:first])
	for _, key := range keys[:min(len(keys), maxSweep)] {
		until, err := n.takeOver(ctx, key)
		if err != nil {
			return err
		}
		n.queue.later[key], n.queue.after = until, key
	}
	return nil
}

// delivers reports whether this server delivers the event of a key.
func (n *Notifier) delivers(key string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.active[key[strings.LastIndexByte(key, '-')+1:]] != nil
}

// takeOver takes an event if it is nobody's, and returns when to look again.
func (n *Notifier) takeOver(ctx context.Context, key string) (time.Time, error) {
	again := n.Now().Add(n.Sweep / 2) // at the next sweep
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
	if n.Now().Before(q.Until) {
		return q.Until, nil
	}
	if !n.roomForAny(q) {
		return again, nil
	}
	d := &delivery{queued: q, key: key}
	d.Owner, d.Until = n.owner, n.Now().Add(lease)
	if err := n.write(ctx, d, rec.Version); err != nil {
		if errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrNotFound) {
			return again, nil // somebody else has taken it
		}
		return again, err
	}
	if len(d.To) == 0 {
		n.done(ctx, d)
	} else if !n.start(d) {
		n.release(ctx, d)
	}
	return again, nil
}

// roomForAny reports whether there is something that this server can do for an
// event now.
func (n *Notifier) roomForAny(q queued) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.ended && (len(q.To) == 0 || slices.ContainsFunc(q.To, func(name string) bool { return n.roomFor(name, q.Event) }))
}
