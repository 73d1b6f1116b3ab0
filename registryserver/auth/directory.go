package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/singleflight"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// DirectoryConfig says where a Directory lies and how it behaves. Only Records
// is needed.
type DirectoryConfig struct {
	Records storage.Records
	Log     *slog.Logger     // the default is slog.Default()
	Now     func() time.Time // the default is time.Now
	// Poll is how often changes of other servers are looked for. The default is
	// 5 s.
	Poll time.Duration
	// BcryptCost is the cost of new hashes. The default is 10.
	BcryptCost int
	// Changed is told of each change that this server makes; nil for nobody.
	Changed func(ctx context.Context)
}

// Directory keeps the users and policies of this server and of those that
// share its storage. Writes are serialised by compare-and-swap. The Gate
// answers requests from a snapshot in memory: this server's own writes are in
// it at once, those of others after at most Poll. The methods that serve the
// admin API read the storage, so that they show every write that came before.
type Directory struct {
	records storage.Records
	log     *slog.Logger
	now     func() time.Time
	poll    time.Duration
	cost    int
	changed func(context.Context)

	locked      chan struct{} // holds a token while this server reads or writes the record
	current     atomic.Pointer[snapshot]
	failing     atomic.Bool  // the last Refresh failed
	readAt      atomic.Int64 // when it last succeeded, in Unix nanoseconds of now
	recheckedAt atomic.Int64
	rechecks    singleflight.Group
}

const (
	// mostStale is for how long users may log in although what they may do cannot
	// be read.
	mostStale = time.Minute
	// recheckEvery bounds how often failed logins make this server read.
	recheckEvery = 100 * time.Millisecond
)

// OpenDirectory reads the directory. One that does not exist yet is empty.
func OpenDirectory(ctx context.Context, c DirectoryConfig) (*Directory, error) {
	d := &Directory{records: c.Records, log: c.Log, now: c.Now, poll: c.Poll, cost: c.BcryptCost, changed: c.Changed, locked: make(chan struct{}, 1)}
	if d.log == nil {
		d.log = slog.Default()
	}
	if d.now == nil {
		d.now = time.Now
	}
	if d.changed == nil {
		d.changed = func(context.Context) {}
	}
	if d.poll <= 0 {
		d.poll = 5 * time.Second
	}
	if d.cost == 0 {
		d.cost = bcrypt.DefaultCost
	}
	if d.cost < oci.MinBcryptCost || d.cost > oci.MaxBcryptCost {
		return nil, fmt.Errorf("bcrypt cost %d is not between %d and %d", d.cost, oci.MinBcryptCost, oci.MaxBcryptCost)
	}
	snap, err := d.read(ctx)
	if err != nil {
		return nil, err
	}
	d.current.Store(snap)
	d.readAt.Store(d.now().UnixNano())
	return d, nil
}

// account returns what is known of a user, or nil.
func (d *Directory) account(username string) *account { return d.current.Load().accounts[username] }

// Empty reports whether there is no user.
func (d *Directory) Empty() bool { return len(d.current.Load().accounts) == 0 }

// Run follows the changes that other servers make, until ctx ends.
func (d *Directory) Run(ctx context.Context) {
	for {
		// A little jitter keeps a fleet from reading in step.
		wait := d.poll - d.poll/10 + mathrand.N(d.poll/10+1)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		_ = d.Refresh(ctx) // logged there
	}
}

// Refresh reads the directory now. On an error the old users and policies stay
// in force; it is logged when it first happens and when it is over.
func (d *Directory) Refresh(ctx context.Context) error {
	unlock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return d.refresh(ctx)
}

// refresh is Refresh for who holds the lock.
func (d *Directory) refresh(ctx context.Context) error {
	snap, err := d.read(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		if !d.failing.Swap(true) {
			d.log.ErrorContext(ctx, "cannot read users and policies; those known stay in force", "error", err)
		}
		return err
	}
	if d.failing.Swap(false) {
		d.log.InfoContext(ctx, "users and policies can be read again")
	}
	d.readAt.Store(d.now().UnixNano())
	d.current.Store(snap)
	return nil
}

// stale reports whether users and policies could not be read for so long that
// what is known of them does not count any more.
func (d *Directory) stale() bool {
	return d.failing.Load() && d.now().Sub(time.Unix(0, d.readAt.Load())) > mostStale
}

