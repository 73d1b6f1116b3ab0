package certificates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// StoreConfig says where installed certificates lie. Only Records is needed.
type StoreConfig struct {
	Records storage.Records
	Keys    *auth.Keyring // wraps data keys; without, nothing can be installed
	Log     *slog.Logger  // the default is slog.Default()
	// Served says that this server shows the certificates to clients: it has a
	// TLS listener.
	Served bool
	Poll   time.Duration    // how often changes of other servers are looked for; the default is 4 s
	Now    func() time.Time // the default is time.Now
	Failed func()           // called for each changed certificate that cannot be used
	// Changed is told of each change that this server makes.
	Changed func(ctx context.Context)
}

// Store keeps the certificates that were installed through the admin API. Those
// of this server are shown at once, those of others after at most Poll.
type Store struct {
	StoreConfig
	locked  chan struct{} // holds a token while records are read or written
	current atomic.Pointer[snapshot]
	failing atomic.Bool
	// rewrapAt is when data keys are next wrapped with the current secret. It is
	// not at every look: while a secret is exchanged, servers differ about which
	// is the current one, and would undo each other's work.
	rewrapAt time.Time
}

const rewrapEvery = time.Hour

// snapshot is all certificates as they were read. It is immutable.
type snapshot struct {
	items map[string]*item            // by name
	hosts map[string]*tls.Certificate // by DNS name, wildcards as they are
	any   *tls.Certificate
}

// item is one certificate.
type item struct {
	version storage.Version
	record  *record
	chain   []*x509.Certificate
	cert    *tls.Certificate // nil: the key cannot be opened
	err     error            // why the newest record is not in force
}

// OpenStore reads the certificates. One that cannot be used is logged and left
// out.
func OpenStore(ctx context.Context, c StoreConfig) (*Store, error) {
	s := &Store{StoreConfig: c, locked: make(chan struct{}, 1)}
	if s.Log == nil {
		s.Log = slog.Default()
	}
	if s.Poll <= 0 {
		s.Poll = 4 * time.Second
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Changed == nil {
		s.Changed = func(context.Context) {}
	}
	if s.Failed == nil {
		s.Failed = func() {}
	}
	s.current.Store(newSnapshot(nil, s.Now()))
	if err := s.read(ctx); err != nil {
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
		case <-time.After(s.Poll - s.Poll/10 + mathrand.N(s.Poll/10+1)):
		}
		_ = s.Refresh(ctx) // logged there
	}
}

// Refresh reads all certificates now. On an error those known stay in force;
// it is logged when it first happens and when it is over.
func (s *Store) Refresh(ctx context.Context) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	err = s.read(ctx)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		if !s.failing.Swap(true) {
			s.Log.ErrorContext(ctx, "cannot read the installed certificates; those known stay in force", "error", err)
		}
	case s.failing.Swap(false):
		s.Log.InfoContext(ctx, "the installed certificates can be read again")
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

// read reads all records, for who holds the lock.
func (s *Store) read(ctx context.Context) error {
	items, rewrap := make(map[string]*item), !s.Now().Before(s.rewrapAt)
	if rewrap {
		s.rewrapAt = s.Now().Add(rewrapEvery)
	}
	for name, err := range s.Records.Children(ctx, certificateFolder, "") {
		if err != nil {
			return fmt.Errorf("list certificates: %w", err)
		}
		it, err := s.readItem(ctx, name, rewrap)
		if err != nil {
			return err
		}
		if it != nil {
			items[name] = it
		}
	}
	s.current.Store(newSnapshot(items, s.Now()))
	return nil
}

// readItem reads one record; nil if there is none.
func (s *Store) readItem(ctx context.Context, name string, rewrap bool) (*item, error) {
	rec, err := s.Records.Get(ctx, recordKey(name))
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read certificate %s: %w", name, err)
	}
	before := s.current.Load().items[name]
	if before != nil && before.version == rec.Version && !(rewrap && s.wantsRewrap(before)) {
		return before, nil
	}
	it := s.parseItem(ctx, name, rec, rewrap)
	if it.err != nil {
		s.Failed()
		msg := "an installed certificate cannot be used"
		if before != nil && before.cert != nil {
			msg += "; the one before stays in force"
			it.cert = before.cert
		}
		s.Log.ErrorContext(ctx, msg, "name", name, "error", it.err)
	}
	return it, nil
}

func (s *Store) parseItem(ctx context.Context, name string, rec storage.Record, rewrap bool) *item {
	it := &item{version: rec.Version}
	if it.record, it.chain, it.err = parseRecord(rec.Value); it.err != nil {
		return it
	}
	var dataKey []byte
	if it.cert, dataKey, it.err = it.record.open(name, it.chain, s.Keys); it.err != nil {
		return it
	}
	if !rewrap || !s.wantsRewrap(it) {
		return it
	}
	if err := s.rewrap(ctx, name, it, dataKey); err != nil && !errors.Is(err, storage.ErrConflict) {
		s.Log.WarnContext(ctx, "the key of a certificate could not be wrapped with the present http.secret; keep the previous one", "name", name, "error", err)
	}
	return it
}

// wantsRewrap reports whether the data key is wrapped with a previous secret.
func (s *Store) wantsRewrap(it *item) bool {
	return it.err == nil && !s.Keys.SealedWithCurrent(it.record.DataKey.Key)
}

// rewrap wraps the data key with the current secret. For clients the
// certificate stays as it was.
func (s *Store) rewrap(ctx context.Context, name string, it *item, dataKey []byte) error {
	r := *it.record
	if err := r.wrap(name, dataKey, s.Keys); err != nil {
		return err
	}
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	version, err := s.Records.Put(ctx, recordKey(name), value, it.version)
	if err == nil {
		it.record, it.version = &r, version
	}
	return err
}

// newSnapshot sorts the certificates by the names they are for. Of several for
// one name, that which lasts longest counts.
func newSnapshot(items map[string]*item, now time.Time) *snapshot {
	snap := &snapshot{items: items, hosts: make(map[string]*tls.Certificate)}
	for _, name := range slices.Sorted(maps.Keys(items)) {
		cert := items[name].cert
		if cert == nil {
			continue
		}
		if snap.any == nil || now.After(snap.any.Leaf.NotAfter) {
			snap.any = cert
		}
		for _, host := range cert.Leaf.DNSNames {
			host = normalName(host)
			if other := snap.hosts[host]; other == nil || other.Leaf.NotAfter.Before(cert.Leaf.NotAfter) {
				snap.hosts[host] = cert
			}
		}
	}
	return snap
}

// Certificate returns the certificate for the name that a client asks for, or
// nil. An exact name comes before a wildcard.
func (s *Store) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if IsChallenge(hello) {
		return nil, nil
	}
	snap, host := s.current.Load(), normalName(hello.ServerName)
	if cert := snap.hosts[host]; cert != nil {
		return cert, nil
	}
	if _, parent, ok := strings.Cut(host, "."); ok {
		return snap.hosts["*."+parent], nil
	}
	return nil, nil
}

// Default returns the first certificate that has not expired, or nil.
func (s *Store) Default() *tls.Certificate { return s.current.Load().any }

// Expiries says until when the certificates in force can be used.
func (s *Store) Expiries() []Expiry {
	var all []Expiry
	items := s.current.Load().items
	for _, name := range slices.Sorted(maps.Keys(items)) {
		if cert := items[name].cert; cert != nil {
			all = append(all, ExpiryOf("installed", name, cert.Leaf))
		}
	}
	return all
}
