package events

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Put makes a webhook, or changes the one of that name, and reports whether it
// is new. INVALID; CONFLICT without keys to seal a secret with;
// PRECONDITION_FAILED.
func (s *Store) Put(ctx context.Context, spec Spec) (Webhook, bool, error) {
	if err := spec.check(); err != nil {
		return Webhook{}, false, err
	}
	var created bool
	var made Webhook
	err := s.update(ctx, func(doc *document) error {
		before := doc.Webhooks[spec.Name]
		created = before == nil
		now := s.Now().UTC()
		next := record{CreatedAt: now}
		switch {
		case before == nil && spec.MustExist:
			return oci.Errorf(oci.CodePreconditionFailed, "there is no webhook %s, and the request says that there is", spec.Name)
		case before == nil && len(doc.Webhooks) >= maxWebhooks:
			return oci.Errorf(oci.CodeConflict, "there are %d webhooks, and no more are possible", maxWebhooks)
		case before != nil && spec.May != nil && !spec.May(before.Revision):
			return hasChanged(spec.Name)
		case before != nil:
			next = *before
		}
		next.Description, next.URL, next.Format, next.Actions, next.Enabled = spec.Description, spec.URL, spec.Format, spec.Actions, spec.Enabled
		next.Repositories = nil
		for _, glob := range spec.Repositories {
			next.Repositories = append(next.Repositories, glob.String())
		}
		if err := seal(s.Keys, secretPurpose, spec.Name, spec.Secret, &next.Secret); err != nil {
			return err
		}
		if err := seal(s.Keys, authorizationPurpose, spec.Name, spec.Authorization, &next.Authorization); err != nil {
			return err
		}
		next.Revision, next.UpdatedAt = rand.Text(), now
		doc.Webhooks[spec.Name] = &next
		made = next.receiver(spec.Name, s.Keys).Webhook
		return nil
	})
	return made, created, err
}

// Get returns a webhook. NOT_FOUND.
func (s *Store) Get(ctx context.Context, name string) (Webhook, error) {
	if err := s.look(ctx); err != nil {
		return Webhook{}, unavailable(ctx, err)
	}
	r := s.current.Load().receivers[name]
	if r == nil {
		return Webhook{}, notFound(name)
	}
	return r.Webhook, nil
}

// All returns every webhook, in the byte order of names.
func (s *Store) All(ctx context.Context) ([]Webhook, error) {
	if err := s.look(ctx); err != nil {
		return nil, unavailable(ctx, err)
	}
	receivers := s.current.Load().receivers
	var all []Webhook
	for _, name := range slices.Sorted(maps.Keys(receivers)) {
		all = append(all, receivers[name].Webhook)
	}
	return all, nil
}

// Delete removes a webhook; what waits for it is not delivered any more.
// NOT_FOUND, PRECONDITION_FAILED.
func (s *Store) Delete(ctx context.Context, name string, may auth.Condition) error {
	return s.update(ctx, func(doc *document) error {
		before := doc.Webhooks[name]
		switch {
		case before == nil:
			return notFound(name)
		case may != nil && !may(before.Revision):
			return hasChanged(name)
		}
		delete(doc.Webhooks, name)
		return nil
	})
}

// update changes the record by compare-and-swap.
func (s *Store) update(ctx context.Context, change func(*document) error) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for try := 0; ; try++ {
		doc, version, err := s.read(ctx)
		if err != nil {
			return unavailable(ctx, err)
		}
		if err := change(&doc); err != nil {
			return err
		}
		value, err := json.Marshal(doc)
		if err != nil {
			return err
		}
		next, err := s.Records.Put(ctx, webhooksKey, value, version)
		if errors.Is(err, storage.ErrConflict) && try < 20 {
			continue
		}
		if err != nil {
			return unavailable(ctx, fmt.Errorf("write the webhooks: %w", err))
		}
		s.install(ctx, doc, next)
		s.Changed(ctx)
		return nil
	}
}

func hasChanged(name string) error {
	return oci.Errorf(oci.CodePreconditionFailed, "webhook %s has changed since it was read; read it again", name)
}

func notFound(name string) error {
	err := oci.Errorf(oci.CodeNotFound, "there is no webhook %q", name)
	err.Detail = auth.NotFound{Kind: "webhook", Name: name}
	return err
}

// unavailable hides a fault of the storage from clients, unless it is one that
// has a text for them.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, storage.ErrUnavailable) {
		return err
	}
	return &oci.Error{Code: oci.CodeUnavailable, Message: "the webhooks cannot be reached in the storage now; try again", Err: err}
}
