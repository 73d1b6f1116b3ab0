package events

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// world is a storage with webhooks, and what they are sent to.
type world struct {
	*testing.T
	store    *Store
	records  storage.Records
	faults   *storagetest.Faults
	logs     *lockedBuffer
	receiver *httptest.Server
	passed   atomic.Int64 // what the clock is ahead

	mu     sync.Mutex
	answer func(w http.ResponseWriter, hook string) // nil: 200
	got    map[string][]string                      // ids, by webhook
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func newWorld(t *testing.T, answer func(w http.ResponseWriter, hook string), hooks ...string) *world {
	t.Helper()
	w := &world{T: t, faults: new(storagetest.Faults), logs: new(lockedBuffer), answer: answer, got: make(map[string][]string)}
	w.records = w.faults.Records(storagetest.NewMemory().Records())
	w.receiver = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		hook := strings.TrimPrefix(r.URL.Path, "/")
		w.mu.Lock()
		w.got[hook] = append(w.got[hook], r.Header.Get("Webhook-Id"))
		answer := w.answer
		w.mu.Unlock()
		if answer != nil {
			answer(rw, hook)
		}
	}))
	t.Cleanup(w.receiver.Close)
	w.store = w.open(nil)
	for _, hook := range hooks {
		w.create(hook)
	}
	return w
}

func (w *world) answers(answer func(http.ResponseWriter, string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.passed.Load())) }

func (w *world) log() *slog.Logger { return slog.New(slog.NewTextHandler(w.logs, nil)) }

func (w *world) open(endpoints []Endpoint) *Store {
	w.Helper()
	keys, err := auth.NewKeyring("the http secret")
	if err != nil {
		w.Fatal(err)
	}
	s, err := OpenStore(w.Context(), StoreConfig{Records: w.records, Keys: keys, Log: w.log(), Now: w.now, Endpoints: endpoints})
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) create(hook string) {
	w.Helper()
	_, err := w.store.Create(w.Context(), Spec{Name: hook, URL: w.receiver.URL + "/" + hook, Format: Distribution, Actions: Actions(), Blobs: true, Enabled: true}, "")
	if err != nil {
		w.Fatal(err)
	}
}

// start runs a notifier as a server does; what it returns ends it.
func (w *world) start(edit func(*Config)) (*Notifier, func()) {
	c := Config{Webhooks: w.store, Records: w.records, Server: "server", Log: w.log(), Now: w.now, Backoff: time.Millisecond, Sweep: 20 * time.Millisecond}
	if edit != nil {
		edit(&c)
	}
	n := New(c)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { n.Run(ctx); close(ended) }()
	stop := sync.OnceFunc(func() { cancel(); <-ended })
	w.Cleanup(stop)
	return n, stop
}

// push makes an event, and returns its id.
func (w *world) push(n *Notifier, tag string) {
	n.Notify(w.Context(), Event{Action: Push, Repository: "team/app", Tag: tag, Digest: oci.FromBytes([]byte(tag)).String()})
}

// heard returns how many events a webhook was told of.
func (w *world) heard(hook string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := slices.Clone(w.got[hook])
	slices.Sort(ids)
	return len(slices.Compact(ids))
}

func (w *world) tries(hook string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.got[hook])
}

// queue returns how many events wait in the storage.
func (w *world) queue() (n int) {
	for _, err := range w.records.List(context.Background(), queueFolder+"/", "") {
		if err != nil {
			w.Fatal(err)
		}
		n++
	}
	return n
}

func (w *world) soon(what string, holds func() bool) {
	w.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("not so after 30 s: %s\n%s", what, w.logs)
		}
	}
}

func status(code int) func(http.ResponseWriter, string) {
	return func(w http.ResponseWriter, _ string) { w.WriteHeader(code) }
}

