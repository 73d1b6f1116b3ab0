package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// What a garbage collection is deleting is as good as gone, and what it is going
// to delete stays if somebody asks for it: a client that is told that something is
// there does not push it. As with all that is remembered, the list may be as old
// as the epoch may be. A manifest that is pushed then is held to the list as it
// is, so that no image is acknowledged that lacks something.

// vouch returns an error that is storage.ErrNotFound if one of the names is being
// deleted, and takes them out of what is condemned.
func (r *Registry) vouch(ctx context.Context, names ...string) error {
	e, err := r.facts.present(ctx)
	if err != nil || len(e.Batches) == 0 {
		return err
	}
	going, err := r.rescue(ctx, e, names)
	if err == nil && len(going) > 0 {
		err = fmt.Errorf("%s: a garbage collection is deleting it: %w", going[0], storage.ErrNotFound)
	}
	return err
}

// keepBlob is the end of a push of a blob, or of a mount, after its links were
// written: it makes sure that the content that is relied on is there, if anything
// was deleted since the epoch since. storage.ErrNotFound.
func (r *Registry) keepBlob(ctx context.Context, repo oci.Repository, canonical, asked oci.Digest, since Epoch) error {
	e, err := r.facts.present(ctx)
	if err != nil {
		return err
	}
	if r.facts.on() && Epoch(e.Number) == since && len(e.Batches) == 0 {
		return nil
	}
	names := []string{blobItem(canonical), layerItem(repo, canonical), layerItem(repo, asked)}
	if _, err := r.settleAll(ctx, e, names); err != nil {
		return err
	}
	for _, name := range []oci.Digest{canonical, asked} {
		if _, err := r.resolveLink(ctx, layerLink(repo, name), name, store); err != nil {
			return err
		}
	}
	_, err = r.statContent(ctx, canonical, store)
	return err
}

// settleAll rescues what has one of the names, and waits for those that are being
// deleted until they are gone. It returns the epoch it has seen then, and reports
// with waited in it whether it waited.
func (r *Registry) settleAll(ctx context.Context, e epoch, names []string) (waited bool, err error) {
	for deadline := r.facts.now().Add(r.patience); len(e.Batches) > 0; {
		going, err := r.rescue(ctx, e, names)
		if err != nil || len(going) == 0 {
			return waited, err
		}
		if waited = true; !r.facts.now().Before(deadline) {
			return waited, beingDeleted(going[0])
		}
		if err := r.pause(ctx, awaitStep); err != nil {
			return waited, err
		}
		if e, _, err = r.facts.look(ctx); err != nil {
			return waited, err
		}
	}
	return waited, nil
}

const (
	// awaitDeletion is how long a push waits for a deletion to end. A collector
	// that died in the middle of one is taken over by another later than that.
	awaitDeletion = 15 * time.Second
	awaitStep     = 200 * time.Millisecond
)

func beingDeleted(name string) error {
	return &oci.Error{Code: oci.CodeUnavailable, Message: "a garbage collection is just deleting what this push needs; push again", Err: fmt.Errorf("it is deleting %s", name)}
}

// pause waits, unless the context ends.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// needs returns the names of all that a push makes use of: its own, and those that
// must have been there.
func (r *Registry) needs(ctx context.Context, repo oci.Repository, d, canonical oci.Digest, m *oci.Manifest) (own, others []string, err error) {
	own = []string{blobItem(canonical), manifestItem(repo, canonical), manifestItem(repo, d)}
	for _, b := range m.Blobs() {
		others = append(others, blobItem(b.Digest), layerItem(repo, b.Digest))
		content, err := r.aliased(ctx, layerLink(repo, b.Digest), b.Digest)
		if err != nil {
			return nil, nil, err
		}
		if content != b.Digest {
			others = append(others, blobItem(content), layerItem(repo, content))
		}
	}
	for _, child := range m.Manifests {
		others = append(others, manifestItem(repo, child.Digest))
		content, err := r.aliased(ctx, revisionLink(repo, child.Digest), child.Digest)
		if err != nil {
			return nil, nil, err
		}
		others = append(others, blobItem(content), manifestItem(repo, content))
	}
	slices.Sort(others)
	return own, slices.Compact(others), nil
}

// aliased returns the canonical digest that a link of another algorithm leads to,
// or d itself.
func (r *Registry) aliased(ctx context.Context, key string, d oci.Digest) (oci.Digest, error) {
	if d.Algorithm() == oci.Canonical {
		return d, nil
	}
	canonical, _, err := r.readLink(ctx, key)
	if errors.Is(err, storage.ErrNotFound) {
		return d, nil // what is missing is said elsewhere
	}
	return canonical, err
}
