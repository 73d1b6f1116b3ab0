// Package audit keeps what was done to a registry: who did it, to what, from where,
// and whether they were let. It knows neither HTTP nor what an action means.
//
// An event is put into a buffer at once, and no caller waits for the storage: what
// a process has buffered is lost if it is killed (see Config.Every).
package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Event is one thing that was done, or tried. docs/storage-format.md specifies it.
type Event struct {
	Time       time.Time `json:"time"`
	RequestID  string    `json:"request_id"`
	Action     string    `json:"action"`
	Allowed    bool      `json:"allowed"` // what became of it is the status
	Status     int       `json:"status"`  // of HTTP; 0 if nobody waited for it
	User       string    `json:"user"`    // "" for one who is not known
	Token      string    `json:"token,omitempty"`
	Client     string    `json:"client"` // its address
	UserAgent  string    `json:"user_agent,omitempty"`
	Repository string    `json:"repository,omitempty"`
	Reference  string    `json:"reference,omitempty"` // a tag or digest
	Digest     string    `json:"digest,omitempty"`    // of the manifest
	Tags       []string  `json:"tags,omitempty"`      // that were pushed by the digest
	Method     string    `json:"method"`
	Path       string    `json:"path"`
}

// Folder is where the events lie in a storage: a folder for each day, and in it an
// object for each batch of a process.
const Folder = storage.KitRoot + "/audit/"

const (
	dayFormat  = "2006-01-02"
	timeFormat = "150405.000"
	suffix     = ".jsonl"
	// batchSize is when a batch is written before its time.
	batchSize = 1 << 20
	// mostPending bounds what waits for a storage that does not answer.
	mostPending = 16 << 20
	// lastWrite bounds the end of a process.
	lastWrite = 10 * time.Second
	// sweepEvery is how often old events are looked for.
	sweepEvery = time.Hour
)

// Config says where events go. Records is needed.
type Config struct {
	Records storage.Records
	// Every is how often what was buffered is written, and so how much of it a kill
	// loses. The default is 5 s.
	Every time.Duration
	// Keep is for how long events are kept, in whole days; 0 for ever.
	Keep time.Duration
	Log  *slog.Logger     // the default is slog.Default()
	Now  func() time.Time // the default is time.Now
}

// Log is the events of one process on their way to the storage. It is safe for
// concurrent use.
type Log struct {
	config   Config
	instance string
	full     chan struct{} // a batch is

	mu      sync.Mutex
	open    []byte  // lines of JSON
	sealed  []batch // the oldest first
	pending int     // bytes of both
	dropped int64   // events
	said    int64   // of those, in the log
	batches int

	writing sync.Mutex
}

type batch struct {
	key   string
	lines []byte
}

// New returns a log. Run writes it.
func New(c Config) *Log {
	if c.Every <= 0 {
		c.Every = 5 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Log{config: c, instance: uuid.NewString(), full: make(chan struct{}, 1)}
}

// Add takes an event. It does not wait. If the storage has not answered for long,
// the event is dropped, and counted.
func (l *Log) Add(e Event) {
	line, err := json.Marshal(e)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil || l.pending+len(line) >= mostPending {
		l.dropped++
		return
	}
	l.open = append(append(l.open, line...), '\n')
	l.pending += len(line) + 1
	if len(l.open) >= batchSize {
		l.seal()
		select {
		case l.full <- struct{}{}:
		default:
		}
	}
}

// Dropped is how many events were lost to a storage that did not answer.
func (l *Log) Dropped() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// seal makes a batch of what is open. Its key stays the same however often it is
// written.
func (l *Log) seal() {
	if len(l.open) == 0 {
		return
	}
	now := l.config.Now().UTC()
	l.batches++
	key := fmt.Sprintf("%s%s/%s-%s-%d%s", Folder, now.Format(dayFormat), now.Format(timeFormat), l.instance, l.batches, suffix)
	l.sealed = append(l.sealed, batch{key, l.open})
	l.open = nil
}

// Flush writes all that was added before. What cannot be written stays for the next
// time.
func (l *Log) Flush(ctx context.Context) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.mu.Lock()
	l.seal()
	dropped := l.dropped - l.said
	l.said = l.dropped
	l.mu.Unlock()
	if dropped > 0 {
		l.config.Log.Error("events of the audit log were dropped: the storage does not take them", "events", dropped)
	}
	for {
		l.mu.Lock()
		if len(l.sealed) == 0 {
			l.mu.Unlock()
			return nil
		}
		next := l.sealed[0]
		l.mu.Unlock()
		if _, err := l.config.Records.Put(ctx, next.key, next.lines, storage.Any); err != nil {
			return fmt.Errorf("write the audit log: %w", err)
		}
		l.mu.Lock()
		l.sealed = l.sealed[1:]
		l.pending -= len(next.lines)
		l.mu.Unlock()
	}
}

