package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// clockMargin is by how much the clocks of the machines of a store may differ.
const clockMargin = 15 * time.Second

// published is a batch of this collector that pushes can see.
type published struct {
	id      string
	batch   batch
	version storage.Version
}

// recheck returns the names of those items that are needed after all. It is asked
// once pushes can see them.
type recheck func(ctx context.Context, items []item) (keep map[string]bool, err error)

// deleteItems takes items through the protocol. Those that concern manifests and
// tags, which a push may be about to tag, wait until no push can be that has not
// seen them.
func (c *collector) deleteItems(ctx context.Context, items []item, again recheck, tagged bool) error {
	if len(items) == 0 {
		return nil
	}
	slices.SortFunc(items, func(a, b item) int { return strings.Compare(a.Name, b.Name) })
	if c.o.DryRun {
		c.deleted(items)
		return nil
	}
	batches := c.split(items)
	answering, answers := storage.WatchAnswers(ctx)
	if err := c.publish(answering, batches); err != nil {
		return err
	}
	err := c.carryOutAll(ctx, batches, again, tagged, answers.Last())
	if err != nil {
		// What was only condemned need not bother pushes until the next run.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		c.withdraw(ctx, batches)
		return err
	}
	return c.conclude(ctx, batches)
}

func (c *collector) carryOutAll(ctx context.Context, batches []*published, again recheck, tagged bool, at time.Time) error {
	if tagged && !at.IsZero() {
		if err := c.awaitTime(ctx, at.Add(tagWithin+clockMargin)); err != nil {
			return err
		}
	}
	var items []item
	for _, p := range batches {
		items = append(items, p.batch.Items...)
	}
	keep, err := again(ctx, items)
	if err != nil {
		return err
	}
	for n, p := range batches {
		c.o.Progress("delete", n+1, len(batches))
		if err := c.carryOut(ctx, p, keep); err != nil {
			return err
		}
	}
	return nil
}

// split makes batches of items. Those that are too many are for the next run.
func (c *collector) split(items []item) []*published {
	var all []*published
	for len(items) > 0 {
		n, targets := 0, 0
		for n < len(items) && n < mostOfABatch && targets+max(len(items[n].Keys), 1) <= storage.MaxTargets {
			targets += max(len(items[n].Keys), 1)
			n++
		}
		if n == 0 || len(all) == mostBatches {
			for _, i := range items {
				c.next[i.Name] = i.modTime.Truncate(time.Second)
			}
			break
		}
		all = append(all, &published{id: c.r.facts.newID(), batch: batch{State: condemned, Items: items[:n:n]}})
		items = items[n:]
	}
	return all
}

// publish writes the batches, and then enters them where pushes look.
func (c *collector) publish(ctx context.Context, batches []*published) error {
	for _, p := range batches {
		var err error
		if p.version, err = c.r.writeBatch(ctx, p.id, p.batch, storage.Absent); err != nil {
			return err
		}
	}
	if c.r.breakRule(skipEpoch) {
		return nil
	}
	e, err := c.r.facts.advance(ctx, func(e *epoch) {
		for _, p := range batches {
			e.Batches[p.id] = p.batch.span()
		}
	})
	if err == nil {
		c.r.facts.saw(e)
		c.r.deleted(ctx)
	}
	return err
}

// carryOut deletes what is left of a batch, less what is to be kept.
func (c *collector) carryOut(ctx context.Context, p *published, keep map[string]bool) error {
	for range batchTries {
		p.batch.without(func(name string) bool { return keep[name] })
		if len(p.batch.Items) == 0 {
			return nil // nobody can take the record for anything but empty, or over
		}
		d, err := c.store.PrepareDelete(ctx, p.batch.targets())
		if err != nil {
			return err
		}
		next := p.batch
		next.State, next.Expires = deleting, d.Expires()
		next.Changes++
		version, err := c.r.writeBatch(ctx, p.id, next, p.version)
		if err == nil {
			p.batch, p.version = next, version
			p.batch.Changes++
			return c.finishDeletion(ctx, p, d, time.Time{})
		}
		if !errors.Is(err, storage.ErrConflict) {
			return err
		}
		was := modTimes(p.batch.Items)
		if p.batch, p.version, err = c.r.readBatch(ctx, p.id); err != nil {
			if errors.Is(err, storage.ErrNotFound) {
				return errLeaseLost // who took over has withdrawn it
			}
			return err
		}
		if p.batch.State != condemned {
			return errLeaseLost
		}
		for i := range p.batch.Items {
			p.batch.Items[i].modTime = was[p.batch.Items[i].Name]
		}
	}
	return fmt.Errorf("record %s: %d writers came first: %w", batchKey(p.id), batchTries, storage.ErrConflict)
}

func modTimes(items []item) map[string]time.Time {
	times := map[string]time.Time{}
	for _, i := range items {
		times[i.Name] = i.modTime
	}
	return times
}

const deletionTries = 3

// finishDeletion does a deletion that was published, and returns once nothing of
// it, nor of one before it that expires at older, can happen any more.
func (c *collector) finishDeletion(ctx context.Context, p *published, d storage.Deletion, older time.Time) error {
	still := func(ctx context.Context) error {
		now, _, err := c.r.readBatch(ctx, p.id)
		if errors.Is(err, storage.ErrNotFound) || err == nil && now.State != deleting {
			return errLeaseLost
		}
		return err
	}
	for try := 1; ; try++ {
		err := d.Do(ctx, still)
		if err == nil {
			break
		}
		if try == deletionTries || ctx.Err() != nil || errors.Is(err, errLeaseLost) {
			return err
		}
		if d.Expires().After(older) {
			older = d.Expires() // it got no answer
		}
		if d, err = c.sign(ctx, p); err != nil {
			return err
		}
	}
	if older.IsZero() || c.r.breakRule(skipExpiry) {
		c.deleted(p.batch.Items)
		return nil
	}
	if err := c.awaitTime(ctx, older); err != nil {
		return err
	}
	c.deleted(p.batch.Items)
	return nil
}

