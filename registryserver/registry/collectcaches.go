package registry

import (
	"context"
	"fmt"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// CollectedCache is a pull-through cache as a collection sees it.
type CollectedCache struct {
	// Prefix is what its repositories begin with, without the slash that follows; ""
	// is every repository that is of no other cache. The longest prefix counts.
	Prefix string
	// MaxBytes is how much its images may occupy; 0 is no bound.
	MaxBytes int64
}

// CacheUsage is what a collection says of a pull-through cache with a bound.
type CacheUsage struct {
	Prefix   string `json:"prefix"`
	MaxBytes int64  `json:"max_bytes"`
	Images   int    `json:"images"` // that stay
	Bytes    int64  `json:"bytes"`  // of those
	// EvictedImages and EvictedBytes are what this collection was the first to evict.
	EvictedImages int   `json:"evicted_images"`
	EvictedBytes  int64 `json:"evicted_bytes"`
}

// cachedFor is how long ago somebody has to have pulled a manifest without a tag,
// of a cache without a bound, for it to be garbage. Distribution's proxy keeps
// everything for so long.
const cachedFor = 7 * oci.Day

// cachedState is what a collection knows of pull-through caches.
type cachedState struct {
	pulls   pullTimes
	evicted map[oci.Repository]map[oci.Digest]string // canonical digests, and why
}

// cacheOf returns the cache that a repository is of; nil for none.
func (o CollectOptions) cacheOf(repo oci.Repository) *CollectedCache {
	var best *CollectedCache
	for i := range o.Caches {
		cache := &o.Caches[i]
		if cache.Prefix != "" && !strings.HasPrefix(repo.String(), cache.Prefix+"/") {
			continue
		}
		if best == nil || len(cache.Prefix) > len(best.Prefix) {
			best = cache
		}
	}
	return best
}

// evictImages holds pull-through caches to their bounds. It deletes the tags of
// what goes; the manifests go as those do that nothing leads to.
func (c *collector) evictImages(ctx context.Context) error {
	if len(c.o.Caches) == 0 {
		return nil
	}
	var err error
	c.cached.evicted = map[oci.Repository]map[oci.Digest]string{}
	if c.cached.pulls, err = c.r.readPulls(ctx, func(repo oci.Repository) bool { return c.o.cacheOf(repo) != nil }); err != nil {
		return err
	}
	images := map[*CollectedCache][]cachedImage{}
	for n, rs := range c.repos {
		cache := c.o.cacheOf(rs.repo)
		if cache == nil || cache.MaxBytes <= 0 {
			continue
		}
		c.o.Progress("look at pull-through caches", n+1, len(c.repos))
		tags, err := c.tagsSeen(ctx, rs)
		if err != nil {
			return err
		}
		images[cache] = append(images[cache], c.imagesOf(rs, tags)...)
	}
	sizes, err := c.sizesOf(ctx, images)
	if err != nil {
		return err
	}
	var gone []TagAsSeen
	for i := range c.o.Caches {
		if cache := &c.o.Caches[i]; cache.MaxBytes > 0 {
			gone = append(gone, c.evictFrom(cache, images[cache], sizes)...)
		}
	}
	return c.deleteTagsAsSeen(ctx, gone)
}

// evictFrom decides what goes of a cache, and returns the tags of that.
func (c *collector) evictFrom(cache *CollectedCache, images []cachedImage, sizes map[oci.Digest]int64) (gone []TagAsSeen) {
	e := evict(images, sizes, cache.MaxBytes)
	why := whyEvicted(cache)
	usage := CacheUsage{Prefix: cache.Prefix, MaxBytes: cache.MaxBytes, Images: len(images) - len(e.images), Bytes: e.kept}
	for n, i := range e.images {
		repo := i.rs.repo
		if _, again := c.known[manifestItem(repo, i.root)]; !again {
			usage.EvictedImages++
			usage.EvictedBytes += e.freed[n]
		}
		for _, t := range i.tags {
			gone = append(gone, TagAsSeen{Repository: repo, Tag: t.Tag, Digest: t.Digest, Pushed: t.Pushed, Why: why})
		}
		if c.cached.evicted[repo] == nil {
			c.cached.evicted[repo] = map[oci.Digest]string{}
		}
		for _, d := range i.parts {
			c.cached.evicted[repo][d] = why // what an image needs that stays is kept for that
		}
	}
	c.report.Caches = append(c.report.Caches, usage)
	return gone
}

func whyEvicted(cache *CollectedCache) string {
	of := "the pull-through cache " + cache.Prefix
	if cache.Prefix == "" {
		of = "the pull-through cache of the registry"
	}
	return fmt.Sprintf("%s may have %d bytes, and this was used longest ago", of, cache.MaxBytes)
}

// tagsSeen returns the tags of a repository as they are in the store.
func (c *collector) tagsSeen(ctx context.Context, rs *repoState) ([]RetentionTag, error) {
	rules, err := c.r.immutableTags(ctx, rs.repo)
	if err != nil {
		return nil, err
	}
	var tags []RetentionTag
	for _, t := range rs.tags {
		if t.modTime.IsZero() {
			continue // a history without a tag
		}
		tag := RetentionTag{Tag: t.tag}
		if p, ok := rules.pattern(t.tag); ok {
			tag.Immutable = p.String()
		}
		tags = append(tags, tag)
	}
	return tags, c.seeTags(ctx, rs, tags, func(int) bool { return true })
}

// sizesOf returns the sizes of what is there of the content of images.
func (c *collector) sizesOf(ctx context.Context, images map[*CollectedCache][]cachedImage) (map[oci.Digest]int64, error) {
	sizes := map[oci.Digest]int64{}
	for _, all := range images {
		for _, i := range all {
			for _, d := range i.content {
				sizes[d] = 0
			}
		}
	}
	if len(sizes) == 0 {
		return sizes, nil
	}
	err := eachShard(ctx, c.o.Concurrency, hexDigits, c.store.BlobsBelow, func(info storage.BlobInfo) error {
		if _, ok := sizes[info.Digest]; ok {
			sizes[info.Digest] = info.Size
		}
		return nil
	})
	return sizes, err
}

// ofCache says why a manifest goes that no tag leads to, where a cache had to evict
// it, and whether it stays since it is of a cache: there it is in use if it was
// pulled, though it may lack layers that nobody has pulled. It is known under all
// these digests.
func (c *collector) ofCache(rs *repoState, canonical oci.Digest, all []oci.Digest) (evicted string, used bool) {
	cache := c.o.cacheOf(rs.repo)
	switch {
	case cache == nil:
		return "", false
	case cache.MaxBytes > 0:
		return c.cached.evicted[rs.repo][canonical], true
	}
	for _, d := range all {
		last := latest(rs.revisions[d], c.cached.pulls.of(rs.repo, d.String()))
		used = used || c.now.Sub(last) < cachedFor
	}
	return "", used
}
