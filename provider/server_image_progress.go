package provider

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// uploadParallel is how many blocks are under way at once, each with a buffer
// of its size.
const uploadParallel = 16

// uploadBuffers is one more: that of the block that is read meanwhile.
const uploadBuffers = uploadParallel + 1

// blockProgress is which blocks of a snapshot are there: all before next, but
// for the missing ones. As text it is kept in a tag of the snapshot, since the
// API does not list the blocks of a snapshot before it is complete. Blocks are
// begun in order, so few are missing at any time.
type blockProgress struct {
	mu      sync.Mutex
	next    int
	missing map[int]bool
}

// has reports whether a block need not be put.
func (p *blockProgress) has(index int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return index < p.next && !p.missing[index]
}

func (p *blockProgress) begin(index int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = max(p.next, index+1)
	if p.missing == nil {
		p.missing = map[int]bool{}
	}
	p.missing[index] = true
}

func (p *blockProgress) end(index int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.missing, index)
}

// String is next, and then the missing ones: "1200 1187 1199".
func (p *blockProgress) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	words := []string{strconv.Itoa(p.next)}
	for index := range p.missing {
		words = append(words, strconv.Itoa(index))
	}
	slices.SortFunc(words[1:], func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	return strings.Join(words, " ")
}

// parseProgress is the inverse of String.
func parseProgress(text string) (*blockProgress, error) {
	if len(text) > 256 { // no tag is longer
		return nil, errors.New("it is too long")
	}
	p := &blockProgress{missing: map[int]bool{}}
	before := -1
	for i, word := range strings.Split(text, " ") {
		n, err := strconv.Atoi(word)
		if err != nil || strconv.Itoa(n) != word || n < 0 || n > largestVolume*(gibibyte/blockSize) {
			return nil, fmt.Errorf("%q is not the number of a block", word)
		}
		if i == 0 {
			p.next = n
			continue
		}
		if n <= before || n >= p.next || i > uploadBuffers {
			return nil, fmt.Errorf("the missing block %d is out of place", n)
		}
		p.missing[n], before = true, n
	}
	return p, nil
}
