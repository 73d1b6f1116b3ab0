package registry

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// pushing is a push whose links are written and whose tags are not.
//
// What it knows of blobs and links from before may have been deleted since, or be
// about to be. So it looks at the epoch before it tags: whoever deletes changes
// that first. Either the push sees it, and asks the store again, or the deletion
// comes after the push; and a garbage collection looks at what pushes have written
// after it has changed the epoch.
type pushing struct {
	r *Registry
	Push
	digest   oci.Digest
	manifest *oci.Manifest
	// seen is the epoch before all that this push has checked and written, and
	// needs to be there still.
	seen epoch
	// held says that nothing in the batches of seen concerns the push.
	held bool
	// at is when, by the clock of the store, seen was seen to last.
	at time.Time
}

const (
	confirmTries = 20
	// tagWithin is how long, by the clock of the store, a push may take from its
	// look at the epoch to its last write without another look. A collector that
	// deletes manifests or tags waits for longer before it looks at them again.
	tagWithin = 30 * time.Second
)

// finish confirms the push, tags, and confirms what may have changed between.
func (p *pushing) finish(ctx context.Context, rules immutable, was []storage.Record) error {
	put := p.Tags // those that are not yet
	for round := range confirmTries {
		before := p.seen.Number
		if err := p.confirm(ctx); err != nil {
			if round > 0 {
				p.untag(ctx, was)
			}
			return err
		}
		if p.seen.Number != before {
			var err error
			if put, err = p.gone(ctx, put, was, round > 0); err != nil {
				return err
			}
		} else if round > 0 {
			return nil
		}
		answering, answers := storage.WatchAnswers(ctx)
		for i, tag := range p.Tags {
			if !slices.Contains(put, tag) {
				continue
			}
			if err := p.r.putTag(answering, rules, tag, p.digest, was[i]); err != nil {
				return err
			}
		}
		if len(put) == 0 || p.inTime(answers.Last()) || p.r.breakRule(skipPost) {
			return nil
		}
	}
	return errPushing
}

// gone returns the tags that are to be put: those that were and, as a collector
// may have deleted them meanwhile, those that are absent. Of these was is changed.
// Tags that others have moved are theirs.
func (p *pushing) gone(ctx context.Context, put []oci.Tag, was []storage.Record, tagged bool) ([]oci.Tag, error) {
	var again []oci.Tag
	for i, tag := range p.Tags {
		_, err := p.r.records.Get(ctx, tagCurrent(p.Repository, tag))
		switch {
		case errors.Is(err, storage.ErrNotFound):
			was[i] = storage.Record{Version: storage.Absent}
			again = append(again, tag)
		case err != nil:
			return nil, err
		case !tagged && slices.Contains(put, tag):
			again = append(again, tag)
		}
	}
	return again, nil
}

var errPushing = oci.Errorf(oci.CodeUnavailable, "the storage changes too fast for this push to be sure of it; push again")

// inTime: a collector that has not been seen cannot have looked at the tags yet.
func (p *pushing) inTime(last time.Time) bool {
	return !p.at.IsZero() && !last.IsZero() && last.Sub(p.at) < tagWithin
}

// untag takes back the tags of a push that fails after all. What it does not
// manage leads to an image that lacks something, as fsck says.
func (p *pushing) untag(ctx context.Context, was []storage.Record) {
	ctx = context.WithoutCancel(ctx)
	for i, tag := range p.Tags {
		rec, err := p.r.records.Get(ctx, tagCurrent(p.Repository, tag))
		if err != nil || string(rec.Value) != p.digest.String() {
			continue
		}
		if was[i].Version != storage.Absent {
			_, _ = p.r.records.Put(ctx, tagCurrent(p.Repository, tag), was[i].Value, rec.Version)
		} else {
			_ = p.r.deleteTag(ctx, p.Repository, tag, rec.Version)
		}
	}
}

// confirm returns once an epoch was seen after all that the push has checked and
// written that is the same as before it: the parts that were done under another
// are done again.
func (p *pushing) confirm(ctx context.Context) error {
	for range confirmTries {
		answering, answers := storage.WatchAnswers(ctx)
		e, quiet, err := p.r.facts.look(answering)
		if err != nil {
			return err
		}
		p.at = answers.Last()
		if e.Number == p.seen.Number && e.ID == p.seen.ID && (quiet || p.held) {
			return nil
		}
		p.seen, p.held = e, true
		waited, err := p.rescue(ctx)
		if err != nil {
			return err
		}
		if waited {
			p.held = false // under another epoch
			continue
		}
		if err := p.redo(ctx, source(quiet)); err != nil {
			return err
		}
	}
	return errPushing
}

// rescue takes what the push needs out of what is condemned. It waits for the end
// of a deletion of what the push can put anew.
func (p *pushing) rescue(ctx context.Context) (waited bool, err error) {
	if len(p.seen.Batches) == 0 {
		return false, nil
	}
	own, others, err := p.r.needs(ctx, p.Repository, p.digest, oci.FromBytes(p.Body), p.manifest)
	if err != nil {
		return false, err
	}
	going, err := p.r.rescue(ctx, p.seen, others)
	if err != nil {
		return false, err
	}
	var missing []error
	for _, name := range going {
		if p.Partial {
			break // what goes comes back when it is asked for
		}
		missing = append(missing, &oci.Error{Code: oci.CodeManifestBlobUnknown,
			Message: "a garbage collection is deleting something that the manifest names (" + name + "); push it again"})
	}
	if len(missing) > 0 {
		return false, errors.Join(missing...)
	}
	for _, tag := range p.Tags {
		own = append(own, tagItem(p.Repository, tag))
	}
	return p.r.settleAll(ctx, p.seen, own)
}

// redo checks and writes what relied on an older epoch.
func (p *pushing) redo(ctx context.Context, from source) error {
	if !p.Partial {
		if err := p.r.checkReferences(ctx, p.Repository, p.manifest, from); err != nil {
			return err
		}
	}
	if err := p.r.enter(ctx, p.Repository, from); err != nil {
		return err
	}
	return p.r.storeManifest(ctx, p.Repository, p.digest, p.manifest, p.Body, from)
}
