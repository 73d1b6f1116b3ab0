package registry

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// TagAsSeen is a tag, and how somebody saw it who decided that it is to go.
type TagAsSeen struct {
	Repository oci.Repository
	Tag        oci.Tag
	Digest     oci.Digest
	Pushed     time.Time // the record's time of modification
	Why        string    // for the report; "" is that it was to be deleted
}

// SeeTag returns a tag for DeleteTagsAsSeen. MANIFEST_UNKNOWN.
func (r *Registry) SeeTag(ctx context.Context, repo oci.Repository, tag oci.Tag) (TagAsSeen, error) {
	rec, err := r.records.Get(ctx, tagCurrent(repo, tag))
	if errors.Is(err, storage.ErrNotFound) {
		return TagAsSeen{}, manifestUnknown(repo, tag.String(), err)
	}
	if err != nil {
		return TagAsSeen{}, err
	}
	d, _ := linked(rec) // one that is damaged points at nothing
	return TagAsSeen{Repository: repo, Tag: tag, Digest: d, Pushed: rec.ModTime}, nil
}

// DeleteTagsAsSeen deletes tags that still are as they were seen, by the protocol
// of garbage collections: a tag that is pushed meanwhile, at whatever step, to the
// same or another digest, stays. Immutable ones stay, too. The report counts those
// that are gone. CONFLICT as for Collect.
func (r *Registry) DeleteTagsAsSeen(ctx context.Context, tags []TagAsSeen, o CollectOptions) (CollectReport, error) {
	o = o.withDefaults()
	c := &collector{r: r, o: o, started: r.facts.now().UTC(), report: newCollectReport(o), next: candidates{}}
	var ok bool
	if c.store, ok = storage.As[storage.Collectible](r.blobs); !ok {
		return c.report, errors.New("tags of this store cannot be deleted while others push")
	}
	ctx = storage.Background(ctx)
	mark, err := r.Exclusive(ctx)
	if err == nil && !mark.Exclusive {
		err = notExclusive()
	}
	if err != nil {
		return c.report, err
	}
	lease, err := r.takeLease(ctx, c.store, "")
	if err != nil {
		return c.report, err
	}
	c.report.ID = lease.ID
	running, stop := lease.keep(ctx)
	defer stop()
	err = c.recoverBatches(running)
	if err == nil {
		err = c.deleteTagsAsSeen(running, tags)
	}
	return c.finish(err), errors.Join(err, lease.release(context.WithoutCancel(ctx)))
}

func (c *collector) deleteTagsAsSeen(ctx context.Context, tags []TagAsSeen) error {
	seen := map[string]TagAsSeen{}
	rules := map[oci.Repository]immutable{}
	var items []item
	for _, t := range tags {
		im, ok := rules[t.Repository]
		if !ok {
			var err error
			if im, err = c.r.immutableTags(ctx, t.Repository); err != nil {
				return err
			}
			rules[t.Repository] = im
		}
		if im.mayDelete(t.Tag) != nil {
			continue
		}
		i := item{Name: tagItem(t.Repository, t.Tag), Why: cmp.Or(t.Why, whyTag), modTime: t.Pushed}
		for key, err := range c.r.records.List(ctx, tagIndex(t.Repository, t.Tag), "") {
			if err != nil {
				return err
			}
			i.Keys = append(i.Keys, key)
		}
		i.Keys = append(i.Keys, tagCurrent(t.Repository, t.Tag)) // last, so that a crash leaves a tag
		items = append(items, i)
		seen[i.Name] = t
	}
	again := func(ctx context.Context, items []item) (map[string]bool, error) {
		keep := map[string]bool{}
		for _, i := range items {
			t := seen[i.Name]
			now, err := c.r.SeeTag(ctx, t.Repository, t.Tag)
			if err != nil && oci.ErrorCode(err) != oci.CodeManifestUnknown {
				return nil, err
			}
			im, rerr := c.r.immutableTags(ctx, t.Repository)
			if rerr != nil {
				return nil, rerr
			}
			keep[i.Name] = err != nil || now.Digest != t.Digest || !now.Pushed.Equal(t.Pushed) || im.mayDelete(t.Tag) != nil
		}
		return keep, nil
	}
	return c.deleteItems(ctx, items, again, true)
}
