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

// Create makes a webhook. key names the request: one of that name that the same
// key made is returned; any other is CONFLICT, as are secrets without keys to
// seal them with. INVALID.
func (s *Store) Create(ctx context.Context, spec Spec, key string) (Webhook, error) {
	return s.put(ctx, spec, func(doc *document) (record, error) {
		before := doc.Webhooks[spec.Name]
		switch {
		case before != nil && key != "" && before.CreateKey == key:
			return *before, errNoChange
		case before != nil:
			return record{}, oci.Errorf(oci.CodeConflict, "there is a webhook %s already", spec.Name)
		case len(doc.Webhooks) >= maxWebhooks:
			return record{}, oci.Errorf(oci.CodeConflict, "there are %d webhooks, and no more are possible", maxWebhooks)
		}
		return record{CreateKey: key, CreatedAt: s.Now().UTC()}, nil
	})
}

// Update makes the webhook spec.Name what spec says. NOT_FOUND, INVALID,
// PRECONDITION_FAILED; CONFLICT as for Create.
func (s *Store) Update(ctx context.Context, spec Spec, may auth.Condition) (Webhook, error) {
	return s.put(ctx, spec, func(doc *document) (record, error) {
		before, err := doc.webhook(spec.Name, may)
		if err != nil {
			return record{}, err
		}
		return *before, nil
	})
}

// put writes a webhook over what from returns.
func (s *Store) put(ctx context.Context, spec Spec, from func(*document) (record, error)) (Webhook, error) {
	if err := spec.check(); err != nil {
		return Webhook{}, err
	}
	var made record
	err := s.update(ctx, func(doc *document) error {
		var err error
		if made, err = from(doc); err != nil {
			return err
		}
		next := made
		if err := next.set(spec, s.Keys); err != nil {
			return err
		}
		next.Revision, next.UpdatedAt = rand.Text(), s.Now().UTC()
		made = next
		doc.Webhooks[spec.Name] = &next
		return nil
	})
	if err != nil {
		return Webhook{}, err
	}
	return made.receiver(spec.Name, s.Keys).Webhook, nil
}

// Get returns a webhook. NOT_FOUND.
func (s *Store) Get(ctx context.Context, name string) (Webhook, error) {
	if err := s.look(ctx); err != nil {
		return Webhook{}, unavailable(ctx, err)
	}
	r := s.current.Load().webhooks[name]
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
	webhooks := s.current.Load().webhooks
	var all []Webhook
	for _, name := range slices.Sorted(maps.Keys(webhooks)) {
		all = append(all, webhooks[name].Webhook)
	}
	return all, nil
}

// Delete removes a webhook; what waits for it is not delivered any more.
// NOT_FOUND, PRECONDITION_FAILED.
func (s *Store) Delete(ctx context.Context, name string, may auth.Condition) error {
	return s.update(ctx, func(doc *document) error {
		if _, err := doc.webhook(name, may); err != nil {
			return err
		}
		delete(doc.Webhooks, name)
		return nil
	})
}

// errNoChange ends an update that has nothing to do.
var errNoChange = errors.New("nothing to change")

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
		if err := change(&doc); errors.Is(err, errNoChange) {
			return nil
		} else if err != nil {
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

// webhook returns a webhook that is there and may be changed.
func (doc *document) webhook(name string, may auth.Condition) (*record, error) {
	r := doc.Webhooks[name]
	switch {
	case r == nil:
		return nil, notFound(name)
	case may != nil && !may(r.Revision):
		return nil, oci.Errorf(oci.CodePreconditionFailed, "webhook %s has changed since it was read; read it again", name)
	}
	return r, nil
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