// sign prepares a deletion of a batch that is being deleted already, and notes in
// its record until when that may happen.
func (c *collector) sign(ctx context.Context, p *published) (storage.Deletion, error) {
	d, err := c.store.PrepareDelete(ctx, p.batch.targets())
	if err != nil {
		return nil, err
	}
	if d.Expires().After(p.batch.Expires) {
		p.batch.Expires = d.Expires()
		p.version, err = c.r.writeBatch(ctx, p.id, p.batch, p.version)
		p.batch.Changes++
		if errors.Is(err, storage.ErrConflict) || errors.Is(err, storage.ErrNotFound) {
			err = errLeaseLost
		}
	}
	return d, err
}

// awaitTime returns once it is later than that by the clock of the store.
func (c *collector) awaitTime(ctx context.Context, t time.Time) error {
	for {
		now, err := c.store.StoreTime(ctx)
		if err != nil || now.After(t) {
			return err
		}
		c.o.Progress("wait for what may still be under way", 0, 0)
		if err := c.r.pause(ctx, min(t.Sub(now)+time.Second, 10*time.Second)); err != nil {
			return err
		}
	}
}

func (c *collector) deleted(items []item) {
	for _, i := range items {
		g := Unused{Reason: i.Why, Bytes: i.Size}
		g.Kind, g.Repository, g.Reference = i.parts()
		c.found(g)
		if g.Kind == "tag" && !c.o.DryRun {
			c.r.log.Info("tag deleted", "repository", g.Repository, "tag", g.Reference, "reason", g.Reason)
		}
	}
}

// parts takes the name of an item apart.
func (i item) parts() (kind, repository, reference string) {
	kind, rest, _ := strings.Cut(i.Name, " ")
	if repo, ref, ok := strings.Cut(rest, " "); ok {
		return kind, repo, ref
	}
	return kind, "", rest
}

// conclude takes batches that are over out of the epoch record, and removes them.
func (c *collector) conclude(ctx context.Context, batches []*published) error {
	ids := make([]string, len(batches))
	for i, p := range batches {
		ids[i] = p.id
	}
	return c.r.unlist(ctx, ids)
}

func (r *Registry) unlist(ctx context.Context, ids []string) error {
	e, err := r.facts.advance(ctx, func(e *epoch) {
		for _, id := range ids {
			delete(e.Batches, id)
		}
	})
	if err != nil {
		return err
	}
	r.facts.saw(e)
	r.deleted(ctx)
	for _, id := range ids {
		if err := r.records.Delete(ctx, batchKey(id), storage.Any); err != nil {
			return err
		}
	}
	return nil
}

// withdraw gives up the batches that are condemned only.
func (c *collector) withdraw(ctx context.Context, batches []*published) {
	var over []string
	for _, p := range batches {
		b, version, err := c.r.readBatch(ctx, p.id)
		if err == nil && b.State == condemned {
			err = c.r.records.Delete(ctx, batchKey(p.id), version)
		}
		if err == nil && b.State == condemned || errors.Is(err, storage.ErrNotFound) {
			over = append(over, p.id)
		}
	}
	if len(over) > 0 {
		_ = c.r.unlist(ctx, over)
	}
}

// recoverBatches ends what a collector has left that died, or is paused: what is
// only condemned is withdrawn, and it finds that out; what is being deleted is
// deleted to the end.
func (c *collector) recoverBatches(ctx context.Context) error {
	e, _, err := readEpoch(ctx, c.r.records)
	if err != nil {
		return err
	}
	ids := map[string]bool{}
	for id := range e.Batches {
		ids[id] = true
	}
	for key, err := range c.r.records.List(ctx, batchFolder, "") {
		if err != nil {
			return err
		}
		ids[strings.TrimPrefix(key, batchFolder)] = true
	}
	var over []string
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		if err := c.recoverBatch(ctx, id); err != nil {
			return err
		}
		over = append(over, id)
	}
	if len(over) == 0 {
		return nil
	}
	return c.r.unlist(ctx, over)
}

func (c *collector) recoverBatch(ctx context.Context, id string) error {
	for range batchTries {
		b, version, err := c.r.readBatch(ctx, id)
		if errors.Is(err, storage.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		over := b.State == condemned
		if !over {
			// It was entered before it was deleting. If it is there no more, it is over.
			e, _, err := readEpoch(ctx, c.r.records)
			if err != nil {
				return err
			}
			_, listed := e.Batches[id]
			over = !listed
		}
		if over {
			err = c.r.records.Delete(ctx, batchKey(id), version)
			if errors.Is(err, storage.ErrConflict) {
				continue // it may be deleting by now
			}
			return err
		}
		p := &published{id: id, batch: b, version: version}
		older := b.Expires
		d, err := c.sign(ctx, p)
		if errors.Is(err, errLeaseLost) {
			continue
		}
		if err != nil {
			return err
		}
		return c.finishDeletion(ctx, p, d, older)
	}
	return fmt.Errorf("record %s: %d writers came first: %w", batchKey(id), batchTries, storage.ErrConflict)
}
