package proxycache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// StoreConfig says where caches are kept. Only Records is needed.
type StoreConfig struct {
	Records storage.Records
	Keys    *auth.Keyring // seals passwords; without, no password can be kept
	Log     *slog.Logger  // the default is slog.Default()
	// Whole is a cache over all repositories that the configuration asks for; nil
	// for none.
	Whole    *Whole
	ReadOnly bool             // nothing is sealed anew
	Poll     time.Duration    // after what time changes of other servers are looked for; the default is 5 s
	Now      func() time.Time // the default is time.Now
	// Changed is told of each change that this server makes.
	Changed func(ctx context.Context)
}

// Whole is a cache over all repositories of a registry, as distribution's proxy
// is. Those that are kept in the storage come before it.
type Whole struct {
	URL, Username, Password string
	RevalidateAfter         time.Duration
	MaxSize                 int64 // bytes; 0 for no bound
}

// Store keeps which caches there are. What this server changes counts at once,
// what others do after at most Poll. The storage is looked at only when a cache
// is asked for something, or for what is not here: a server that nobody asks
// anything asks nothing.
type Store struct {
	StoreConfig
	locked  chan struct{} // holds a token while the record is read or written
	current atomic.Pointer[snapshot]
	failing atomic.Bool
	looks   singleflight.Group
	looked  atomic.Int64 // when the record was last read
	whole   *route
	// resealAt is when passwords are next sealed with the current secret. It is not
	// at every look: while a secret is exchanged, servers differ about which that is.
	resealAt time.Time
}

const resealEvery = time.Hour

// snapshot is what was read. It is immutable.
type snapshot struct {
	version storage.Version
	doc     *document
	routes  map[string]*route // by prefix
}

// route is a cache as it is used.
type route struct {
	Prefix          string
	upstream        oci.Upstream
	username        string
	password        string
	revision        string
	revalidateAfter time.Duration
	err             error // why the upstream cannot be asked
}

// OpenStore reads the caches.
func OpenStore(ctx context.Context, c StoreConfig) (*Store, error) {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Poll <= 0 {
		c.Poll = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Changed == nil {
		c.Changed = func(context.Context) {}
	}
	s := &Store{StoreConfig: c, locked: make(chan struct{}, 1)}
	if w := c.Whole; w != nil {
		upstream, err := oci.ParseUpstream(w.URL)
		if err == nil && w.Username != "" {
			err = upstream.MayLogin()
		}
		if err != nil {
			return nil, err
		}
		s.whole = &route{upstream: upstream, username: w.Username, password: w.Password, revision: "configured", revalidateAfter: w.RevalidateAfter}
	}
	s.current.Store(&snapshot{version: storage.Absent, doc: &document{Version: documentVersion}})
	return s, s.read(ctx)
}

// fresh looks for changes of other servers, unless that was done a moment ago. It
// is once for all who want it at the same time.
func (s *Store) fresh(ctx context.Context) {
	if s.Now().UnixNano()-s.looked.Load() < int64(s.Poll) {
		return
	}
	done := s.looks.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(storage.Background(context.WithoutCancel(ctx)), s.Poll)
		defer cancel()
		return nil, s.Refresh(ctx) // logged there
	})
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// find returns the cache that a repository is of, as it is now if it is one that
// is known.
func (s *Store) find(ctx context.Context, repo oci.Repository) (*route, bool) {
	rt, ok := s.route(repo)
	if !ok {
		return nil, false
	}
	if s.fresh(ctx); rt != s.whole {
		rt, ok = s.route(repo)
	}
	return rt, ok
}

// findMissing is find for who has looked for something that is not here.
func (s *Store) findMissing(ctx context.Context, repo oci.Repository) (*route, bool) {
	s.fresh(ctx)
	return s.route(repo)
}

