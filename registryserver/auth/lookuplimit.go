package auth

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// lookupLimit bounds how often clients make the server look for tokens that
// there are not: each client, and all together, in each window of time. It
// counts a lookup until it has found something.
type lookupLimit struct {
	now func() time.Time

	mu      sync.Mutex
	since   time.Time // the window began
	total   int
	clients *simplelru.LRU[string, int]
}

const (
	lookupWindow    = 10 * time.Second
	lookupsOfClient = 50
	lookupsOfAll    = 500
)

func newLookupLimit(now func() time.Time) *lookupLimit {
	clients, err := simplelru.NewLRU[string, int](lookupsOfAll, nil)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &lookupLimit{now: now, clients: clients}
}

// begin counts a lookup, or returns a *RetryError. The caller then says whether
// it found something.
func (l *lookupLimit) begin(client string) (found func(bool), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if age := now.Sub(l.since); age >= lookupWindow || age < 0 {
		l.since, l.total = now, 0
		l.clients.Purge()
	}
	mine, _ := l.clients.Get(client)
	if mine >= lookupsOfClient || l.total >= lookupsOfAll {
		return nil, tooManyFailures(l.since.Add(lookupWindow).Sub(now))
	}
	window := l.since
	l.total++
	l.clients.Add(client, mine+1)
	return func(ok bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !ok || !l.since.Equal(window) {
			return
		}
		l.total--
		if n, counted := l.clients.Peek(client); counted {
			l.clients.Add(client, n-1)
		}
	}, nil
}
