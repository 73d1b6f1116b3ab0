package proxycache

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Entry is what the admin API shows of a cache. It never holds a password.
type Entry struct {
	Prefix, URL, Username string
	HasPassword           bool
	CredentialRevision    string // changes whenever the password is set
	RevalidateAfter       time.Duration
	MaxSize               int64  // bytes; 0 for no bound
	Problem               string // why the upstream cannot be asked; "" if it can
	Revision              string // changes with every change
	CreatedAt, UpdatedAt  time.Time
}

// Spec is what a cache shall be, whole.
type Spec struct {
	Prefix          string
	URL             string
	Username        string  // "" for no login
	Password        *string // nil keeps the one that there is
	RevalidateAfter time.Duration
	// MaxSize is to how many bytes garbage collections hold what the cache keeps; 0
	// for no bound.
	MaxSize int64
	// May is asked about the revision of the cache that is there; MustExist says
	// that there must be one.
	May       auth.Condition
	MustExist bool
}

// The bounds of caches.
const (
	maxCaches          = 100
	maxCredential      = 16 << 10
	MaxRevalidateAfter = oci.MaxRevalidateAfterSeconds * time.Second
	// DefaultRevalidateAfter is after what time a tag is looked at again.
	DefaultRevalidateAfter = 10 * time.Minute
)

// Put makes or changes a cache, and reports whether it is new. INVALID; CONFLICT
// without keys to seal a password with; PRECONDITION_FAILED.
func (s *Store) Put(ctx context.Context, spec Spec) (Entry, bool, error) {
	upstream, err := check(spec)
	if err != nil {
		return Entry{}, false, err
	}
	if spec.Password != nil && s.Keys == nil {
		return Entry{}, false, oci.Errorf(oci.CodeConflict, "no http.secret is configured, and without one the upstream's password cannot be kept safely: set http.secret (REGISTRY_HTTP_SECRET), to the same value on every server, restart, and set the password again")
	}
	created := false
	err = s.update(ctx, func(doc *document) (bool, error) {
		before := doc.Caches[spec.Prefix]
		created = before == nil
		r, err := s.changed(spec, upstream, before, len(doc.Caches))
		if r == nil || err != nil {
			return false, err
		}
		doc.Caches[spec.Prefix] = r
		return true, nil
	})
	if err != nil {
		return Entry{}, false, err
	}
	e, err := s.entry(spec.Prefix)
	return e, created, err
}

// check holds a Spec to the rules that need no look at what is there.
func check(spec Spec) (oci.Upstream, error) {
	if _, err := oci.ParseProxyPrefix(spec.Prefix); err != nil {
		return oci.Upstream{}, err
	}
	upstream, err := oci.ParseUpstream(spec.URL)
	switch {
	case err != nil:
		return upstream, err
	case spec.RevalidateAfter < 0 || spec.RevalidateAfter > MaxRevalidateAfter:
		return upstream, oci.Errorf(oci.CodeInvalid, "revalidate_after is 0 to %d seconds", int64(MaxRevalidateAfter/time.Second))
	case spec.MaxSize < 0:
		return upstream, oci.Errorf(oci.CodeInvalid, "max_size_bytes is a number of bytes, or 0 for no bound")
	case len(spec.Username) > maxCredential || spec.Password != nil && len(*spec.Password) > maxCredential:
		return upstream, oci.Errorf(oci.CodeInvalid, "user name and password of the upstream have at most %d bytes each", maxCredential)
	case spec.Username == "" && spec.Password != nil:
		return upstream, oci.Errorf(oci.CodeInvalid, "the upstream's password has no user name; give both, or neither")
	case spec.Password != nil && *spec.Password == "":
		return upstream, oci.Errorf(oci.CodeInvalid, "the upstream's password is empty; leave it out to keep the one that there is")
	case spec.Username != "":
		return upstream, upstream.MayLogin()
	}
	return upstream, nil
}

// changed returns the record that a cache is to have; nil if it is so already.
func (s *Store) changed(spec Spec, upstream oci.Upstream, before *record, caches int) (*record, error) {
	now := s.Now().UTC()
	r := &record{
		Revision: rand.Text(), URL: upstream.String(), Username: spec.Username,
		RevalidateAfter: int64(spec.RevalidateAfter / time.Second), MaxSize: spec.MaxSize, CreatedAt: now, UpdatedAt: now,
	}
	switch {
	case before == nil && spec.MustExist:
		return nil, oci.Errorf(oci.CodePreconditionFailed, "there is no pull-through cache %s, and the request says that there is", spec.Prefix)
	case before == nil && caches >= maxCaches:
		return nil, oci.Errorf(oci.CodeConflict, "there are %d pull-through caches, and no more are possible", maxCaches)
	case before != nil && s.same(spec, upstream, before):
		return nil, nil // also for a repeated request whose condition held the first time
	case before != nil && spec.May != nil && !spec.May(before.Revision):
		return nil, hasChanged(spec.Prefix)
	case before != nil:
		r.CreatedAt = before.CreatedAt
	}
	switch {
	case spec.Password != nil:
		r.PasswordSetAs = rand.Text()
		var err error
		r.Password, err = seal(s.Keys, spec.Prefix, r.URL, *spec.Password)
		return r, err
	case spec.Username == "":
	case before == nil || len(before.Password) == 0:
		return nil, oci.Errorf(oci.CodeInvalid, "the upstream's user name has no password; give both, or neither")
	default:
		was, err := oci.ParseUpstream(before.URL)
		if err != nil {
			return nil, err
		}
		if was.Host() != upstream.Host() || before.Username != spec.Username {
			return nil, oci.Errorf(oci.CodeInvalid, "the password that is kept is that of %s at %s, and is sent nowhere else; give the one for %s at %s", before.Username, was.Host(), spec.Username, upstream.Host())
		}
		r.Password, r.PasswordSetAs = before.Password, before.PasswordSetAs
	}
	return r, nil
}

