// Package migrate brings all that a registry keeps from one storage to another,
// while a server goes on serving from the first: blobs, links, tags, referrers,
// users, policies, tokens, settings, webhooks and certificates. It knows the two interfaces
// of package storage, and nothing of directories or buckets.
package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Store is one of the two storages.
type Store struct {
	Blobs   storage.Blobs
	Records storage.Records
	Name    string // for messages and for the mark in the new storage
}

// Options say how to migrate.
type Options struct {
	// Final says that nobody writes to the old storage any more. Then the new one
	// is complete afterwards, and is never written by a migration again.
	Final bool
	// Verify reads everything in the new storage and compares it.
	Verify bool
	// WithoutKeys leaves certificates and the keys of ACME behind.
	WithoutKeys bool
	Parallel    int // blobs and records on their way at once
	// Enter is told of each repository before its first link is written.
	Enter func(ctx context.Context, repo oci.Repository) error
	// Progress is told what is done; nil for nobody.
	Progress func(format string, args ...any)
}

// Report says what a migration did.
type Report struct {
	Passes         int       `json:"passes"`
	BlobsCopied    int       `json:"blobs_copied"`
	BytesCopied    int64     `json:"bytes_copied"`
	RecordsCopied  int       `json:"records_copied"`
	RecordsRemoved int       `json:"records_removed"`
	Blobs          int       `json:"blobs"`
	Records        int       `json:"records"`
	Verified       bool      `json:"verified"`
	InStep         bool      `json:"in_step"`  // the last pass found nothing to do
	Complete       bool      `json:"complete"` // the new storage can be served
	Failures       []Failure `json:"failures"`
}

// Failure is something that could not be brought over, and why.
type Failure struct {
	What  string `json:"what"`
	Error string `json:"error"`
}

// markKey is where the new storage says that a migration writes to it.
const markKey = storage.KitRoot + "/migration"

// mark is that record.
type mark struct {
	Version   int       `json:"version"`
	From      string    `json:"from"`
	StartedAt time.Time `json:"started_at"`
	// EndedAt is when it was complete. From then on the new storage has a life of
	// its own.
	EndedAt time.Time `json:"ended_at,omitzero"`
}

// maxPasses bounds how often it is looked for what came meanwhile: where pushes
// never stop, some difference is always left until the final pass.
const maxPasses = 10

// Run migrates. Repeating it goes on where it ended.
func Run(ctx context.Context, from, to Store, o Options) (*Report, error) {
	if o.Progress == nil {
		o.Progress = func(string, ...any) {}
	}
	o.Parallel = max(o.Parallel, 1)
	m := &migration{from: from, to: to, o: o, report: &Report{Failures: []Failure{}}, entered: map[string]bool{}}
	mk, version, err := m.begin(ctx)
	if err == nil {
		err = m.passes(ctx)
	}
	if err == nil && o.Verify {
		err = m.verify(ctx)
	}
	switch {
	case err != nil:
		return m.report, err
	case len(m.report.Failures) > 0:
		return m.report, fmt.Errorf("%d things could not be brought over, the first is %s: %s; mend them with registryserver fsck --repair on the old storage, and run the same command again", len(m.report.Failures), m.report.Failures[0].What, m.report.Failures[0].Error)
	case !o.Final:
		return m.report, nil
	case !m.report.InStep:
		return m.report, errors.New("the old storage still changes; stop every server that writes to it, or make it read-only, and run the same command again")
	}
	mk.EndedAt = time.Now().UTC()
	if err := m.setMark(ctx, mk, version); err != nil {
		return m.report, err
	}
	m.report.Complete = true
	return m.report, nil
}

// migration is one under way.
type migration struct {
	from, to Store
	o        Options

	mu      sync.Mutex
	report  *Report
	changed int // in this pass
	entered map[string]bool
}

