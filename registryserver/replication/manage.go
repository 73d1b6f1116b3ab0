package replication

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Put makes or changes a replication, and reports whether it is new. INVALID;
// CONFLICT without keys to seal a password with; PRECONDITION_FAILED.
func (s *Store) Put(ctx context.Context, spec Spec) (Replication, bool, error) {
	destination, err := spec.check()
	if err != nil {
		return Replication{}, false, err
	}
	if spec.Password != nil && s.Keys == nil {
		return Replication{}, false, oci.Errorf(oci.CodeConflict, "no http.secret is configured, and without one the destination's password cannot be kept safely: set http.secret (REGISTRY_HTTP_SECRET), to the same value on every server, restart, and set the password again")
	}
	created := false
	err = s.update(ctx, func(doc *document) (bool, error) {
		before := doc.Replications[spec.Name]
		created = before == nil
		r, err := s.changed(spec, destination, before, len(doc.Replications))
		if r == nil || err != nil {
			return false, err
		}
		doc.Replications[spec.Name] = r
		return true, nil
	})
	if err != nil {
		return Replication{}, false, err
	}
	r, err := s.known(spec.Name)
	return r, created, err
}

// changed returns the record that a replication is to have; nil if it is so
// already.
func (s *Store) changed(spec Spec, destination oci.Upstream, before *record, count int) (*record, error) {
	now := s.Now().UTC()
	r := &record{
		Revision: rand.Text(), URL: destination.String(), Insecure: spec.Insecure, Enabled: spec.Enabled, Username: spec.Username,
		CreatedAt: now, UpdatedAt: now,
	}
	for _, glob := range spec.Repositories {
		r.Repositories = append(r.Repositories, glob.String())
	}
	for _, pattern := range spec.Tags {
		r.Tags = append(r.Tags, pattern.String())
	}
	switch {
	case before == nil && spec.MustExist:
		return nil, oci.Errorf(oci.CodePreconditionFailed, "there is no replication %s, and the request says that there is", spec.Name)
	case before == nil && count >= maxReplications:
		return nil, oci.Errorf(oci.CodeConflict, "there are %d replications, and no more are possible", maxReplications)
	case before != nil && s.same(spec, destination, r, before):
		return nil, nil // also for a repeated request whose condition held the first time
	case before != nil && spec.May != nil && !spec.May(before.Revision):
		return nil, hasChanged(spec.Name)
	case before != nil:
		r.CreatedAt = before.CreatedAt
	}
	return r, s.setPassword(r, spec, destination, before)
}

// setPassword gives a record the password of spec, or the one before, which is
// for one user at one host.
func (s *Store) setPassword(r *record, spec Spec, destination oci.Upstream, before *record) error {
	switch {
	case spec.Password != nil:
		r.PasswordSetAs = rand.Text()
		var err error
		r.Password, err = seal(s.Keys, spec.Name, destination.Host(), *spec.Password)
		return err
	case spec.Username == "":
		return nil
	case before == nil || len(before.Password) == 0:
		return oci.Errorf(oci.CodeInvalid, "the destination's user name has no password; give both, or neither")
	}
	was, err := oci.ParseDestination(before.URL, true)
	if err != nil {
		return err
	}
	if was.Host() != destination.Host() || before.Username != spec.Username {
		return oci.Errorf(oci.CodeInvalid, "the password that is kept is that of %s at %s, and is sent nowhere else; give the one for %s at %s", before.Username, was.Host(), spec.Username, destination.Host())
	}
	r.Password, r.PasswordSetAs = before.Password, before.PasswordSetAs
	return nil
}

// same reports whether a replication is already what it shall be.
func (s *Store) same(spec Spec, destination oci.Upstream, r, before *record) bool {
	if before.URL != r.URL || before.Insecure != r.Insecure || before.Enabled != r.Enabled || before.Username != r.Username ||
		!slices.Equal(before.Repositories, r.Repositories) || !slices.Equal(before.Tags, r.Tags) {
		return false
	}
	if spec.Password == nil {
		return true
	}
	password, err := before.password(s.Keys, spec.Name, destination.Host())
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

// Get returns a replication. NOT_FOUND.
func (s *Store) Get(ctx context.Context, name string) (Replication, error) {
	if err := s.Refresh(ctx); err != nil {
		return Replication{}, unavailable(ctx, err)
	}
	return s.known(name)
}

// All returns every replication, in the byte order of names.
func (s *Store) All(ctx context.Context) ([]Replication, error) {
	if err := s.Refresh(ctx); err != nil {
		return nil, unavailable(ctx, err)
	}
	rules := s.current.Load().rules
	all := make([]Replication, 0, len(rules))
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		all = append(all, rules[name].Replication)
	}
	return all, nil
}

// Delete ends a replication; what waits for it is not copied any more, and what
// was copied stays. NOT_FOUND, PRECONDITION_FAILED.
func (s *Store) Delete(ctx context.Context, name string, may auth.Condition) error {
	return s.update(ctx, func(doc *document) (bool, error) {
		r := doc.Replications[name]
		switch {
		case r == nil:
			return false, notFound(name)
		case may != nil && !may(r.Revision):
			return false, hasChanged(name)
		}
		delete(doc.Replications, name)
		return true, nil
	})
}

func (s *Store) known(name string) (Replication, error) {
	r := s.current.Load().rules[name]
	if r == nil {
		return Replication{}, notFound(name)
	}
	return r.Replication, nil
}

func hasChanged(name string) error {
	return oci.Errorf(oci.CodePreconditionFailed, "replication %s has changed since it was read; read it again", name)
}

func notFound(name string) error {
	err := oci.Errorf(oci.CodeNotFound, "there is no replication %q", name)
	err.Detail = auth.NotFound{Kind: "replication", Name: name}
	return err
}

// unavailable hides a fault of the storage from clients, unless it is one that
// has a text for them.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, storage.ErrUnavailable) {
		return err
	}
	return &oci.Error{Code: oci.CodeUnavailable, Message: "the replications cannot be reached in the storage now; try again", Err: err}
}
