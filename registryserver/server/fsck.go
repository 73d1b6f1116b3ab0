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

// FsckOptions says what Fsck does and where it says what it found.
type FsckOptions struct {
	Repair bool
	Quick  bool // do not read the content of blobs
	JSON   bool // one JSON object per finding, and one with the summary

	Out      io.Writer
	Progress io.Writer // nil for none; else a terminal
}

// Fsck checks the storage of a configuration, and reports whether nothing is
// broken that it did not repair. A server may run meanwhile.
func Fsck(ctx context.Context, c *Config, o FsckOptions) (sound bool, err error) {
	store, err := openStore(ctx, c.Storage, slog.Default())
	if err != nil {
		return false, err
	}
	defer store.Close()
	r := registry.New(store.Blobs(), store.Records(), registryOptions(c, nil))

	proxies, err := storedProxies(ctx, c, store.Records())
	if err != nil {
		return false, err
	}

	p := &fsckPrinter{o: o, json: json.NewEncoder(o.Out)}
	unrepaired := 0
	sum, err := r.Check(ctx, registry.CheckOptions{Content: !o.Quick, Repair: o.Repair, Partial: proxies.Cached, Progress: p.progress}, func(f registry.Finding) {
		if f.Severity == registry.Broken && !f.Repaired {
			unrepaired++
		}
		p.finding(f)
	})
	p.clear()
	if err != nil {
		return false, err
	}
	p.summary(sum)
	return unrepaired == 0, p.err
}

// fsckPrinter writes findings for people or for programs.
type fsckPrinter struct {
	o     FsckOptions
	json  *json.Encoder
	drawn time.Time
	err   error
}

func (p *fsckPrinter) finding(f registry.Finding) {
	p.clear()
	if p.o.JSON {
		p.note(p.json.Encode(f))
		return
	}
	where := f.Repository
	switch {
	case where == "":
		where = f.Reference
	case f.Reference != "":
		where += " " + f.Reference
	}
	repaired := ""
	if f.Repaired {
		repaired = " (repaired)"
	}
	_, err := fmt.Fprintf(p.o.Out, "%s %s: %s: %s%s\n", f.Severity, f.Kind, where, f.Message, repaired)
	p.note(err)
}

func (p *fsckPrinter) summary(s registry.CheckSummary) {
	if p.o.JSON {
		p.note(p.json.Encode(map[string]registry.CheckSummary{"summary": s}))
		return
	}
	_, err := fmt.Fprintf(p.o.Out, "%d repositories, %d tags, %d manifests, %d blobs of %d bytes: %d broken, %d garbage, %d repaired\n",
		s.Repositories, s.Tags, s.Manifests, s.Blobs, s.Bytes, s.Broken, s.Garbage, s.Repaired)
	p.note(err)
}

// progress draws a line that the next one overwrites, at most ten times a
// second.
func (p *fsckPrinter) progress(repositories, blobs int) {
	if p.o.Progress == nil || time.Since(p.drawn) < time.Second/10 {
		return
	}
	p.drawn = time.Now()
	_, _ = fmt.Fprintf(p.o.Progress, "\r\x1b[Kchecked %d blobs, %d repositories", blobs, repositories)
}

func (p *fsckPrinter) clear() {
	if p.o.Progress != nil && !p.drawn.IsZero() {
		_, _ = fmt.Fprint(p.o.Progress, "\r\x1b[K")
		p.drawn = time.Time{}
	}
}

// note keeps the first error of writing.
func (p *fsckPrinter) note(err error) {
	if p.err == nil {
		p.err = err
	}
}
