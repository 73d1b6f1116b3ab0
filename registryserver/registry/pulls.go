package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// When manifests were pulled is noted to the day, and without a write for each
// pull: each server remembers what was pulled today, and now and then writes what
// is new as one record. Collections merge the records.
const (
	pullsFolder   = storage.KitRoot + "/pulls/"
	pullsSinceKey = pullsFolder + "since"
	pullRecords   = pullsFolder + "records/"

	pullsHeader = "registrykit pulls 1\n"
	// pullsRemembered bounds what a server knows to be noted today; what it has
	// forgotten it notes once more.
	pullsRemembered = 65_536
	// pullsOfARecord bounds a record, and what is not written yet. Of 430 bytes at
	// most each, they fit storage.MaxRecordSize.
	pullsOfARecord = 10_000
	// pullsCompacted is from how many records on a collection merges them.
	pullsCompacted = 48
)

// pullNotes is what a server remembers of pulls.
type pullNotes struct {
	mu      sync.Mutex
	on      bool
	noted   *lru.Cache[string, int] // the day of the last pull, by pullName
	pending map[string]int          // not written yet
	full    chan struct{}           // wakes the writer
	lost    int                     // for which there was no room
	began   bool                    // the record that says since when is there
}

func newPullNotes() *pullNotes {
	noted, err := lru.New[string, int](pullsRemembered)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &pullNotes{noted: noted, pending: map[string]int{}, full: make(chan struct{}, 1)}
}

func pullName(repo oci.Repository, reference string) string { return repo.String() + " " + reference }

// dayOf is the number of a day since 1970, and dayEnd when it is over.
func dayOf(t time.Time) int { return int(t.Unix() / int64(oci.Day/time.Second)) }

func dayEnd(day int) time.Time { return time.Unix(0, 0).UTC().Add(time.Duration(day+1) * oci.Day) }

// Pulled notes that a manifest was pulled, by a tag or a digest. It does not wait.
func (r *Registry) Pulled(repo oci.Repository, ref oci.Reference) {
	n := r.pulls
	name, today := pullName(repo, ref.String()), dayOf(r.facts.now())
	n.mu.Lock()
	defer n.mu.Unlock()
	if day, ok := n.noted.Get(name); !n.on || ok && day == today {
		return
	}
	if _, ok := n.pending[name]; !ok && len(n.pending) >= pullsOfARecord {
		n.lost++
		return // not in noted: the next pull tries again
	}
	n.pending[name] = today
	n.noted.Add(name, today)
	if len(n.pending) == pullsOfARecord {
		select {
		case n.full <- struct{}{}:
		default:
		}
	}
}

// NotesPulls reports whether Pulled notes pulls.
func (r *Registry) NotesPulls() bool {
	r.pulls.mu.Lock()
	defer r.pulls.mu.Unlock()
	return r.pulls.on
}

// NotePulls has Pulled note pulls, and writes them at each interval, when many are
// new, and when ctx ends. Where the interval is 0, pulls are not noted: then no
// rule takes what was not pulled for unused.
func (r *Registry) NotePulls(ctx context.Context, interval time.Duration) error {
	ctx = storage.Background(ctx)
	if interval <= 0 {
		if err := r.records.Delete(ctx, pullsSinceKey, storage.Any); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "that pulls are not noted could not be written", "record", pullsSinceKey, "error", err)
		}
		return nil
	}
	r.pulls.mu.Lock()
	r.pulls.on = true
	r.pulls.mu.Unlock()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			r.flushPulls(last)
			return nil
		case <-tick.C:
		case <-r.pulls.full:
		}
		r.flushPulls(ctx)
	}
}

func (r *Registry) flushPulls(ctx context.Context) {
	if err := r.FlushPulls(ctx); err != nil && ctx.Err() == nil {
		r.log.WarnContext(ctx, "when images were pulled could not be written; it is tried again", "error", err)
	}
}

// FlushPulls writes the pulls that are new.
func (r *Registry) FlushPulls(ctx context.Context) error {
	n := r.pulls
	n.mu.Lock()
	pending, lost, began := n.pending, n.lost, n.began
	n.pending, n.lost = map[string]int{}, 0
	n.mu.Unlock()
	if lost > 0 {
		r.log.WarnContext(ctx, "more was pulled than fits the memory for it; retention may take some images for pulled longer ago than they were", "lost", lost)
	}
	err := r.beginPulls(ctx, began)
	if err == nil && len(pending) > 0 {
		err = r.writePulls(ctx, pending)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		n.began = true
		return nil
	}
	for name, day := range pending {
		if len(n.pending) < pullsOfARecord {
			n.pending[name] = max(day, n.pending[name])
		}
	}
	return err
}

// beginPulls writes since when pulls are noted, by the clock of the store.
func (r *Registry) beginPulls(ctx context.Context, began bool) error {
	if began {
		return nil
	}
	_, err := r.records.Put(ctx, pullsSinceKey, []byte(pullsHeader), storage.Absent)
	if errors.Is(err, storage.ErrConflict) {
		err = nil
	}
	return err
}

