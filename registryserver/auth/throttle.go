package auth

import (
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// throttle slows down who guesses passwords: after freeFailures failures of a
// client address for a user name, further tries of that pair are turned away
// for a time that doubles with each failure. It is bounded: the pair that was
// quiet for longest is forgotten first. Nobody can lock out a user for another
// address.
type throttle struct {
	now func() time.Time

	mu    sync.Mutex
	pairs *simplelru.LRU[string, *pair]
}

type pair struct {
	failures int
	running  int       // tries that are being decided
	last     time.Time // failure
	until    time.Time // no try before

	// What failed last, and against which bcrypt hash ("" for no such user).
	wrong     credential
	wrongHash string
}

const (
	freeFailures   = 5
	firstBlock     = time.Second
	longestBlock   = time.Minute
	forgetFailures = 15 * time.Minute
	maxPairs       = 10_000
	// maxPairName bounds the part of a user name that is remembered.
	maxPairName = 256
)

func newThrottle(now func() time.Time) *throttle {
	pairs, err := simplelru.NewLRU[string, *pair](maxPairs, nil)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &throttle{now: now, pairs: pairs}
}

func pairKey(client, username string) string {
	return client + "\x00" + strings.Clone(username[:min(len(username), maxPairName)])
}

// begin says how long the pair must wait before its next try; 0 lets it try,
// and the caller then calls end. It bounds the tries at once, too.
func (t *throttle) begin(key string) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	p, ok := t.pairs.Get(key)
	if !ok {
		p = new(pair)
		t.pairs.Add(key, p)
	}
	if now.Sub(p.last) > forgetFailures {
		p.failures = 0
	}
	switch {
	case now.Before(p.until):
		return p.until.Sub(now)
	case p.running > 0 && p.failures+p.running >= freeFailures:
		return firstBlock
	}
	p.running++
	return 0
}

// repeated reports whether this very credential was what failed last for the
// pair, against the same hash. Programs with a stale password repeat it without
// end: that is no guessing, and must not lock out who has the right one.
func (t *throttle) repeated(key string, c credential, hash string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.pairs.Peek(key)
	return ok && p.failures > 0 && p.wrong == c && p.wrongHash == hash && t.now().Sub(p.last) <= forgetFailures
}

// blocked reports whether the pair is turned away now.
func (t *throttle) blocked(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.pairs.Peek(key)
	return ok && t.now().Before(p.until)
}

// end reports how a try came out. A try that was not decided is neither.
// It returns whether the pair is turned away from now on.
func (t *throttle) end(key string, a attempt, decided, ok bool) (blocked bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, found := t.pairs.Peek(key)
	if !found {
		return false
	}
	p.running = max(0, p.running-1)
	switch {
	case !decided:
	case ok && p.running == 0:
		t.pairs.Remove(key)
	case ok:
		p.failures = 0
	default:
		p.failures++
		p.last, p.wrong, p.wrongHash = t.now(), a.credential, a.hash
		if over := p.failures - freeFailures; over >= 0 {
			p.until = p.last.Add(min(firstBlock<<min(over, 20), longestBlock))
			return true
		}
	}
	return false
}