// same reports whether a cache is already what it shall be.
func (s *Store) same(spec Spec, upstream oci.Upstream, r *record) bool {
	if r.URL != upstream.String() || r.Username != spec.Username || r.RevalidateAfter != int64(spec.RevalidateAfter/time.Second) || r.MaxSize != spec.MaxSize {
		return false
	}
	if spec.Password == nil {
		return true
	}
	password, err := r.password(s.Keys, spec.Prefix)
	return err == nil && password == *spec.Password
}

// update changes the document: change is called with a copy of it, again
// whenever another writer was faster, and reports whether anything is to be
// written.
func (s *Store) update(ctx context.Context, change func(*document) (bool, error)) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for try := 0; ; try++ {
		if err := s.read(ctx); err != nil {
			return unavailable(ctx, err)
		}
		snap := s.current.Load()
		doc := snap.doc.clone()
		if write, err := change(doc); err != nil || !write {
			return err
		}
		err := s.write(ctx, doc, snap.version)
		if errors.Is(err, storage.ErrConflict) && try < 20 {
			continue
		}
		s.Changed(ctx)
		if err != nil {
			_ = s.read(context.WithoutCancel(ctx)) // it may have been written all the same
			return unavailable(ctx, fmt.Errorf("write %s: %w", documentKey, err))
		}
		return nil
	}
}

// Get returns a cache. NOT_FOUND.
func (s *Store) Get(ctx context.Context, prefix string) (Entry, error) {
	if err := s.Refresh(ctx); err != nil {
		return Entry{}, unavailable(ctx, err)
	}
	return s.entry(prefix)
}

// All returns every cache that is kept, in the byte order of prefixes.
func (s *Store) All(ctx context.Context) ([]Entry, error) {
	if err := s.Refresh(ctx); err != nil {
		return nil, unavailable(ctx, err)
	}
	snap := s.current.Load()
	all := make([]Entry, 0, len(snap.doc.Caches))
	for _, prefix := range slices.Sorted(maps.Keys(snap.doc.Caches)) {
		all = append(all, snap.entry(prefix))
	}
	return all, nil
}

// Delete ends a cache. What it has fetched stays, as repositories like any other.
// NOT_FOUND, PRECONDITION_FAILED.
func (s *Store) Delete(ctx context.Context, prefix string, may auth.Condition) error {
	return s.update(ctx, func(doc *document) (bool, error) {
		r := doc.Caches[prefix]
		switch {
		case r == nil:
			return false, notFound(prefix)
		case may != nil && !may(r.Revision):
			return false, hasChanged(prefix)
		}
		delete(doc.Caches, prefix)
		return true, nil
	})
}

func (s *Store) entry(prefix string) (Entry, error) {
	snap := s.current.Load()
	if snap.doc.Caches[prefix] == nil {
		return Entry{}, notFound(prefix)
	}
	return snap.entry(prefix), nil
}

func (snap *snapshot) entry(prefix string) Entry {
	r := snap.doc.Caches[prefix]
	e := Entry{
		Prefix: prefix, URL: r.URL, Username: r.Username, HasPassword: len(r.Password) > 0, CredentialRevision: r.PasswordSetAs,
		RevalidateAfter: time.Duration(r.RevalidateAfter) * time.Second, MaxSize: r.MaxSize, Revision: r.Revision, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	if rt := snap.routes[prefix]; rt != nil && rt.err != nil {
		e.Problem = rt.err.Error()
	}
	return e
}

func hasChanged(prefix string) error {
	return oci.Errorf(oci.CodePreconditionFailed, "pull-through cache %s has changed since it was read; read it again", prefix)
}

func notFound(prefix string) error {
	err := oci.Errorf(oci.CodeNotFound, "there is no pull-through cache %q", clip(prefix))
	err.Detail = auth.NotFound{Kind: "proxy cache", Name: prefix}
	return err
}

// unavailable hides a fault of the storage from clients, unless it is one that
// has a text for them.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, storage.ErrUnavailable) {
		return err
	}
	return &oci.Error{Code: oci.CodeUnavailable, Message: "the pull-through caches cannot be reached in the storage now; try again", Err: err}
}

func clip(s string) string {
	const most = 160
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
