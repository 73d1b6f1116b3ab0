package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// StoreConfig says where webhooks are kept. Only Records is needed.
type StoreConfig struct {
	Records storage.Records
	Keys    *auth.Keyring // seals secrets; without, none can be kept
	Log     *slog.Logger  // the default is slog.Default()
	// Poll is how often changes of other servers are looked for. The default is a minute.
	Poll time.Duration
	Now  func() time.Time // the default is time.Now
	// Endpoints are the receivers that the configuration has.
	Endpoints []Endpoint
	// Changed is told of each change that this server makes.
	Changed func(ctx context.Context)
}

// Store keeps the webhooks. Those of this server are in force at once, those of
// others after at most Poll.
type Store struct {
	StoreConfig
	fixed   map[string]*receiver // of Endpoints
	locked  chan struct{}        // holds a token while the record is read or written, so that nothing older is put in force
	current atomic.Pointer[snapshot]
	failing atomic.Bool
}

// snapshot is all webhooks as they were read. It is immutable.
type snapshot struct {
	version  storage.Version
	webhooks map[string]*receiver
	// resealAt is when secrets that a previous http.secret sealed are next sealed
	// anew. It is not at every look: while a secret is exchanged, servers differ
	// about which is the current one, and would undo each other's work.
	resealAt time.Time
}

const resealEvery = time.Hour

// OpenStore reads the webhooks.
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
	s := &Store{StoreConfig: c, locked: make(chan struct{}, 1), fixed: make(map[string]*receiver)}
	for _, e := range c.Endpoints {
		r := e.receiver()
		s.fixed[r.Name] = r
	}
	s.current.Store(&snapshot{resealAt: c.Now().Add(resealEvery)})
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	return s, nil
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
		if s.Refresh(ctx) == nil && !s.Now().Before(s.current.Load().resealAt) {
			s.reseal(ctx)
		}
	}
}

// Refresh reads the webhooks now. On an error those known stay in force; it is
// logged when it first happens.
func (s *Store) Refresh(ctx context.Context) error {
	err := s.look(ctx)
	switch {
	case ctx.Err() != nil:
	case err == nil:
		s.failing.Store(false)
	case !s.failing.Swap(true):
		s.Log.ErrorContext(ctx, "cannot read the webhooks; those known stay in force", "error", err)
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

func (s *Store) look(ctx context.Context) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	_, _, err = s.read(ctx)
	return err
}

// read reads the record and puts its webhooks in force, for who holds the lock.
func (s *Store) read(ctx context.Context) (document, storage.Version, error) {
	rec, err := s.Records.Get(ctx, webhooksKey)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return document{}, "", fmt.Errorf("read the webhooks: %w", err)
	}
	if errors.Is(err, storage.ErrNotFound) {
		rec = storage.Record{Version: storage.Absent}
	}
	doc, err := parseDocument(rec.Value)
	if err == nil {
		s.install(ctx, doc, rec.Version)
	}
	return doc, rec.Version, err
}

func (s *Store) install(ctx context.Context, doc document, version storage.Version) {
	before := s.current.Load()
	if before.webhooks != nil && before.version == version {
		return
	}
	next := &snapshot{version: version, webhooks: make(map[string]*receiver), resealAt: before.resealAt}
	for name, r := range doc.Webhooks {
		got := r.receiver(name, s.Keys)
		if got.Problem != "" {
			s.Log.ErrorContext(ctx, "a webhook cannot be delivered to", "webhook", name, "error", got.Problem)
		}
		next.webhooks[name] = got
	}
	s.current.Store(next)
}

// Matching returns the names of the receivers that are to hear of an event.
func (s *Store) Matching(e Event) []string {
	var names []string
	for _, receivers := range []map[string]*receiver{s.fixed, s.current.Load().webhooks} {
		for name, r := range receivers {
			if r.wants(e) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// Has reports whether there is a receiver of that name, and it is on.
func (s *Store) Has(name string) bool { return s.receiver(name) != nil }

// receiver returns a receiver, or nil for one that is no more, or off.
func (s *Store) receiver(name string) *receiver {
	if r := s.fixed[name]; r != nil {
		return r
	}
	r := s.current.Load().webhooks[name]
	if r == nil || !r.Enabled {
		return nil
	}
	return r
}

// Count returns how many receivers there are.
func (s *Store) Count() int { return len(s.fixed) + len(s.current.Load().webhooks) }

// reseal seals the secrets that a previous http.secret sealed with the current
// one. Nothing else changes, revisions neither.
func (s *Store) reseal(ctx context.Context) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return
	}
	defer unlock()
	next := *s.current.Load()
	next.resealAt = s.Now().Add(resealEvery)
	s.current.Store(&next)
	if s.Keys == nil {
		return
	}
	doc, version, err := s.read(ctx)
	if err != nil {
		return
	}
	before, _ := json.Marshal(doc)
	for name, r := range doc.Webhooks {
		for purpose, field := range map[string]*[]byte{secretPurpose: &r.Secret, authorizationPurpose: &r.Authorization} {
			if len(*field) == 0 || s.Keys.SealedWithCurrent(*field) {
				continue
			}
			plain, err := unseal(s.Keys, purpose, name, *field)
			if err != nil || seal(s.Keys, purpose, name, &plain, field) != nil {
				continue // said when it was read
			}
		}
	}
	value, err := json.Marshal(doc)
	if err != nil || bytes.Equal(value, before) {
		return
	}
	if _, err := s.Records.Put(ctx, webhooksKey, value, version); err != nil && !errors.Is(err, storage.ErrConflict) {
		s.Log.WarnContext(ctx, "the secrets of webhooks could not be sealed with the present http.secret; keep the previous one", "error", err)
	}
}
