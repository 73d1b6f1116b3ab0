package server

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// GCConfig is what a garbage collection takes for garbage, and when one runs.
type GCConfig struct {
	Enabled         bool // on a schedule
	Interval        time.Duration
	Grace           time.Duration // 0: nothing is spared
	DeleteUntagged  bool
	DeleteReferrers bool // whose subject is gone
	TagHistory      int  // 0: all
	Concurrency     int
	// PullInterval is how often it is written when images were pulled; 0: never.
	PullInterval time.Duration
}

func (c *GCConfig) settings() []setting {
	return []setting{
		{"gc.enabled", asBool(&c.Enabled)},
		{"gc.interval", asDuration(&c.Interval)},
		{"gc.grace", asDuration(&c.Grace)},
		{"gc.deleteuntagged", asBool(&c.DeleteUntagged)},
		{"gc.deletereferrers", asBool(&c.DeleteReferrers)},
		{"gc.taghistory", asInt(&c.TagHistory, 0)},
		{"gc.concurrency", asInt(&c.Concurrency, 1)},
		{"gc.pullinterval", asDuration(&c.PullInterval)},
	}
}

// options is what a collection does by the configuration.
func (c *Config) collectOptions(trigger string) registry.CollectOptions {
	o := registry.CollectOptions{
		Untagged: c.GC.DeleteUntagged, Dangling: c.GC.DeleteReferrers, Grace: c.GC.Grace, History: c.GC.TagHistory,
		Concurrency: c.GC.Concurrency, Trigger: trigger, Retention: true,
	}
	if o.Grace == 0 {
		o.Grace = registry.NoGrace
	}
	if p := c.Storage.UploadPurging; p.Enabled && !p.DryRun {
		o.UploadAge = p.Age
	}
	return o
}

// collections runs garbage collections in the background, one at a time: those of
// the schedule, and those that the admin API asks for.
type collections struct {
	s      *Server
	images *registry.Registry
	asked  chan registry.CollectOptions

	mu      sync.Mutex
	running *client.Collection // of this server; nil for none
	// unreported is the last one that was asked for and left no report in the
	// storage: a dry run, or one that could not begin.
	unreported *client.Collection
}

// tick is how often it is looked whether a collection is due.
const gcTick = time.Minute

func (s *Server) collect(images *registry.Registry) *collections {
	g := &collections{s: s, images: images, asked: make(chan registry.CollectOptions, 1)}
	if !s.config.Storage.ReadOnly {
		s.tasks = append(s.tasks, g.run)
	}
	return g
}

// run does what is due until ctx ends.
func (g *collections) run(ctx context.Context) error {
	if err := g.images.MarkCreated(ctx); err != nil && ctx.Err() == nil {
		g.s.log.Warn("whether the storage is new, and so this registry's alone, could not be found out", "error", err)
	}
	tick := time.NewTicker(gcTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case o := <-g.asked:
			g.do(ctx, o)
		case <-tick.C:
			if due, err := g.due(ctx); err != nil {
				g.s.log.Warn("whether a garbage collection is due could not be found out", "error", err)
			} else if due {
				g.do(ctx, g.s.config.collectOptions("schedule"))
			}
		}
	}
}

// notePulls has the registry note when images are pulled, for retention.
func (s *Server) notePulls(images *registry.Registry) {
	if s.config.Storage.ReadOnly {
		return
	}
	s.tasks = append(s.tasks, func(ctx context.Context) error { return images.NotePulls(ctx, s.config.GC.PullInterval) })
}

// due reports whether the last collection of all servers was an interval ago.
func (g *collections) due(ctx context.Context) (bool, error) {
	if !g.s.config.GC.Enabled {
		return false, nil
	}
	began, err := g.images.LastCollection(storage.Background(ctx))
	return err == nil && time.Since(began) >= g.s.config.GC.Interval, err
}