// recheck reads the directory for those whose login failed: another server may
// have just made the user. All who wait at once are answered by one read, which
// begins after they came.
func (d *Directory) recheck(ctx context.Context) error {
	for range 2 { // a read that is under way may have begun before
		began := time.Now()
		result := d.rechecks.DoChan("", func() (any, error) {
			background, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxDecide)
			defer cancel()
			time.Sleep(recheckEvery - time.Since(time.Unix(0, d.recheckedAt.Load())))
			at := time.Now()
			d.recheckedAt.Store(at.UnixNano())
			return at, d.Refresh(background)
		})
		select {
		case r := <-result:
			if r.Err != nil {
				return unavailable(ctx, r.Err)
			}
			if !r.Val.(time.Time).Before(began) {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// lock keeps reads and writes of the record apart, so that no read that was
// overtaken by a write brings back the past.
func (d *Directory) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case d.locked <- struct{}{}:
		return func() { <-d.locked }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// read reads the record. One that was there and is gone is an error: taking
// that accident for an empty directory would let everyone in.
func (d *Directory) read(ctx context.Context) (*snapshot, error) {
	rec, err := d.records.Get(ctx, directoryKey)
	cur := d.current.Load()
	if errors.Is(err, storage.ErrNotFound) {
		if cur != nil && cur.version != storage.Absent {
			return nil, fmt.Errorf("the record %s of all users and policies has gone from the storage", directoryKey)
		}
		doc := &document{Version: documentVersion}
		doc.fill()
		return newSnapshot(doc, storage.Absent)
	}
	if err != nil {
		return nil, fmt.Errorf("read users and policies: %w", err)
	}
	if cur != nil && cur.version == rec.Version {
		return cur, nil
	}
	doc, err := parseDocument(rec.Value)
	if err != nil {
		return nil, fmt.Errorf("the record %s of users and policies cannot be used: %w", directoryKey, err)
	}
	snap, err := newSnapshot(doc, rec.Version)
	if err != nil {
		return nil, fmt.Errorf("the record %s of users and policies cannot be used: %w", directoryKey, err)
	}
	return snap, nil
}

// fresh returns the directory as the storage has it now.
func (d *Directory) fresh(ctx context.Context) (*document, error) {
	unlock, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := d.refresh(ctx); err != nil {
		return nil, unavailable(ctx, err)
	}
	return d.current.Load().doc, nil
}

// update changes the directory: change is called with a copy of what is there
// and edits it, and again whenever another writer was faster. An error of
// change ends the update and nothing is written; so does errNoChange, without
// error. No update may take away the last enabled admin.
func (d *Directory) update(ctx context.Context, change func(doc *document) error) error {
	unlock, err := d.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	write := rand.Text()
	for try := 0; ; try++ {
		done, err := d.tryUpdate(ctx, write, change)
		if done || err != nil {
			return err
		}
		if try >= 20 {
			return oci.Errorf(oci.CodeUnavailable, "too many others are changing users and policies; try again")
		}
		select {
		case <-time.After(mathrand.N(10*time.Millisecond) << min(try, 6)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errNoChange = errors.New("no change")

// tryUpdate does update's work once. It is done unless another writer was
// faster.
func (d *Directory) tryUpdate(ctx context.Context, write string, change func(doc *document) error) (done bool, err error) {
	before, err := d.read(ctx)
	switch {
	case err != nil:
		return true, unavailable(ctx, err)
	case before.doc.Write == write:
		d.current.Store(before) // the store said conflict, but it was our own write
		return true, nil
	}
	d.current.Store(before)
	doc := before.doc.clone()
	switch err := change(doc); {
	case errors.Is(err, errNoChange):
		return true, nil
	case err != nil:
		return true, err
	case before.doc.admins() > 0 && doc.admins() == 0:
		return true, oci.Errorf(oci.CodeConflict, "this would leave no enabled user with the policy admin; give that to another user first")
	}
	doc.Write = write
	value, err := json.Marshal(doc)
	if err != nil {
		return true, err
	}
	if len(value) > maxDocument {
		return true, oci.Errorf(oci.CodeConflict, "users and policies together would take more than %d bytes; remove some first", maxDocument)
	}
	version, err := d.records.Put(ctx, directoryKey, value, before.version)
	switch {
	case errors.Is(err, storage.ErrConflict):
		return false, nil
	case err != nil:
		// It may have been written all the same, and then counts at once.
		defer d.changed(ctx)
		again, cancel := context.WithTimeout(context.WithoutCancel(ctx), d.poll)
		defer cancel()
		_ = d.refresh(again)
		return true, unavailable(ctx, fmt.Errorf("write users and policies: %w", err))
	}
	after, err := newSnapshot(doc, version)
	if err != nil {
		return true, err
	}
	d.current.Store(after)
	d.changed(ctx)
	return true, nil
}

// clone copies what an update may edit: the maps. Records in them are replaced
// whole, never edited.
func (d *document) clone() *document {
	c := *d
	c.Users = make(map[string]*userRecord, len(d.Users)+1)
	for name, u := range d.Users {
		c.Users[name] = u
	}
	c.Policies = make(map[string]*policyRecord, len(d.Policies)+1)
	for name, p := range d.Policies {
		c.Policies[name] = p
	}
	return &c
}

// unavailable hides a fault of the storage from clients, unless it is one that
// has a text for them.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, storage.ErrUnavailable) {
		return err
	}
	return &oci.Error{Code: oci.CodeUnavailable, Message: "users and policies cannot be reached in the storage now; try again", Err: err}
}
