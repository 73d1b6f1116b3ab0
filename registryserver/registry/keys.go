package registry

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/singleflight"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// The keys of a repository's records. All but _referrers are distribution's;
// docs/storage-format.md specifies them.

const repositoriesDir = storage.DistributionRoot + "/repositories"

func repositoryDir(repo oci.Repository) string { return repositoriesDir + "/" + repo.String() }

func layersDir(repo oci.Repository) string { return repositoryDir(repo) + "/_layers" }

func layerLink(repo oci.Repository, d oci.Digest) string {
	return layersDir(repo) + "/" + digestPath(d) + "/link"
}

func revisionLink(repo oci.Repository, d oci.Digest) string {
	return repositoryDir(repo) + "/_manifests/revisions/" + digestPath(d) + "/link"
}

func tagsDir(repo oci.Repository) string { return repositoryDir(repo) + "/_manifests/tags" }

func tagCurrent(repo oci.Repository, t oci.Tag) string {
	return tagsDir(repo) + "/" + t.String() + "/current/link"
}

func tagIndex(repo oci.Repository, t oci.Tag) string {
	return tagsDir(repo) + "/" + t.String() + "/index/"
}

func tagIndexLink(repo oci.Repository, t oci.Tag, d oci.Digest) string {
	return tagIndex(repo, t) + digestPath(d) + "/link"
}

func referrersDir(repo oci.Repository, subject oci.Digest) string {
	return repositoryDir(repo) + "/_referrers/" + digestPath(subject) + "/"
}

func referrerKey(repo oci.Repository, subject, d oci.Digest) string {
	return referrersDir(repo, subject) + digestPath(d) + "/descriptor"
}

func digestPath(d oci.Digest) string { return string(d.Algorithm()) + "/" + d.Hex() }

// readLink returns the digest that a link holds. A link that holds none, as a
// crash of another program may leave, is as good as absent: ErrNotFound.
func (r *Registry) readLink(ctx context.Context, key string) (oci.Digest, storage.Version, error) {
	rec, err := r.records.Get(ctx, key)
	if err != nil {
		return oci.Digest{}, "", err
	}
	d, err := linked(rec)
	if err != nil {
		return oci.Digest{}, rec.Version, fmt.Errorf("link %s is damaged: %w", key, storage.ErrNotFound)
	}
	return d, rec.Version, nil
}

// linked returns the digest that a link holds, if it holds one.
func linked(link storage.Record) (oci.Digest, error) {
	return oci.ParseDigest(strings.TrimSpace(string(link.Value)))
}

// resolveLink returns the canonical digest that the link of d holds. A damaged
// link must not serve other bytes: ErrNotFound.
func (r *Registry) resolveLink(ctx context.Context, key string, d oci.Digest, from source) (oci.Digest, error) {
	if from == remembered {
		if canonical, ok := r.facts.link(key); ok {
			return canonical, nil
		}
	}
	if from == store || !r.facts.on() {
		return r.askLink(ctx, key, d, from)
	}
	return together(ctx, &r.flights, "link "+key, func(ctx context.Context) (oci.Digest, error) { return r.askLink(ctx, key, d, from) })
}

// askLink is resolveLink for what this instance does not remember.
func (r *Registry) askLink(ctx context.Context, key string, d oci.Digest, from source) (oci.Digest, error) {
	seen := r.facts.epoch()
	if from == remembered {
		if canonical, ok := r.facts.sharedLink(ctx, seen, key); ok {
			r.facts.keepLink(seen, key, canonical)
			return canonical, nil
		}
	}
	canonical, _, err := r.readLink(ctx, key)
	if err != nil {
		return canonical, err
	}
	if d.Algorithm() == oci.Canonical && canonical != d {
		return canonical, storage.ErrNotFound
	}
	r.facts.addLink(seen, key, canonical)
	return canonical, nil
}

// together does something once for all who want it at the same time, whoever of
// them goes away. It is for facts that may be a little old. That something is
// absent is none: it may have come since another began to ask, so each who is
// told that asks again.
func together[T any](ctx context.Context, flights *singleflight.Group, what string, do func(context.Context) (T, error)) (T, error) {
	result := flights.DoChan(what, func() (any, error) { return do(context.WithoutCancel(ctx)) })
	select {
	case r := <-result:
		if r.Err != nil && r.Shared {
			return do(ctx)
		}
		return r.Val.(T), r.Err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// writeLink makes the link hold d: its bytes, without a line break.
func (r *Registry) writeLink(ctx context.Context, key string, d oci.Digest) error {
	seen := r.facts.epoch()
	_, err := r.records.Put(ctx, key, []byte(d.String()), storage.Any)
	if err == nil {
		r.facts.addLink(seen, key, d)
	}
	return err
}