func (g *collections) do(ctx context.Context, o registry.CollectOptions) {
	o.Progress = func(step string, done, of int) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.running != nil {
			g.running.Step, g.running.Done, g.running.Of = step, done, of
		}
	}
	g.set(&client.Collection{CollectReport: client.CollectReport{ID: o.ID, Trigger: o.Trigger, DryRun: o.DryRun, Untagged: o.Untagged, Started: time.Now().UTC()}})
	g.s.metrics.gcRunning.Set(1)
	var report registry.CollectReport
	var err error
	if o.Caches, err = g.s.proxies.Collected(ctx); err == nil {
		report, err = g.images.Collect(ctx, o)
	}
	g.s.metrics.gcRunning.Set(0)
	g.mu.Lock()
	g.running = nil
	if o.DryRun || report.Ended.IsZero() && o.ID != "" {
		g.unreported = &client.Collection{CollectReport: wireReport(unbegun(report, o, err))}
	}
	g.mu.Unlock()
	g.s.metrics.collected(report, err)
	switch {
	case ctx.Err() != nil:
	case oci.ErrorCode(err) == oci.CodeConflict:
		g.s.log.Warn("no garbage was collected", "reason", err)
	case err != nil:
		g.s.log.Error("the garbage collection failed; the next one goes on with it", "error", err, "deleted_bytes", report.DeletedBytes())
	default:
		g.s.log.Info("garbage collected", "id", report.ID, "dry_run", report.DryRun, "deleted_bytes", report.DeletedBytes(), "took", report.Ended.Sub(report.Started))
	}
}

func (g *collections) set(running *client.Collection) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running = running
}

// unbegun is the report of a collection that could not begin, or the one it has.
func unbegun(report registry.CollectReport, o registry.CollectOptions, err error) registry.CollectReport {
	if !report.Ended.IsZero() || err == nil {
		return report
	}
	now := time.Now().UTC()
	return registry.CollectReport{ID: o.ID, Trigger: o.Trigger, DryRun: o.DryRun, Untagged: o.Untagged, Started: now, Ended: now, Error: err.Error()}
}

// Start has a collection begin, and returns its id. CONFLICT if one is about to
// already.
func (g *collections) Start(spec client.CollectionSpec) (string, error) {
	o := g.s.config.collectOptions("api")
	o.DryRun, o.ID = spec.DryRun, uuid.NewString()
	if spec.DeleteUntagged != nil {
		o.Untagged = *spec.DeleteUntagged
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running == nil {
		select {
		case g.asked <- o:
			return o.ID, nil
		default:
		}
	}
	return "", oci.Errorf(oci.CodeConflict, "a garbage collection is running already; GET /api/v1/collections shows it")
}

// List returns what runs here, and then the reports of the last collections.
func (g *collections) List(ctx context.Context) ([]client.Collection, error) {
	reports, err := g.images.CollectReports(ctx)
	if err != nil {
		return nil, err
	}
	all := []client.Collection{}
	g.mu.Lock()
	if g.running != nil {
		all = append(all, *g.running)
	}
	if g.unreported != nil {
		all = append(all, *g.unreported)
	}
	g.mu.Unlock()
	for _, r := range reports {
		all = append(all, client.Collection{CollectReport: wireReport(r)})
	}
	return all, nil
}

func wireReport(r registry.CollectReport) client.CollectReport {
	wire := client.CollectReport{
		ID: r.ID, Trigger: r.Trigger, DryRun: r.DryRun, Untagged: r.Untagged, Started: r.Started, Ended: r.Ended, Error: r.Error,
		Repositories: r.Repositories, Manifests: r.Manifests, Blobs: r.Blobs, Bytes: r.Bytes, DeletedBytes: r.DeletedBytes(),
		Deleted: []client.UnusedCount{}, Next: []client.UnusedCount{}, Examples: []client.Unused{},
	}
	for _, n := range r.Deleted {
		wire.Deleted = append(wire.Deleted, client.UnusedCount(n))
	}
	for _, n := range r.Next {
		wire.Next = append(wire.Next, client.UnusedCount(n))
	}
	for _, u := range r.Caches {
		wire.Caches = append(wire.Caches, client.CacheUsage(u))
	}
	for _, u := range r.Examples {
		wire.Examples = append(wire.Examples, client.Unused(u))
	}
	return wire
}