// begin marks the new storage, and refuses one that is not a migration's own: what
// the old one does not have would be removed there.
func (m *migration) begin(ctx context.Context) (mark, storage.Version, error) {
	rec, err := m.to.Records.Get(ctx, markKey)
	if errors.Is(err, storage.ErrNotFound) {
		if err := m.isEmpty(ctx); err != nil {
			return mark{}, "", err
		}
		mk := mark{Version: 1, From: m.from.Name, StartedAt: time.Now().UTC()}
		if err := m.setMark(ctx, mk, storage.Absent); err != nil {
			return mk, "", err
		}
		rec, err = m.to.Records.Get(ctx, markKey)
	}
	if err != nil {
		return mark{}, "", err
	}
	var mk mark
	if err := json.Unmarshal(rec.Value, &mk); err != nil || mk.Version != 1 {
		return mk, "", fmt.Errorf("the record %s of the new storage is not what this version writes", markKey)
	}
	switch {
	case !mk.EndedAt.IsZero():
		return mk, "", fmt.Errorf("the migration to %s was complete at %s; what was pushed there since would be lost by another one", m.to.Name, mk.EndedAt.Format(time.RFC3339))
	case mk.From != m.from.Name:
		return mk, "", fmt.Errorf("a migration from %s to %s has begun; end that one, or begin with an empty storage", mk.From, m.to.Name)
	}
	return mk, rec.Version, nil
}

func (m *migration) setMark(ctx context.Context, mk mark, was storage.Version) error {
	value, err := json.Marshal(mk)
	if err != nil {
		return err
	}
	_, err = m.to.Records.Put(ctx, markKey, value, was)
	return err
}

// isEmpty refuses a storage that has images or users.
func (m *migration) isEmpty(ctx context.Context) error {
	for key, err := range wanted(ctx, m.to.Records, Options{}) {
		if err != nil {
			return err
		}
		return fmt.Errorf("%s is not empty (it has %s); migrate to one that no server has used yet", m.to.Name, key)
	}
	return nil
}

// passes runs until a pass finds nothing to do.
func (m *migration) passes(ctx context.Context) error {
	for m.report.Passes < maxPasses && !m.report.InStep {
		m.report.Passes++
		m.changed, m.report.Failures = 0, []Failure{}
		if err := m.blobs(ctx); err != nil {
			return err
		}
		if err := m.records(ctx); err != nil {
			return err
		}
		m.o.Progress("pass %d: %d changes; %d blobs and %d records in all", m.report.Passes, m.changed, m.report.Blobs, m.report.Records)
		m.report.InStep = m.changed == 0
	}
	return nil
}

// The records that are brought over. What else there is belongs to one storage:
// its index and epoch, its secret, uploads and locks, events, which its servers
// deliver, and when images were pulled: in the new one all are as if they were
// just pushed.
func folders(o Options) []string {
	all := []string{
		storage.DistributionRoot + "/repositories/",
		storage.KitRoot + "/acme/",
		storage.KitRoot + "/certificates/",
		storage.KitRoot + "/directory",
		storage.KitRoot + "/proxy-caches",
		storage.KitRoot + "/replications",
		storage.KitRoot + "/repository-settings/",
		storage.KitRoot + "/retention-policies",
		storage.KitRoot + "/tokens/",
		storage.KitRoot + "/webhooks",
	}
	if o.WithoutKeys {
		all = slices.DeleteFunc(all, func(folder string) bool { return isKeys(folder) })
	}
	return all
}

// isKeys reports whether private keys are kept under a key.
func isKeys(key string) bool {
	return strings.HasPrefix(key, storage.KitRoot+"/acme/") || strings.HasPrefix(key, storage.KitRoot+"/certificates/")
}

// Keys reports whether a storage has certificates or keys of ACME.
func Keys(ctx context.Context, records storage.Records) (bool, error) {
	for _, folder := range []string{"/acme/", "/certificates/"} {
		for _, err := range records.List(ctx, storage.KitRoot+folder, "") {
			return err == nil, err
		}
	}
	return false, nil
}

// wanted yields the keys of all records that are brought over, in byte order.
func wanted(ctx context.Context, records storage.Records, o Options) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, folder := range folders(o) {
			for key, err := range records.List(ctx, folder, "") {
				if err != nil {
					yield("", err)
					return
				}
				// Uploads of distribution, and what servers tell each other for a minute.
				if strings.Contains(key, "/_uploads/") || strings.Contains(key, "/leases/") || strings.HasSuffix(key, "+token") {
					continue
				}
				if !yield(key, nil) {
					return
				}
			}
		}
	}
}

func (m *migration) note(change func(*Report)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.changed++
	change(m.report)
}

func (m *migration) fail(what string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.report.Failures = append(m.report.Failures, Failure{What: what, Error: err.Error()})
}
