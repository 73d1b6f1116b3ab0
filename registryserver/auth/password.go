package auth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/singleflight"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// passwords verifies passwords against bcrypt hashes, and remembers what it
// verified: for lifetime, the same user and password cost a keyed hash instead
// of a bcrypt. What is remembered is bound to the bcrypt hash it was verified
// with, so that it ends with it.
type passwords struct {
	now      func() time.Time
	throttle *throttle

	macs     sync.Pool // of HMAC-SHA256 with a key of this process
	verified *lru.Cache[credential, *verification]
	flights  singleflight.Group // one bcrypt for all who bring the same credential
	running  chan struct{}      // bounds the bcrypts at once
	waiting  atomic.Int64       // tries that run or wait to
	compares atomic.Int64       // bcrypts so far
	hits     atomic.Int64       // answers from verified
	failures atomic.Int64
	refusals atomic.Int64 // by the throttle, or for too many waiting
}

// credential is the keyed hash of a user name and password.
type credential [sha256.Size]byte

type verification struct {
	hash  string // bcrypt
	until time.Time

	mu      sync.Mutex
	clients []string // addresses that brought the credential lately
}

const (
	lifetime    = 5 * time.Minute
	maxVerified = 20_000
	maxWaiting  = 200
	maxClients  = 16 // that one verification knows
	// maxDecide bounds how long one try may wait and run when nobody waits for
	// it any more.
	maxDecide = time.Minute
)

func newPasswords(now func() time.Time) (*passwords, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	verified, err := lru.New[credential, *verification](maxVerified)
	if err != nil {
		return nil, err
	}
	return &passwords{
		now: now, throttle: newThrottle(now), verified: verified,
		macs:    sync.Pool{New: func() any { return hmac.New(sha256.New, key) }},
		running: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}, nil
}

func (p *passwords) credential(username, password []byte) (c credential) {
	mac := p.macs.Get().(hash.Hash)
	mac.Reset()
	mac.Write(username)
	mac.Write([]byte{0}) // no user name holds it
	mac.Write(password)
	mac.Sum(c[:0])
	p.macs.Put(mac)
	return c
}

// remembered reports whether the credential was verified against this bcrypt
// hash a short while ago. A client that is turned away for its failures may go
// on with a credential that it had brought before; for any other that is a
// guess, and memory must not answer guesses faster than bcrypt would.
func (p *passwords) remembered(c credential, hash, client string, username []byte) bool {
	v, ok := p.verified.Get(c)
	if !ok || v.hash != hash || hash == "" || p.now().After(v.until) {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !slices.Contains(v.clients, client) {
		if p.throttle.blocked(pairKey(client, string(username))) {
			return false
		}
		v.clients = append(v.clients[max(0, len(v.clients)-maxClients+1):], client)
	}
	p.hits.Add(1)
	return true
}

// attempt is one try to log in.
type attempt struct {
	credential credential
	client     string // address, for the throttle
	username   string
	password   string
	hash       string // bcrypt; "" for a user who is not there or cannot log in
	cost       int    // of hash
	maxCost    int    // of all users: what every failure costs
}

// verify reports whether the password is right. Wrong passwords, unknown users,
// disabled ones and those without a password cost the same. Errors:
// TOOMANYREQUESTS as a *RetryError, and that of ctx.
func (p *passwords) verify(ctx context.Context, a attempt) (outcome, error) {
	// What is decided must not hang on the first of those who wait for it.
	result := p.flights.DoChan(string(a.credential[:])+a.hash, func() (any, error) {
		background, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxDecide)
		defer cancel()
		return p.decide(background, a)
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return outcome{}, r.Err
		}
		return r.Val.(outcome), nil
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	}
}

// outcome says how a try came out.
type outcome struct {
	ok      bool
	blocked bool // the client is turned away for this user from now on
}

func (p *passwords) decide(ctx context.Context, a attempt) (outcome, error) {
	key := pairKey(a.client, a.username)
	if p.throttle.repeated(key, a.credential, a.hash) {
		p.failures.Add(1)
		return outcome{}, nil
	}
	if wait := p.throttle.begin(key); wait > 0 {
		p.refusals.Add(1)
		return outcome{}, tooManyFailures(wait)
	}
	var decided, ok, blocked bool
	err := p.reserve(ctx, func() {
		ok = p.compare(a)
		decided = true
	})
	blocked = p.throttle.end(key, a, decided, ok)
	switch {
	case err != nil:
		return outcome{}, err
	case ok:
		p.verified.Add(a.credential, &verification{hash: a.hash, until: p.now().Add(lifetime), clients: []string{a.client}})
	default:
		p.failures.Add(1)
	}
	return outcome{ok, blocked}, nil
}

// reserve runs f when one of the few places is free.
func (p *passwords) reserve(ctx context.Context, f func()) error {
	defer p.waiting.Add(-1)
	if p.waiting.Add(1) > maxWaiting {
		p.refusals.Add(1)
		return &RetryError{After: time.Second, Err: oci.Errorf(oci.CodeTooManyRequests, "too many logins at once; try again in a second")}
	}
	select {
	case p.running <- struct{}{}:
		defer func() { <-p.running }()
		f()
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// compare runs bcrypt so that every failure costs as much as the dearest hash:
// the work of cost c doubles with each step, so a failure at cost c and then
// one at each of c, c+1, … max-1 add up to one at max.
func (p *passwords) compare(a attempt) bool {
	password := []byte(a.password)
	tooLong := len(password) > oci.MaxPasswordBytes
	password = password[:min(len(password), oci.MaxPasswordBytes)]
	if a.hash == "" || tooLong {
		p.bcrypt(decoy(a.maxCost), password)
		return false
	}
	if p.bcrypt(a.hash, password) {
		return true
	}
	for cost := a.cost; cost < a.maxCost; cost++ {
		p.bcrypt(decoy(cost), password)
	}
	return false
}

func (p *passwords) bcrypt(hash string, password []byte) bool {
	p.compares.Add(1)
	return bcrypt.CompareHashAndPassword([]byte(hash), password) == nil
}

// decoy is a bcrypt hash that no password is known to match.
func decoy(cost int) string {
	return fmt.Sprintf("$2a$%02d$Bnoa4noFqCEmpgJ6LrHBOe%s", cost, "eAhI4DSWTKZbQGs7ogCdRg4Sld5JDTK")
}

// RetryError is an error that goes away by waiting.
type RetryError struct {
	After time.Duration // whole seconds, at least one
	Err   *oci.Error
}

// Error returns the text of Err.
func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *RetryError) Unwrap() error { return e.Err }

func tooManyFailures(wait time.Duration) error {
	seconds := (wait + time.Second - 1) / time.Second
	return &RetryError{After: seconds * time.Second, Err: oci.Errorf(oci.CodeTooManyRequests, "too many failed logins; try again in %d seconds", seconds)}
}