// Refresh reads the record now. On an error the caches that are known stay in
// force; it is logged when it first happens and when it is over.
func (s *Store) Refresh(ctx context.Context) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	err = s.read(ctx)
	if err == nil {
		s.reseal(ctx)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		if !s.failing.Swap(true) {
			s.Log.ErrorContext(ctx, "cannot read the pull-through caches; those known stay in force", "error", err)
		}
	case s.failing.Swap(false):
		s.Log.InfoContext(ctx, "the pull-through caches can be read again")
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
	at := s.Now().UnixNano()
	rec, err := s.Records.Get(ctx, documentKey)
	before := s.current.Load()
	s.looked.Store(at) // also where it failed: those known stay in force
	switch {
	case errors.Is(err, storage.ErrNotFound):
		s.current.Store(&snapshot{version: storage.Absent, doc: &document{Version: documentVersion}})
		return nil
	case err != nil:
		return fmt.Errorf("read %s: %w", documentKey, err)
	case rec.Version == before.version:
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
	snap := &snapshot{version: version, doc: doc, routes: map[string]*route{}}
	for prefix, r := range doc.Caches {
		rt := &route{Prefix: prefix, username: r.Username, revision: r.Revision, revalidateAfter: time.Duration(r.RevalidateAfter) * time.Second}
		if rt.upstream, rt.err = oci.ParseUpstream(r.URL); rt.err == nil {
			rt.password, rt.err = r.password(s.Keys, prefix)
		}
		if rt.err != nil {
			s.Log.ErrorContext(ctx, "a pull-through cache cannot ask its upstream; what it has is served", "prefix", prefix, "error", rt.err)
		}
		snap.routes[prefix] = rt
	}
	s.current.Store(snap)
}

// reseal seals passwords of previous secrets with the current one, now and then.
func (s *Store) reseal(ctx context.Context) {
	if s.Keys == nil || s.ReadOnly || s.Now().Before(s.resealAt) {
		return
	}
	s.resealAt = s.Now().Add(resealEvery)
	snap := s.current.Load()
	doc, changed := snap.doc.clone(), false
	for prefix, r := range doc.Caches {
		rt := snap.routes[prefix]
		if rt.err != nil || len(r.Password) == 0 || s.Keys.SealedWithCurrent(r.Password) {
			continue
		}
		again := *r
		var err error
		if again.Password, err = seal(s.Keys, prefix, r.URL, rt.password); err == nil {
			doc.Caches[prefix], changed = &again, true
		}
	}
	if !changed {
		return
	}
	if err := s.write(ctx, doc, snap.version); err != nil && !errors.Is(err, storage.ErrConflict) {
		s.Log.WarnContext(ctx, "the passwords of pull-through caches could not be sealed with the present http.secret; keep the previous one", "error", err)
	}
}

func (d *document) clone() *document {
	c := &document{Version: d.Version, Caches: make(map[string]*record, len(d.Caches)+1)}
	for prefix, r := range d.Caches {
		c.Caches[prefix] = r
	}
	return c
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

// route returns the cache that a repository is of: the one with the longest
// prefix.
func (s *Store) route(repo oci.Repository) (*route, bool) {
	routes := s.current.Load().routes
	if len(routes) > 0 {
		for name := repo.String(); ; {
			cut := strings.LastIndexByte(name, '/')
			if cut < 0 {
				break
			}
			name = name[:cut]
			if rt, ok := routes[name]; ok {
				return rt, true
			}
		}
	}
	return s.whole, s.whole != nil
}

// Cached reports whether a repository is one of a cache, as far as is known.
func (s *Store) Cached(repo oci.Repository) bool {
	_, ok := s.route(repo)
	return ok
}

// Collected returns the caches as garbage collections see them, as they are now.
func (s *Store) Collected(ctx context.Context) ([]registry.CollectedCache, error) {
	all, err := s.All(ctx)
	if err != nil {
		return nil, err
	}
	var caches []registry.CollectedCache
	for _, e := range all {
		caches = append(caches, registry.CollectedCache{Prefix: e.Prefix, MaxBytes: e.MaxSize})
	}
	if s.Whole != nil {
		caches = append(caches, registry.CollectedCache{MaxBytes: s.Whole.MaxSize})
	}
	return caches, nil
}

// name returns what the upstream calls a repository of the cache.
func (rt *route) name(repo oci.Repository) (oci.Repository, error) {
	name := repo.String()
	if rt.Prefix != "" {
		name = strings.TrimPrefix(name, rt.Prefix+"/")
	}
	return rt.upstream.Repository(name)
}

// RefusePush returns why nothing can be pushed to a repository; nil where it is
// of no cache. UNSUPPORTED.
func (s *Store) RefusePush(ctx context.Context, repo oci.Repository) error {
	rt, ok := s.find(ctx, repo)
	if !ok {
		return nil
	}
	where := "every repository of this registry is a pull-through cache of " + rt.upstream.String()
	if rt.Prefix != "" {
		where = "repositories below " + rt.Prefix + "/ are a pull-through cache of " + rt.upstream.String()
	}
	return oci.Errorf(oci.CodeUnsupported, "%s and take no pushes; push to that registry, or to a repository with another name", where)
}
