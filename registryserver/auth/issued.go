package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// IssuedTokens are the tokens that the admin API issues: until it expires or is
// revoked, each lets its bearer act as a user, within the user's policies and,
// if it is narrowed, within its own rules. The storage has a record of each,
// with a hash of its secret; what is read of it is remembered for Poll.
type IssuedTokens struct {
	records   storage.Records
	directory *Directory
	now       func() time.Time
	poll      time.Duration
	log       *slog.Logger
	changed   func(context.Context)

	known   *lru.Cache[string, *knownToken]
	reads   singleflight.Group
	revoked atomic.Int64 // counts what made known out of date
	limit   *lookupLimit
}

// IssuedConfig says where IssuedTokens lie and how they behave. Records and
// Directory are needed.
type IssuedConfig struct {
	Records   storage.Records
	Directory *Directory       // of the users whose tokens they are
	Now       func() time.Time // the default is time.Now
	Log       *slog.Logger     // the default is slog.Default()
	// Poll is how long a revocation by another server may take to act here. The
	// default is 5 s.
	Poll time.Duration
	// Changed is told of each revocation that this server does; nil for nobody.
	Changed func(ctx context.Context)
}

// knownToken is what the storage said of an id.
type knownToken struct {
	record *tokenRecord // nil: there is no such token
	at     time.Time    // before it was read
}

const maxKnownTokens = 20_000

// OpenIssuedTokens returns the tokens of a storage. It reads nothing yet.
func OpenIssuedTokens(c IssuedConfig) (*IssuedTokens, error) {
	t := &IssuedTokens{records: c.Records, directory: c.Directory, now: c.Now, poll: c.Poll, log: c.Log, changed: c.Changed}
	if t.now == nil {
		t.now = time.Now
	}
	if t.log == nil {
		t.log = slog.Default()
	}
	if t.poll <= 0 {
		t.poll = 5 * time.Second
	}
	if t.changed == nil {
		t.changed = func(context.Context) {}
	}
	t.limit = newLookupLimit(t.now)
	var err error
	t.known, err = lru.New[string, *knownToken](maxKnownTokens)
	return t, err
}

// verify returns the record of a token that a client shows, or nil if it is
// none of ours, was revoked or has expired. TOOMANYREQUESTS as a *RetryError,
// UNAVAILABLE.
func (t *IssuedTokens) verify(ctx context.Context, text tokenText, client string) (*tokenRecord, error) {
	record, err := t.lookup(ctx, text.id, client)
	if err != nil || record == nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(text.secret))
	if subtle.ConstantTimeCompare(hash[:], record.SecretHash) != 1 {
		return nil, nil
	}
	return record, nil
}

// lookup returns the record of a token that has not expired, or nil: as it was
// read at most poll ago. A client that asks for tokens that there are not is
// slowed down, since each costs a read of the storage; "" is no client.
func (t *IssuedTokens) lookup(ctx context.Context, id, client string) (*tokenRecord, error) {
	now := t.now()
	if expires, ok := tokenExpiry(id); !ok || !now.Before(expires) {
		return nil, nil
	}
	known, ok := t.known.Get(id)
	if !ok || now.Sub(known.at) >= t.poll || now.Before(known.at) {
		found := func(bool) {}
		if client != "" && (!ok || known.record == nil) {
			var err error
			if found, err = t.limit.begin(client); err != nil {
				return nil, err
			}
		}
		var err error
		known, err = t.refresh(ctx, id)
		if err != nil {
			return nil, err
		}
		found(known.record != nil)
	}
	if known.record == nil || !now.Before(known.record.ExpiresAt) {
		return nil, nil
	}
	return known.record, nil
}

// refresh reads a record and remembers it. All who wait for one at once are
// answered by one read.
func (t *IssuedTokens) refresh(ctx context.Context, id string) (*knownToken, error) {
	result := t.reads.DoChan(id, func() (any, error) {
		background, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxDecide)
		defer cancel()
		before := t.revoked.Load()
		known := &knownToken{at: t.now()}
		var err error
		if known.record, err = t.read(background, id); err != nil {
			return nil, err
		}
		if t.revoked.Load() == before { // else it may be what was just revoked
			t.known.Add(id, known)
		}
		return known, nil
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*knownToken), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Forget makes the next use of each token read its record.
func (t *IssuedTokens) Forget() {
	t.revoked.Add(1)
	t.known.Purge()
}

// Run removes tokens that have expired: once now, and then every hour.
func (t *IssuedTokens) Run(ctx context.Context) {
	ctx = storage.Background(ctx)
	for {
		swept, err := t.Sweep(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			t.log.ErrorContext(ctx, "expired tokens could not be removed", "error", err)
		case swept > 0:
			t.log.InfoContext(ctx, "expired tokens removed", "tokens", swept)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Hour):
		}
	}
}

// Sweep removes tokens that expired some time ago, and reports how many. It
// reads none of them: ids tell when they expire, and sort by it.
func (t *IssuedTokens) Sweep(ctx context.Context) (int, error) {
	swept := 0
	for key, err := range t.records.List(ctx, tokensFolder, "") {
		if err != nil {
			return swept, err
		}
		expires, ok := tokenExpiry(strings.TrimPrefix(key, tokensFolder))
		switch {
		case !ok:
			continue // not ours
		case t.now().Before(expires.Add(leeway)): // clocks differ
			return swept, nil
		}
		if err := t.records.Delete(ctx, key, storage.Any); err != nil {
			return swept, err
		}
		swept++
	}
	return swept, nil
}
