package registry

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func TestEvict(t *testing.T) {
	sizes := map[oci.Digest]int64{}
	blob := func(name string, size int64) oci.Digest {
		d := oci.FromBytes([]byte(name))
		sizes[d] = size
		return d
	}
	a, b, c, shared := blob("a", 10), blob("b", 20), blob("c", 30), blob("shared", 100)
	rs := newRepoState(oci.MustRepository("hub/app"))
	at := func(hour int) time.Time { return time.Unix(0, 0).UTC().Add(time.Duration(hour) * time.Hour) }
	image := func(day, hour int, content ...oci.Digest) cachedImage {
		return cachedImage{rs: rs, root: content[0], content: content, day: day, stored: at(hour)}
	}
	pinned := func(i cachedImage) cachedImage { i.pinned = true; return i }
	for name, test := range map[string]struct {
		images []cachedImage
		most   int64
		gone   []oci.Digest
		freed  []int64
		kept   int64
	}{
		"none":                       {nil, 0, nil, nil, 0},
		"it fits":                    {[]cachedImage{image(1, 1, a), image(2, 1, b)}, 30, nil, nil, 30},
		"the oldest day":             {[]cachedImage{image(3, 1, c), image(1, 9, a), image(2, 1, b)}, 59, []oci.Digest{a}, []int64{10}, 50},
		"of a day, what came first":  {[]cachedImage{image(1, 3, a), image(1, 2, b), image(1, 4, c)}, 40, []oci.Digest{b}, []int64{20}, 40},
		"what is shared counts once": {[]cachedImage{image(1, 1, a, shared), image(2, 1, b, shared)}, 130, nil, nil, 130},
		"what is shared stays":       {[]cachedImage{image(1, 1, a, shared), image(2, 1, b, shared)}, 129, []oci.Digest{a}, []int64{10}, 120},
		"and goes with the last":     {[]cachedImage{image(1, 1, a, shared), image(2, 1, b, shared), image(3, 1, c)}, 119, []oci.Digest{a, b}, []int64{10, 120}, 30},
		"what is pinned stays":       {[]cachedImage{pinned(image(1, 1, c)), image(2, 1, a), image(3, 1, b)}, 25, []oci.Digest{a, b}, []int64{10, 20}, 30},
		"what is not here is free":   {[]cachedImage{image(1, 1, a, oci.FromBytes([]byte("absent")))}, 10, nil, nil, 10},
	} {
		e := evict(test.images, sizes, test.most)
		var gone []oci.Digest
		for _, i := range e.images {
			gone = append(gone, i.root)
		}
		if !slices.Equal(gone, test.gone) || !slices.Equal(e.freed, test.freed) || e.kept != test.kept {
			t.Errorf("%s: %v, %v, kept %d", name, gone, e.freed, e.kept)
		}
	}
}

// TestEvictProperties: of any cache, what stays fits, unless all of it has to stay;
// nothing goes that was used after something that could; and no more goes than has
// to.
func TestEvictProperties(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var blobs []oci.Digest
	sizes := map[oci.Digest]int64{}
	for n := range 30 {
		d := oci.FromBytes(fmt.Append(nil, n))
		blobs = append(blobs, d)
		sizes[d] = random.Int64N(1000)
	}
	occupied := func(images []cachedImage) (sum int64) {
		found := map[oci.Digest]bool{}
		for _, i := range images {
			for _, d := range i.content {
				found[d] = true
			}
		}
		for d := range maps.Keys(found) {
			sum += sizes[d]
		}
		return sum
	}
	rs := newRepoState(oci.MustRepository("hub/app"))
	evictions := 0
	for round := range 2000 {
		var images []cachedImage
		for n := range random.IntN(12) {
			i := cachedImage{rs: rs, root: oci.FromBytes(fmt.Append(nil, "root", n)), day: random.IntN(4), stored: time.Unix(random.Int64N(5), 0), pinned: random.IntN(5) == 0}
			for range random.IntN(6) {
				i.content = append(i.content, blobs[random.IntN(len(blobs))])
			}
			i.content = sortedDigests(i.content)
			images = append(images, i)
		}
		most := random.Int64N(8000)
		e := evict(slices.Clone(images), sizes, most)
		gone := map[string]bool{}
		for _, i := range e.images {
			gone[i.name()] = true
		}
		var stay []cachedImage
		unpinned := 0
		for _, i := range images {
			if gone[i.name()] {
				continue
			}
			stay = append(stay, i)
			if i.pinned {
				continue
			}
			unpinned++
			for _, j := range e.images {
				if i.used(j) < 0 {
					t.Fatalf("round %d: %s went, and %s stays, which was used before", round, j.name(), i.name())
				}
			}
		}
		freed := int64(0)
		for _, n := range e.freed {
			freed += n
		}
		switch kept := occupied(stay); {
		case kept != e.kept || freed != occupied(images)-kept:
			t.Fatalf("round %d: %d bytes stay, and it says %d; it freed %d of %d", round, kept, e.kept, freed, occupied(images))
		case kept > most && unpinned > 0:
			t.Fatalf("round %d: %d bytes of %d stay, and %d images could go", round, kept, most, unpinned)
		case len(e.images) > 0 && occupied(append(stay, e.images[len(e.images)-1])) <= most:
			t.Fatalf("round %d: the last that went need not have", round)
		}
		evictions += len(e.images)
	}
	if evictions < 1000 {
		t.Errorf("only %d evictions", evictions)
	}
}

func TestCacheOf(t *testing.T) {
	o := CollectOptions{Caches: []CollectedCache{{Prefix: "hub"}, {Prefix: "hub/deep", MaxBytes: 1}}}
	for name, want := range map[string]string{"hub/app": "hub", "hub/deep/app": "hub/deep", "hub/deeper": "hub", "hub": "none", "hubs/app": "none", "app": "none"} {
		got := "none"
		if cache := o.cacheOf(oci.MustRepository(name)); cache != nil {
			got = cache.Prefix
		}
		if got != want {
			t.Errorf("%s is of the cache %s, want %s", name, got, want)
		}
	}
	o.Caches = append(o.Caches, CollectedCache{MaxBytes: 7})
	if cache := o.cacheOf(oci.MustRepository("app")); cache == nil || cache.MaxBytes != 7 || !strings.Contains(whyEvicted(cache), "of the registry") {
		t.Errorf("%+v", cache)
	}
}
