package registry

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// cachedImage is an image of a pull-through cache as evictions see it: what a tag
// or a pull by digest leads to, with all that it consists of.
type cachedImage struct {
	rs    *repoState
	root  oci.Digest     // canonical
	parts []oci.Digest   // its manifests, root among them
	tags  []RetentionTag // that point at root
	// content is what it occupies the storage with: manifests, configs and layers,
	// each once.
	content []oci.Digest

	day    int       // of the last use
	stored time.Time // when something of it was stored last, or its tag looked at
	pinned bool      // it stays, whatever the bound
}

// used orders images by their last use. Pulls are known to the day; within one,
// what was stored or looked at later counts as used later.
func (i cachedImage) used(j cachedImage) int {
	return cmp.Or(cmp.Compare(i.day, j.day), i.stored.Compare(j.stored), strings.Compare(i.name(), j.name()))
}

func (i cachedImage) name() string { return i.rs.repo.String() + " " + i.root.String() }

// eviction is what becomes of a cache.
type eviction struct {
	images []cachedImage // that go, the least recently used first
	freed  []int64       // what nothing else of the cache needs once each is gone
	kept   int64         // bytes of what stays
}

// evict chooses what goes of a cache so that what stays has at most so many bytes:
// the images that were used longest ago. What several have is counted once. It is a
// pure function, and orders images.
func evict(images []cachedImage, sizes map[oci.Digest]int64, most int64) eviction {
	users := map[oci.Digest]int{}
	var e eviction
	for _, i := range images {
		for _, d := range i.content {
			if users[d]++; users[d] == 1 {
				e.kept += sizes[d]
			}
		}
	}
	slices.SortFunc(images, cachedImage.used)
	for _, i := range images {
		if e.kept <= most {
			break
		}
		if i.pinned {
			continue
		}
		freed := int64(0)
		for _, d := range i.content {
			if users[d]--; users[d] == 0 {
				freed += sizes[d]
			}
		}
		e.kept -= freed
		e.images, e.freed = append(e.images, i), append(e.freed, freed)
	}
	return e
}

// imagesOf takes the manifests of a repository of a cache apart into images, with
// the tags that lead to them. One that an index of the repository lists, or that
// refers to another one, is a part of that image, unless it has a tag of its own.
func (c *collector) imagesOf(rs *repoState, tags []RetentionTag) []cachedImage {
	names := rs.manifestNames()
	tagged := map[oci.Digest][]RetentionTag{}
	for _, t := range tags {
		if d := rs.canonical(t.Digest); names[d] != nil {
			tagged[d] = append(tagged[d], t)
		}
	}
	parts := map[oci.Digest][]oci.Digest{}
	isPart := map[oci.Digest]bool{}
	add := func(of, part oci.Digest) {
		if of != part && names[of] != nil && names[part] != nil {
			parts[of] = append(parts[of], part)
			isPart[part] = true
		}
	}
	for d := range names {
		m, _ := c.marks.get(d)
		for _, child := range m.children {
			add(d, rs.canonical(child))
		}
		if !m.subject.IsZero() {
			add(rs.canonical(m.subject), d)
		}
	}
	var images []cachedImage
	times := map[oci.Digest]int{} // of how many images a manifest is a part
	root := func(d oci.Digest) {
		i := cachedImage{rs: rs, root: d, parts: reach(d, parts), tags: tagged[d]}
		for _, part := range i.parts {
			times[part]++
		}
		images = append(images, i)
	}
	all := make([]oci.Digest, 0, len(names))
	for d := range names {
		all = append(all, d)
	}
	all = sortedDigests(all)
	for _, d := range all {
		if len(tagged[d]) > 0 || !isPart[d] {
			root(d)
		}
	}
	for _, d := range all {
		if times[d] == 0 { // an index that refers to what it lists
			root(d)
		}
	}
	for n := range images {
		c.measure(&images[n], names, times)
	}
	return images
}

// reach returns a manifest and all its parts.
func reach(d oci.Digest, parts map[oci.Digest][]oci.Digest) []oci.Digest {
	found, seen := []oci.Digest{d}, map[oci.Digest]bool{d: true}
	for n := 0; n < len(found); n++ {
		for _, part := range parts[found[n]] {
			if !seen[part] {
				seen[part] = true
				found = append(found, part)
			}
		}
	}
	return found
}

// measure finds out what an image occupies, and when it was used. That a part was
// pulled that other images have, too, says nothing about this one.
func (c *collector) measure(i *cachedImage, names map[oci.Digest][]oci.Digest, times map[oci.Digest]int) {
	rs := i.rs
	for _, d := range i.parts {
		m, read := c.marks.get(d)
		i.pinned = i.pinned || !read // nor does a collection delete what it cannot read
		i.content = append(i.content, d)
		for layer := range m.layers() {
			if rs.hasLayer(layer) { // what nobody has pulled yet occupies nothing
				i.content = append(i.content, rs.canonical(layer))
			}
		}
		if d != i.root && times[d] > 1 {
			continue
		}
		for _, name := range names[d] {
			i.stored = latest(i.stored, rs.revisions[name])
			i.day = max(i.day, c.cached.pulls.day(rs.repo, name.String()))
		}
	}
	i.content = sortedDigests(i.content)
	for _, t := range i.tags {
		i.stored = latest(i.stored, t.Pushed)
		i.day = max(i.day, c.cached.pulls.day(rs.repo, t.Tag.String()))
		i.pinned = i.pinned || t.Immutable != ""
	}
	i.day = max(i.day, dayOf(i.stored))
	i.pinned = i.pinned || c.young(i.stored)
}
