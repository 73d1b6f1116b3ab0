package replication

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// StoreConfig says where replications are kept. Only Records is needed.
type StoreConfig struct {
	Records  storage.Records
	Keys     *auth.Keyring    // seals passwords; without, no password can be kept
	Log      *slog.Logger     // the default is slog.Default()
	ReadOnly bool             // nothing is sealed anew
	Poll     time.Duration    // how often changes of other servers are looked for; the default is a minute
	Now      func() time.Time // the default is time.Now
	// Changed is told of each change that this server makes.
	Changed func(ctx context.Context)
}

// Store keeps the replications. Those of this server are in force at once, those
// of others after at most Poll.
type Store struct {
	StoreConfig
	locked  chan struct{} // holds a token while the record is read or written
	current atomic.Pointer[snapshot]
	failing atomic.Bool
	// resealAt is when passwords are next sealed with the current secret. It is not
	// at every look: while a secret is exchanged, servers differ about which that is.
	resealAt time.Time
}

const resealEvery = time.Hour

// snapshot is what was read. It is immutable.
type snapshot struct {
	version storage.Version
	doc     *document
	rules   map[string]*rule
}

// OpenStore reads the replications.
func OpenStore(ctx context.Context, c StoreConfig) (*Store, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Poll <= 0 {
		c.Poll = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Changed == nil {
		c.Changed = func(context.Context) {}
	}
	s := &Store{StoreConfig: c, locked: make(chan struct{}, 1), resealAt: c.Now().Add(resealEvery)}
	s.current.Store(empty())
	return s, s.read(ctx)
}

func empty() *snapshot {
	return &snapshot{version: storage.Absent, doc: &document{Version: documentVersion}}
}

// Run follows the changes of other servers until ctx ends.
func (s *Store) Run(ctx context.Context) {
	for {
		// A little jitter keeps a fleet from reading in step.
		select {
		case <-ctx.Done():
			return
		case <-time.After(s.Poll + mathrand.N(s.Poll/10+1)):
		}
		_ = s.Refresh(ctx) // logged there
	}
}

// Refresh reads the record now. On an error the replications that are known stay
// in force; it is logged when it first happens.
func (s *Store) Refresh(ctx context.Context) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	err = s.read(ctx)
	switch {
	case ctx.Err() != nil:
	case err == nil:
		s.failing.Store(false)
		s.reseal(ctx)
	case !s.failing.Swap(true):
		s.Log.ErrorContext(ctx, "cannot read the replications; those known stay in force", "error", err)
	}
	return err
}

func (s *Store) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case s.locked <- struct{}{}:
		return func() { <-s.locked }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// read reads the record, for who holds the lock.
func (s *Store) read(ctx context.Context) error {
	rec, err := s.Records.Get(ctx, documentKey)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		s.current.Store(empty())
		return nil
	case err != nil:
		return fmt.Errorf("read %s: %w", documentKey, err)
	case rec.Version == s.current.Load().version:
		return nil
	}
	doc, err := parseDocument(rec.Value)
	if err != nil {
		return fmt.Errorf("the record %s cannot be used: %w", documentKey, err)
	}
	s.take(ctx, doc, rec.Version)
	return nil
}

// take makes a document the one in force.
func (s *Store) take(ctx context.Context, doc *document, version storage.Version) {
	snap := &snapshot{version: version, doc: doc, rules: make(map[string]*rule, len(doc.Replications))}
	for name, r := range doc.Replications {
		got := r.rule(name, s.Keys)
		if got.Problem != "" {
			s.Log.ErrorContext(ctx, "nothing can be replicated", "replication", name, "error", got.Problem)
		}
		snap.rules[name] = got
	}
	s.current.Store(snap)
}

// write writes a document in place of the version before, for who holds the lock.
func (s *Store) write(ctx context.Context, doc *document, was storage.Version) error {
	value, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	version, err := s.Records.Put(ctx, documentKey, value, was)
	if err == nil {
		s.take(ctx, doc, version)
	}
	return err
}

// reseal seals passwords of previous secrets with the current one, now and then.
func (s *Store) reseal(ctx context.Context) {
	if s.Keys == nil || s.ReadOnly || s.Now().Before(s.resealAt) {
		return
	}
	s.resealAt = s.Now().Add(resealEvery)
	snap := s.current.Load()
	doc, changed := snap.doc.clone(), false
	for name, r := range doc.Replications {
		rule := snap.rules[name]
		if rule.Problem != "" || len(r.Password) == 0 || s.Keys.SealedWithCurrent(r.Password) {
			continue
		}
		again := *r
		var err error
		if again.Password, err = seal(s.Keys, name, rule.destination.Host(), rule.password); err == nil {
			doc.Replications[name], changed = &again, true
		}
	}
	if !changed {
		return
	}
	if err := s.write(ctx, doc, snap.version); err != nil && !errors.Is(err, storage.ErrConflict) {
		s.Log.WarnContext(ctx, "the passwords of replications could not be sealed with the present http.secret; keep the previous one", "error", err)
	}
}