// Run writes what is added until ctx ends, and then what is left.
func (l *Log) Run(ctx context.Context) error {
	tick := time.NewTicker(l.config.Every)
	defer tick.Stop()
	var swept time.Time
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
			defer cancel()
			if err := l.Flush(ctx); err != nil {
				l.config.Log.Error("the end of the audit log is lost", "error", err)
			}
			return nil
		case <-tick.C:
		case <-l.full:
		}
		if err := l.Flush(ctx); err != nil && ctx.Err() == nil {
			l.config.Log.Error("the audit log cannot be written; it is tried again", "error", err)
		}
		if l.config.Keep <= 0 || l.config.Now().Sub(swept) < sweepEvery {
			continue
		}
		swept = l.config.Now()
		if err := l.Sweep(ctx); err != nil && ctx.Err() == nil {
			l.config.Log.Error("old events of the audit log cannot be removed", "error", err)
		}
	}
}

// Sweep removes the days that ended longer ago than Keep.
func (l *Log) Sweep(ctx context.Context) error {
	first := Folder + l.config.Now().UTC().Add(-l.config.Keep).Format(dayFormat) + "/" // that stays
	var old []string
	for key, err := range l.config.Records.List(ctx, Folder, "") {
		if err != nil {
			return err
		}
		if key >= first {
			break
		}
		if day, _, ok := strings.Cut(strings.TrimPrefix(key, Folder), "/"); ok && isDay(day) {
			old = append(old, key)
		}
	}
	for _, key := range old {
		if err := l.config.Records.Delete(ctx, key, storage.Any); err != nil {
			return err
		}
	}
	return nil
}

func isDay(s string) bool {
	_, err := time.Parse(dayFormat, s)
	return err == nil
}

// Read passes on the events of a storage that were written since a time, which is
// a little after they happened, in the order in which each process has written
// them.
func Read(ctx context.Context, records storage.Records, since time.Time, do func(Event) error) error {
	since = since.UTC()
	from := Folder + since.Format(dayFormat) + "/" + since.Format(timeFormat)
	for key, err := range records.List(ctx, Folder, from) {
		if err != nil {
			return err
		}
		if !strings.HasSuffix(key, suffix) {
			continue // foreign
		}
		rec, err := records.Get(ctx, key)
		if errors.Is(err, storage.ErrNotFound) {
			continue // swept meanwhile
		}
		if err != nil {
			return err
		}
		events, err := Parse(rec.Value)
		if err != nil {
			return fmt.Errorf("record %s: %w", key, err)
		}
		for _, e := range events {
			if err := do(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// Parse reads the events of an object. What a later version has added is left out.
func Parse(lines []byte) ([]Event, error) {
	var events []Event
	for line := range bytes.Lines(lines) {
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return events, fmt.Errorf("event %d of the audit log: %w", len(events)+1, err)
		}
		events = append(events, e)
	}
	return events, nil
}
