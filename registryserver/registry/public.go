package registry

import (
	"context"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

const (
	// publicRemembered is for how long what was seen of AnonymousPull is good where
	// asking costs a request, and publicKnown of how many repositories.
	publicRemembered = 4 * time.Second
	publicKnown      = 4096
	// publicWithdrawn is when a withdrawal is in force on every instance.
	publicWithdrawn = publicRemembered + time.Second
)

// publicCache remembers which repositories anyone may pull, and which not.
type publicCache struct {
	seen *lru.Cache[oci.Repository, publicSeen]
}

type publicSeen struct {
	public bool
	at     time.Time // before the store was asked
}

func newPublicCache() publicCache {
	seen, err := lru.New[oci.Repository, publicSeen](publicKnown)
	if err != nil {
		panic(err) // only for a size below one
	}
	return publicCache{seen}
}

func (c publicCache) forget(repo oci.Repository) { c.seen.Remove(repo) }

// AnonymousPull reports whether the settings of a repository let everybody pull.
// Where the store is a bucket, another instance may have changed that up to 4 s
// ago; none has withdrawn it and said so.
func (r *Registry) AnonymousPull(ctx context.Context, repo oci.Repository) (bool, error) {
	if !r.facts.on() {
		s, err := r.readSettings(ctx, repo)
		return s.AnonymousPull, err
	}
	if seen, ok := r.public.seen.Get(repo); ok && r.stillGood(seen) {
		return seen.public, nil
	}
	ask := func(ctx context.Context) (publicSeen, error) {
		seen := publicSeen{at: r.facts.now()}
		s, err := r.readSettings(ctx, repo)
		if seen.public = s.AnonymousPull; err == nil {
			r.public.seen.Add(repo, seen)
		}
		return seen, err
	}
	seen, err := together(ctx, &r.flights, "settings "+repo.String(), ask)
	if err == nil && !r.stillGood(seen) {
		seen, err = ask(ctx) // another's question took too long
	}
	return err == nil && seen.public, err
}

func (r *Registry) stillGood(s publicSeen) bool { return r.facts.now().Sub(s.at) < publicRemembered }

// awaitWithdrawal waits until no instance goes on with an AnonymousPull that was
// taken away when or before the record was stored.
func (r *Registry) awaitWithdrawal(ctx context.Context, rec settingsRecord) error {
	if !r.facts.on() || rec.AnonymousPull || rec.WithdrawnAt.IsZero() || r.facts.now().Sub(rec.WithdrawnAt) > publicWithdrawn {
		return nil
	}
	select {
	case <-time.After(publicWithdrawn):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