// TestDeadServer: an event of a server that ended without a word is delivered by
// another once its lease is over, and not before.
func TestDeadServer(t *testing.T) {
	w := newWorld(t, status(500), "ci")
	first, _ := w.start(nil)
	w.push(first, "v1")
	w.soon("a try", func() bool { return w.tries("ci") > 0 })
	first.cancel() // dead: it neither renews nor gives back
	first.wg.Wait()
	tries := w.tries("ci")
	second, _ := w.start(nil)
	time.Sleep(100 * time.Millisecond)
	if w.tries("ci") != tries {
		t.Error("the event was taken over during the lease of another")
	}
	w.passed.Store(int64(lease + time.Second))
	w.soon("another server to take over", func() bool { return w.tries("ci") > tries })
	if got := testutil.ToFloat64(second.counts.pending.WithLabelValues("ci")); got != 1 || w.heard("ci") != 1 {
		t.Errorf("%v pending, %d events", got, w.heard("ci"))
	}
}

// TestRoom: a receiver that is down neither keeps events from others nor fills the
// memory, and gets what waited when it is up again.
func TestRoom(t *testing.T) {
	var up atomic.Bool
	w := newWorld(t, func(w http.ResponseWriter, hook string) {
		if hook == "dead" && !up.Load() {
			w.WriteHeader(500)
		}
	}, "dead", "alive")
	n, stop := w.start(nil)
	const events = maxPerReceiver + 200
	for i := range events {
		w.push(n, fmt.Sprintf("v%d", i))
	}
	w.soon("all events at the one that is up", func() bool { return w.heard("alive") == events })
	w.soon("no more in memory than the bound", func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.load["dead"] > maxPerReceiver {
			t.Fatalf("%d deliveries in memory", n.load["dead"])
		}
		return len(n.active) <= maxPerReceiver
	})
	if got := w.queue(); got != events {
		t.Errorf("%d events wait, want %d", got, events)
	}
	stop()
	up.Store(true)
	w.start(func(c *Config) { c.Sweep = 5 * time.Millisecond })
	w.soon("what waited", func() bool { return w.heard("dead") == events && w.queue() == 0 })
}

// TestNobodyWaitsForTheDead: a receiver that an event found no room for has it as
// soon as there is some, also while the event is tried again at another.
func TestNobodyWaitsForTheDead(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, hook string) {
		if hook == "dead" {
			w.WriteHeader(500)
		}
	}, "dead", "alive")
	n, _ := w.start(nil)
	load := func(change int) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.load["alive"] += change
	}
	load(maxPerReceiver)
	w.push(n, "v1")
	w.soon("a try at the one that is down", func() bool { return w.tries("dead") > 0 })
	if got := w.heard("alive"); got != 0 {
		t.Errorf("%d events where there is no room", got)
	}
	load(-maxPerReceiver)
	w.soon("the event at the one that is up", func() bool { return w.heard("alive") == 1 })
}

// TestQueueIsBounded: beyond the bound, events are dropped, and the log and the
// metrics say so.
func TestQueueIsBounded(t *testing.T) {
	w := newWorld(t, status(500), "ci")
	// It does not run: a sweep that begins before a push and ends after it would count anew without it.
	n := New(Config{Webhooks: w.store, Records: w.records, Server: "server", Log: w.log(), Now: w.now, Backoff: time.Millisecond, Sweep: time.Hour, MaxQueued: 10})
	t.Cleanup(func() { n.stop(context.WithoutCancel(t.Context())) })
	for i := range 15 {
		w.push(n, fmt.Sprintf("v%d", i))
	}
	if got := w.queue(); got != 10 {
		t.Errorf("%d events wait", got)
	}
	if got := testutil.ToFloat64(n.counts.events.WithLabelValues("ci", "Dropped")); got != 5 || !strings.Contains(w.logs.String(), "an event is dropped") {
		t.Errorf("%v dropped\n%s", got, w.logs)
	}
}

