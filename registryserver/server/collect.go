package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

// CollectOptions says how Collect is to go, beside what the configuration says.
type CollectOptions struct {
	DryRun bool
	Quiet  bool // no line for each thing
	JSON   bool

	Out      io.Writer
	Progress io.Writer // nil for none; else a terminal
}

// openRegistry opens the storage of a configuration for a command.
func openRegistry(ctx context.Context, c *Config) (*registry.Registry, func() error, error) {
	store, err := openStore(ctx, c.Storage, slog.Default())
	if err != nil {
		return nil, nil, err
	}
	return registry.New(store.Blobs(), store.Records(), registryOptions(c, nil)), store.Close, nil
}

// Collect collects the garbage of a configuration's storage, while servers run.
func Collect(ctx context.Context, c *Config, o CollectOptions) error {
	store, err := openStore(ctx, c.Storage, slog.Default())
	if err != nil {
		return err
	}
	defer store.Close()
	proxies, err := storedProxies(ctx, c, store.Records())
	if err != nil {
		return err
	}
	r := registry.New(store.Blobs(), store.Records(), registryOptions(c, nil))
	p := &collectPrinter{o: o, json: json.NewEncoder(o.Out)}
	run := c.collectOptions("command")
	run.DryRun, run.Found, run.Progress = o.DryRun, p.found, p.progress
	if run.Caches, err = proxies.Collected(ctx); err != nil {
		return err
	}
	report, err := r.Collect(ctx, run)
	p.clear()
	if err != nil {
		return err
	}
	p.summary(report)
	return p.err
}

// Exclusive marks the storage of a configuration, or takes the mark away, and says
// how it is then. Without change it only says that.
func Exclusive(ctx context.Context, c *Config, change *bool, out io.Writer) error {
	r, done, err := openRegistry(ctx, c)
	if err != nil {
		return err
	}
	defer func() { _ = done() }()
	switch {
	case change == nil:
	case *change:
		err = r.MarkExclusive(ctx, "command")
	default:
		err = r.UnmarkExclusive(ctx)
	}
	if err != nil {
		return err
	}
	mark, err := r.Exclusive(ctx)
	if err != nil {
		return err
	}
	if !mark.Exclusive {
		_, err = fmt.Fprintf(out, "%s is not marked as exclusive: no garbage is collected\n", c.Storage.Place())
		return err
	}
	_, err = fmt.Fprintf(out, "%s is exclusive to Registry Kit since %s (%s): its garbage can be collected\n", c.Storage.Place(), mark.Since.UTC().Format(time.RFC3339), mark.By)
	return err
}

// collectPrinter writes what is garbage for people or for programs.
type collectPrinter struct {
	o     CollectOptions
	json  *json.Encoder
	drawn time.Time
	err   error
}

func (p *collectPrinter) found(u registry.Unused) {
	if p.o.Quiet {
		return
	}
	p.clear()
	if p.o.JSON {
		p.note(p.json.Encode(u))
		return
	}
	what := "deleted"
	switch {
	case u.Next:
		what = "eligible for the next run"
	case p.o.DryRun:
		what = "would be deleted"
	}
	where := u.Reference
	if u.Repository != "" {
		where = u.Repository + " " + u.Reference
	}
	_, err := fmt.Fprintf(p.o.Out, "%s: %s %s (%d bytes): %s\n", what, u.Kind, where, u.Bytes, u.Reason)
	p.note(err)
}

func (p *collectPrinter) summary(r registry.CollectReport) {
	if p.o.JSON {
		p.note(p.json.Encode(map[string]registry.CollectReport{"report": r}))
		return
	}
	_, err := fmt.Fprintf(p.o.Out, "%d repositories, %d manifests, %d blobs of %d bytes\n", r.Repositories, r.Manifests, r.Blobs, r.Bytes)
	p.note(err)
	what := "deleted"
	if r.DryRun {
		what = "would be deleted"
	}
	for _, counts := range []struct {
		what string
		of   []registry.UnusedCount
	}{{what, r.Deleted}, {"eligible for the next run", r.Next}} {
		for _, n := range counts.of {
			_, err := fmt.Fprintf(p.o.Out, "%s: %d of kind %s, %d bytes: %s\n", counts.what, n.Count, n.Kind, n.Bytes, n.Reason)
			p.note(err)
		}
	}
	for _, u := range r.Caches {
		of := u.Prefix
		if of == "" {
			of = "of the registry"
		}
		_, err := fmt.Fprintf(p.o.Out, "pull-through cache %s: %d images of %d bytes stay, of at most %d; newly evicted: %d of %d bytes\n", of, u.Images, u.Bytes, u.MaxBytes, u.EvictedImages, u.EvictedBytes)
		p.note(err)
	}
	_, err = fmt.Fprintf(p.o.Out, "%s: %d bytes in all\n", what, r.DeletedBytes())
	p.note(err)
}

// progressWidth is how wide the bar is.
const progressWidth = 30

// progress draws a line that the next one overwrites, at most ten times a second.
func (p *collectPrinter) progress(step string, done, of int) {
	if p.o.Progress == nil || time.Since(p.drawn) < time.Second/10 {
		return
	}
	p.drawn = time.Now()
	switch {
	case of > 0:
		full := progressWidth * min(done, of) / of
		_, _ = fmt.Fprintf(p.o.Progress, "\r\x1b[K[%-*s] %d/%d %s", progressWidth, "##############################"[:full], done, of, step)
	case done > 0:
		_, _ = fmt.Fprintf(p.o.Progress, "\r\x1b[K%d %s", done, step)
	default:
		_, _ = fmt.Fprintf(p.o.Progress, "\r\x1b[K%s", step)
	}
}

func (p *collectPrinter) clear() {
	if p.o.Progress != nil && !p.drawn.IsZero() {
		_, _ = fmt.Fprint(p.o.Progress, "\r\x1b[K")
		p.drawn = time.Time{}
	}
}

// note keeps the first error of writing.
func (p *collectPrinter) note(err error) {
	if p.err == nil {
		p.err = err
	}
}