func (r *Registry) writePulls(ctx context.Context, pulls map[string]int) error {
	var b bytes.Buffer
	b.WriteString(pullsHeader)
	for name, day := range pulls {
		fmt.Fprintf(&b, "%d %s\n", day, name)
	}
	_, err := r.records.Put(ctx, pullRecords+r.facts.newID(), b.Bytes(), storage.Any)
	return err
}

// parsePulls calls note for each line of a record.
func parsePulls(value []byte, note func(repo oci.Repository, name string, day int)) error {
	text, ok := strings.CutPrefix(string(value), pullsHeader)
	if !ok {
		return errors.New("it is not what this server writes")
	}
	for line := range strings.Lines(text) {
		number, name, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		day, err := strconv.Atoi(number)
		repository, reference, ok := strings.Cut(name, " ")
		if err != nil || !ok || day < 0 || day > 1_000_000 {
			return errors.New("it is not what this server writes")
		}
		repo, err := oci.ParseRepository(repository)
		if err != nil {
			return err
		}
		if _, err := oci.ParseReference(reference); err != nil {
			return err
		}
		note(repo, name, day)
	}
	return nil
}

// pullTimes is when what was pulled last.
type pullTimes struct {
	since time.Time // pulls are noted since; zero: they are not
	days  map[string]int
}

// of returns when one of the references was pulled last: the end of that day.
func (p pullTimes) of(repo oci.Repository, references ...string) (last time.Time) {
	for _, reference := range references {
		if day, ok := p.days[pullName(repo, reference)]; ok {
			last = latest(last, dayEnd(day))
		}
	}
	return last
}

// day is the last day on which something was pulled by that reference; 0 for none.
func (p pullTimes) day(repo oci.Repository, reference string) int {
	return p.days[pullName(repo, reference)]
}

// readPulls reads when what was pulled from the repositories that want says.
func (r *Registry) readPulls(ctx context.Context, want func(oci.Repository) bool) (pullTimes, error) {
	p := pullTimes{days: map[string]int{}}
	rec, err := r.records.Get(ctx, pullsSinceKey)
	if errors.Is(err, storage.ErrNotFound) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.since = rec.ModTime
	_, err = r.eachPullRecord(ctx, func(repo oci.Repository, name string, day int) {
		if want(repo) {
			p.days[name] = max(day, p.days[name])
		}
	})
	return p, err
}

// pullReads bounds how often records are read again because they were merged.
const pullReads = 5

// eachPullRecord reads all records, and returns their keys. It may tell of a pull
// more than once.
func (r *Registry) eachPullRecord(ctx context.Context, note func(repo oci.Repository, name string, day int)) (keys []string, err error) {
	for range pullReads {
		if keys, err = r.readPullRecords(ctx, note); !errors.Is(err, storage.ErrNotFound) {
			break
		}
	}
	return keys, err
}

// readPullRecords is a try of eachPullRecord. storage.ErrNotFound if a collection
// has merged a record meanwhile, into one that the listing may not have had.
func (r *Registry) readPullRecords(ctx context.Context, note func(repo oci.Repository, name string, day int)) ([]string, error) {
	var keys []string
	for key, err := range r.records.List(ctx, pullRecords, "") {
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	for _, key := range keys {
		rec, err := r.records.Get(ctx, key)
		if err != nil {
			return nil, fmt.Errorf("record %s: %w", key, err)
		}
		if err := parsePulls(rec.Value, note); err != nil {
			return nil, fmt.Errorf("record %s: %w; without it, what was pulled may count as unused: remove %s, too, if you remove it", key, err, pullsSinceKey)
		}
	}
	return keys, nil
}

// compactPulls merges records where there are many, without what is gone.
func (c *collector) compactPulls(ctx context.Context) error {
	n := 0
	for _, err := range c.r.records.List(ctx, pullRecords, "") {
		if err != nil {
			return err
		}
		n++
	}
	if n < pullsCompacted {
		return nil
	}
	there := c.references()
	days := map[string]int{}
	keys, err := c.r.eachPullRecord(ctx, func(_ oci.Repository, name string, day int) {
		if there[name] {
			days[name] = max(day, days[name])
		}
	})
	if err != nil {
		return err
	}
	part := map[string]int{}
	for name, day := range days {
		part[name] = day
		if len(part) == pullsOfARecord {
			if err := c.r.writePulls(ctx, part); err != nil {
				return err
			}
			clear(part)
		}
	}
	if len(part) > 0 {
		if err := c.r.writePulls(ctx, part); err != nil {
			return err
		}
	}
	for _, key := range keys {
		if err := c.r.records.Delete(ctx, key, storage.Any); err != nil {
			return err
		}
	}
	return nil
}

// references are the names that what was listed can be pulled by.
func (c *collector) references() map[string]bool {
	there := map[string]bool{}
	for _, rs := range c.repos {
		for _, t := range rs.tags {
			there[pullName(rs.repo, t.tag.String())] = true
		}
		for d := range rs.revisions {
			there[pullName(rs.repo, d.String())] = true
		}
	}
	return there
}
