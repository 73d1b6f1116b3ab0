package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/audit"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// stored returns the events in a storage, and the objects that they are in.
func stored(t *testing.T, records storage.Records) (events []audit.Event, keys []string) {
	t.Helper()
	for key, err := range records.List(t.Context(), audit.Folder, "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	err := audit.Read(t.Context(), records, time.Time{}, func(e audit.Event) error {
		events = append(events, e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return events, keys
}

// TestRun: what was added is in the storage after 5 s, or at once if it is 1 MiB, and
// at the end.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := storagetest.NewMemory().Records()
		l := audit.New(audit.Config{Records: records})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		want := 0
		check := func(when string, objects int) {
			t.Helper()
			synctest.Wait()
			if events, keys := stored(t, records); len(events) != want || len(keys) != objects {
				t.Errorf("%s: %d events in %q, want %d in %d", when, len(events), keys, want, objects)
			}
		}
		l.Add(audit.Event{Action: "push", User: "jane"})
		l.Add(audit.Event{Action: "pull", User: "joe"})
		check("at once", 0)
		time.Sleep(5 * time.Second)
		want = 2
		check("after 5 s", 1)
		time.Sleep(20 * time.Second)
		check("without events", 1)
		for range 12 { // of 100 KiB
			l.Add(audit.Event{Path: strings.Repeat("x", 100<<10)})
		}
		want += 11 // and the twelfth waits
		synctest.Wait()
		events, keys := stored(t, records)
		if len(keys) != 2 && len(keys) != 3 || len(events) < want {
			t.Errorf("after 1 MiB: %d events in %q", len(events), keys)
		}
		l.Add(audit.Event{Action: "delete"})
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		events, keys = stored(t, records)
		if len(events) != 15 || events[0].User != "jane" || events[14].Action != "delete" || !slices.IsSorted(keys) || !strings.HasPrefix(keys[0], audit.Folder+"2000-01-01/") {
			t.Errorf("at the end: %d events in %q", len(events), keys)
		}
	})
}

// broken is a storage that cannot be written to while it is down.
type broken struct {
	storage.Records
	mu      sync.Mutex
	down    bool
	applies bool // though it says that it failed
}

func (b *broken) Put(ctx context.Context, key string, value []byte, was storage.Version) (storage.Version, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.down {
		return b.Records.Put(ctx, key, value, was)
	}
	if b.applies {
		_, _ = b.Records.Put(ctx, key, value, was)
	}
	return "", errors.New("down")
}

// TestOutage: what cannot be written is written later, once and in order, whether
// what failed was applied or not; what is more than 16 MiB is dropped and counted.
func TestOutage(t *testing.T) {
	for _, applies := range []bool{false, true} {
		t.Run(fmt.Sprint(applies), func(t *testing.T) {
			records := &broken{Records: storagetest.NewMemory().Records(), down: true, applies: applies}
			l := audit.New(audit.Config{Records: records, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
			for n := range 3 {
				l.Add(audit.Event{Status: n})
				if l.Flush(t.Context()) == nil {
					t.Error("nothing was written, and nobody says so")
				}
			}
			large := audit.Event{Path: strings.Repeat("x", 1<<20)}
			for range 20 {
				l.Add(large)
			}
			if n := l.Dropped(); n != 5 {
				t.Errorf("%d events were dropped", n)
			}
			records.down = false
			if err := l.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			events, _ := stored(t, records)
			if len(events) != 18 || events[0].Status != 0 || events[1].Status != 1 || events[2].Status != 2 {
				t.Errorf("%d events are there", len(events))
			}
			l.Add(large)
			if n := l.Dropped(); n != 5 {
				t.Errorf("after the outage %d events are dropped", n)
			}
		})
	}
}

// TestSweep: whole days go, and nothing else.
func TestSweep(t *testing.T) {
	records := storagetest.NewMemory().Records()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := audit.New(audit.Config{Records: records, Keep: 48 * time.Hour, Now: func() time.Time { return now }})
	foreign := audit.Folder + "2000/notes"
	if _, err := records.Put(t.Context(), foreign, []byte("{}"), storage.Absent); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		l.Add(audit.Event{Time: now})
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(24 * time.Hour)
	}
	now = now.Add(-24 * time.Hour) // the 5th
	var since []int
	err := audit.Read(t.Context(), records, time.Date(2026, 3, 3, 12, 0, 0, 1, time.UTC), func(e audit.Event) error {
		since = append(since, e.Time.Day())
		return nil
	})
	if err != nil || !slices.Equal(since, []int{3, 4, 5}) {
		t.Errorf("since the 3rd: %v, %v", since, err)
	}
	if err := l.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, keys := stored(t, records)
	if len(keys) != 4 || keys[0] != foreign || !strings.HasPrefix(keys[1], audit.Folder+"2026-03-03/") {
		t.Errorf("left are %q", keys)
	}
}

// FuzzParse: what is read can be written, and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"action":"push","status":201}` + "\n"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, lines []byte) {
		events, err := audit.Parse(lines)
		if err != nil {
			return
		}
		var again []byte
		for _, e := range events {
			line, err := json.Marshal(e)
			if err != nil {
				t.Skip(err) // a time that JSON cannot hold
			}
			again = append(append(again, line...), '\n')
		}
		if same, err := audit.Parse(again); err != nil || len(same) != len(events) {
			t.Errorf("%q is read as %d events, and then as %d: %v", lines, len(events), len(same), err)
		}
	})
}
