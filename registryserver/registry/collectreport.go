package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Unused is one thing that nobody needs.
type Unused struct {
	Kind       string `json:"kind"` // blob, layer, manifest, history, upload, tag
	Repository string `json:"repository,omitempty"`
	Reference  string `json:"reference,omitempty"` // a digest, tag or id
	Reason     string `json:"reason"`
	Bytes      int64  `json:"bytes,omitempty"` // of a blob
	// Next says that it was found for the first time: it stays, and the next
	// collection deletes it.
	Next bool `json:"next,omitempty"`
}

// CollectReport is what a garbage collection did.
type CollectReport struct {
	ID           string    `json:"id"`
	Trigger      string    `json:"trigger,omitempty"`
	DryRun       bool      `json:"dry_run"`
	Untagged     bool      `json:"delete_untagged"`
	Started      time.Time `json:"started_at"`
	Ended        time.Time `json:"ended_at,omitzero"` // zero while it runs
	Error        string    `json:"error,omitempty"`
	Repositories int       `json:"repositories"`
	Manifests    int       `json:"manifests"`
	Blobs        int       `json:"blobs"`
	Bytes        int64     `json:"bytes"`
	// Deleted and Next count what was deleted, and what the next collection
	// deletes, by kind and reason.
	Deleted []UnusedCount `json:"deleted"`
	Next    []UnusedCount `json:"next"`
	// Caches are the pull-through caches that have a bound.
	Caches []CacheUsage `json:"caches,omitempty"`
	// Examples are the first things of each that were found.
	Examples []Unused `json:"examples"`
}

// UnusedCount is how much of one kind there was.
type UnusedCount struct {
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
	Count  int    `json:"count"`
	Bytes  int64  `json:"bytes"`
}

const (
	reportsFolder    = gcFolder + "reports/"
	keptReports      = 20
	examplesOfAKind  = 50
	reportTimeFormat = "20060102T150405.000"
)

func newCollectReport(o CollectOptions) CollectReport {
	return CollectReport{ID: o.ID, DryRun: o.DryRun, Untagged: o.Untagged, Trigger: o.Trigger, Deleted: []UnusedCount{}, Next: []UnusedCount{}, Examples: []Unused{}}
}

func (r *CollectReport) add(g Unused) {
	counts := &r.Deleted
	if g.Next {
		counts = &r.Next
	}
	i := slices.IndexFunc(*counts, func(n UnusedCount) bool { return n.Kind == g.Kind && n.Reason == g.Reason })
	if i < 0 {
		*counts = append(*counts, UnusedCount{Kind: g.Kind, Reason: g.Reason})
		i = len(*counts) - 1
	}
	n := &(*counts)[i]
	n.Count++
	n.Bytes += g.Bytes
	if n.Count <= examplesOfAKind {
		r.Examples = append(r.Examples, g)
	}
}

// DeletedBytes is how much space the collection gave back.
func (r CollectReport) DeletedBytes() (sum int64) {
	for _, n := range r.Deleted {
		sum += n.Bytes
	}
	return sum
}

func (c *collector) finish(err error) CollectReport {
	c.report.Started, c.report.Ended = c.started, c.r.facts.now().UTC()
	if err != nil {
		c.report.Error = err.Error()
	}
	if c.marks != nil {
		c.report.Manifests = len(c.marks.used)
	}
	return c.report
}

// keepReport stores a report, and removes the oldest.
func (r *Registry) keepReport(ctx context.Context, report CollectReport) error {
	value, err := json.Marshal(report)
	if err != nil {
		return err
	}
	key := reportsFolder + report.Started.Format(reportTimeFormat) + "-" + report.ID
	if _, err := r.records.Put(ctx, key, value, storage.Any); err != nil {
		return err
	}
	var keys []string
	for key, err := range r.records.List(ctx, reportsFolder, "") {
		if err != nil {
			return err
		}
		keys = append(keys, key)
	}
	for _, key := range keys[:max(0, len(keys)-keptReports)] {
		if err := r.records.Delete(ctx, key, storage.Any); err != nil {
			return err
		}
	}
	return nil
}

// CollectReports returns the reports of the last collections, the newest first.
func (r *Registry) CollectReports(ctx context.Context) ([]CollectReport, error) {
	reports := []CollectReport{}
	for key, err := range r.records.List(ctx, reportsFolder, "") {
		if err != nil {
			return nil, err
		}
		rec, err := r.records.Get(ctx, key)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var report CollectReport
		if err := json.Unmarshal(rec.Value, &report); err != nil {
			return nil, fmt.Errorf("record %s is damaged: %w; remove it", key, err)
		}
		reports = append(reports, report)
	}
	slices.Reverse(reports)
	return reports, nil
}

// LastCollection returns when the last collection began of which there is a
// report, or the zero time.
func (r *Registry) LastCollection(ctx context.Context) (time.Time, error) {
	var last string
	for key, err := range r.records.List(ctx, reportsFolder, "") {
		if err != nil {
			return time.Time{}, err
		}
		last = key
	}
	began, _, _ := strings.Cut(strings.TrimPrefix(last, reportsFolder), "-")
	t, _ := time.Parse(reportTimeFormat, began) // what is foreign is no report
	return t, nil
}