// TestPullsStayInMemory: what is not durable is told without a request to the
// storage, within the bound.
func TestPullsStayInMemory(t *testing.T) {
	block := make(chan struct{})
	w := newWorld(t, func(http.ResponseWriter, string) { <-block }, "ci")
	w.faults.On(nil) // counts from here
	n, _ := w.start(func(c *Config) { c.Sweep = time.Hour })
	w.soon("the first sweep", func() bool { return w.faults.Calls() > 0 })
	before := w.faults.Calls()
	for _, e := range []Event{{Action: Pull}, {Action: Mount, Blob: true}, {Action: Push, Blob: true}, {Action: Delete, Blob: true}} {
		e.Repository = "a"
		n.Notify(t.Context(), e)
	}
	for range maxPerReceiver {
		n.Notify(t.Context(), Event{Action: Pull, Repository: "a"})
	}
	if got := testutil.ToFloat64(n.counts.events.WithLabelValues("ci", "Dropped")); got != 4 {
		t.Errorf("%v dropped, want the 4 that there is no room for", got)
	}
	close(block)
	w.soon("the pulls", func() bool { return w.heard("ci") == maxPerReceiver })
	if got := w.faults.Calls() - before; got != 0 {
		t.Errorf("%d operations of the storage", got)
	}
}

// TestNobodyListens: without a webhook that wants it, an event costs nothing.
func TestNobodyListens(t *testing.T) {
	w := newWorld(t, nil)
	n, stop := w.start(nil)
	before := w.faults.Calls()
	w.push(n, "v1")
	time.Sleep(100 * time.Millisecond)
	stop()
	if got := w.faults.Calls() - before; got != 0 {
		t.Errorf("%d operations of the storage", got)
	}
}

// TestStorageFails: what happened is told also where the event cannot be stored,
// and again where its record stays.
func TestStorageFails(t *testing.T) {
	for _, fault := range []storagetest.Fault{storagetest.NotApplied, storagetest.Applied, storagetest.AppliedLater} {
		w := newWorld(t, nil, "ci")
		n, stop := w.start(nil)
		w.faults.On(func(c storagetest.Call) storagetest.Fault {
			if c.Op == "Records.Put" && strings.HasPrefix(c.Key, queueFolder) {
				return fault
			}
			return storagetest.None
		})
		w.push(n, "v1")
		w.soon("the event", func() bool { return w.tries("ci") > 0 })
		if !strings.Contains(w.logs.String(), "an event could not be stored") {
			t.Error(w.logs)
		}
		w.faults.On(nil)
		w.faults.Release()
		w.push(n, "v2")
		w.soon("the next event", func() bool { return w.heard("ci") >= 2 })
		w.passed.Store(int64(lease + time.Second))
		w.soon("an empty queue", func() bool { return w.queue() == 0 })
		stop()
	}
}

// TestAnswers: what a receiver says decides whether it is asked again.
func TestAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(n int, w http.ResponseWriter)
		gone   bool // the event is given up
		log    string
	}{
		"gone":     {func(_ int, w http.ResponseWriter) { w.WriteHeader(410) }, true, "410 Gone"},
		"redirect": {func(_ int, w http.ResponseWriter) { w.Header().Set("Location", "/elsewhere"); w.WriteHeader(302) }, false, "redirects are not followed"},
		"cut off":  {func(int, http.ResponseWriter) { panic(http.ErrAbortHandler) }, false, "EOF"},
		"404":      {func(_ int, w http.ResponseWriter) { w.WriteHeader(404) }, false, "status 404"},
	} {
		t.Run(name, func(t *testing.T) {
			var tried atomic.Int64
			w := newWorld(t, func(rw http.ResponseWriter, hook string) {
				if hook != "ci" {
					t.Errorf("%s was asked", hook)
				}
				if n := tried.Add(1); n < 4 || tc.gone {
					tc.answer(int(n), rw)
				}
			}, "ci")
			n, _ := w.start(nil)
			w.push(n, "v1")
			w.soon("the queue to be empty", func() bool { return w.queue() == 0 })
			if want := 4; !tc.gone && w.tries("ci") != want || tc.gone && w.tries("ci") != 1 {
				t.Errorf("%d tries", w.tries("ci"))
			}
			if !strings.Contains(w.logs.String(), tc.log) || strings.Contains(w.logs.String(), "/ci") {
				t.Errorf("the log lacks %q, or has the URL:\n%s", tc.log, w.logs)
			}
		})
	}
}

