package proxycache

import (
	"cmp"
	"maps"
	"slices"
	"sync"
)

// Count is one of the numbers that a cache keeps of itself.
type Count struct {
	// Name is requests, hits, misses, stale or pulled_bytes, with the Kind manifest
	// or blob, or upstream_errors with the kind of the fault.
	Name, Prefix, Kind string
	Value              float64
}

// Limits are what an upstream said last of how many pulls it allows.
type Limits struct {
	Prefix           string
	Limit, Remaining float64
	Known            bool
}

type counter struct{ name, prefix, kind string }

type stats struct {
	mu     sync.Mutex
	counts map[counter]float64
	said   map[string]Limits
}

func newStats() *stats { return &stats{counts: map[counter]float64{}, said: map[string]Limits{}} }

func (s *stats) add(c counter, n float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[c] += n
}

func (s *stats) limits(prefix string, change func(*Limits)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.said[prefix]
	l.Prefix = prefix
	change(&l)
	s.said[prefix] = l
}

// Counts returns all counts so far, in a fixed order.
func (c *Cache) Counts() []Count {
	c.stats.mu.Lock()
	defer c.stats.mu.Unlock()
	all := make([]Count, 0, len(c.stats.counts))
	for k, n := range c.stats.counts {
		all = append(all, Count{k.name, k.prefix, k.kind, n})
	}
	slices.SortFunc(all, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Prefix, b.Prefix), cmp.Compare(a.Kind, b.Kind))
	})
	return all
}

// Limits returns what upstreams said last of their limits.
func (c *Cache) Limits() []Limits {
	c.stats.mu.Lock()
	defer c.stats.mu.Unlock()
	return slices.SortedFunc(maps.Values(c.stats.said), func(a, b Limits) int { return cmp.Compare(a.Prefix, b.Prefix) })
}