// TestGivenUp: an event is tried for a day.
func TestGivenUp(t *testing.T) {
	w := newWorld(t, status(500), "ci")
	n, _ := w.start(nil)
	w.push(n, "v1")
	w.soon("a try", func() bool { return w.tries("ci") > 0 })
	w.passed.Store(int64(maxAge + time.Second))
	w.soon("the queue to be empty", func() bool { return w.queue() == 0 })
	if got := testutil.ToFloat64(n.counts.events.WithLabelValues("ci", "Dropped")); got != 1 || !strings.Contains(w.logs.String(), "an event is given up") {
		t.Errorf("%v dropped\n%s", got, w.logs)
	}
}

// TestChangedWebhook: what waits goes where the webhook is now, and nowhere when
// it is gone or off.
func TestChangedWebhook(t *testing.T) {
	w := newWorld(t, func(w http.ResponseWriter, hook string) {
		if hook != "new" {
			w.WriteHeader(500)
		}
	}, "moved", "deleted", "off")
	n, _ := w.start(nil)
	w.push(n, "v1")
	w.soon("tries", func() bool { return w.tries("moved") > 0 && w.tries("deleted") > 0 && w.tries("off") > 0 })
	spec := Spec{Name: "moved", URL: w.receiver.URL + "/new", Format: Distribution, Actions: Actions(), Enabled: true}
	if _, err := w.store.Update(t.Context(), spec, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Delete(t.Context(), "deleted", nil); err != nil {
		t.Fatal(err)
	}
	spec.Name, spec.Enabled = "off", false
	if _, err := w.store.Update(t.Context(), spec, nil); err != nil {
		t.Fatal(err)
	}
	w.soon("an empty queue", func() bool { return w.queue() == 0 })
	if w.heard("new") != 1 {
		t.Errorf("%d events at the new place", w.heard("new"))
	}
}

// TestBackoff: tries are further and further apart, and Retry-After counts.
func TestBackoff(t *testing.T) {
	for after, want := range map[string]time.Duration{"": 0, "3": 3 * time.Second, "-1": 0, "x": 0, "99999999": time.Hour, "Wed, 21 Oct 2015 07:28:00 GMT": 0} {
		if got := retryAfter(http.Header{"Retry-After": {after}}); got != want {
			t.Errorf("Retry-After %q: %s", after, got)
		}
	}
	w := newWorld(t, status(500), "ci")
	n, stop := w.start(func(c *Config) { c.Backoff = 20 * time.Millisecond })
	began := time.Now()
	w.push(n, "v1")
	w.soon("five tries", func() bool { return w.tries("ci") >= 5 })
	if took := time.Since(began); took < 150*time.Millisecond { // half of 20+40+80+160
		t.Errorf("five tries in %s", took)
	}
	stop()
}

// TestEndpoints: those of the configuration get all but what they ignore, and an
// event for one that only another server has waits for that server.
func TestEndpoints(t *testing.T) {
	w := newWorld(t, nil)
	endpoint := Endpoint{Name: "old", URL: w.receiver.URL + "/old", Headers: http.Header{"X-Token": {"t"}}, IgnoreActions: []Action{Pull}, IgnoreMediaTypes: []string{BlobType}}
	plain := w.store
	configured := w.open([]Endpoint{endpoint})
	w.store = configured
	n, stop := w.start(nil)
	for _, e := range []Event{{Action: Push, MediaType: "m"}, {Action: Pull, MediaType: "m"}, {Action: Push, Blob: true, MediaType: BlobType}} {
		e.Repository = "a"
		n.Notify(t.Context(), e)
	}
	w.soon("the push", func() bool { return w.queue() == 0 })
	w.answers(status(500))
	w.push(n, "v1")
	w.soon("a try", func() bool { return w.tries("old") > 1 })
	stop()
	if w.heard("old") != 2 {
		t.Errorf("%d events", w.heard("old"))
	}
	w.store = plain
	w.answers(nil)
	w.create("other") // or nobody would look
	_, stop = w.start(nil)
	time.Sleep(100 * time.Millisecond)
	if w.queue() != 1 {
		t.Error("a server without the endpoint dropped its event")
	}
	tries := w.tries("old")
	w.store = configured
	w.start(nil)
	w.soon("the event", func() bool { return w.tries("old") > tries && w.queue() == 0 })
	stop()
}
