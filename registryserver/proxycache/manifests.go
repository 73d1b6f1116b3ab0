package proxycache

import (
	"context"
	"errors"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

// Manifest returns a manifest of any repository, by tag or digest. In one of a
// cache, what is not here is fetched, and a tag that was not looked at for long
// is looked at again; while the upstream is down, what is here is served.
// MANIFEST_UNKNOWN, TOOMANYREQUESTS, UNAVAILABLE.
func (c *Cache) Manifest(ctx context.Context, repo oci.Repository, ref oci.Reference) (registry.Manifest, error) {
	rt, ok := c.Store.find(ctx, repo)
	if !ok || c.ReadOnly {
		m, err := c.Registry.Manifest(ctx, repo, ref)
		if !absent(err) || c.ReadOnly {
			return m, err
		}
		if rt, ok = c.Store.findMissing(ctx, repo); !ok {
			return m, err
		}
	}
	c.stats.add(counter{"requests", rt.Prefix, "manifest"}, 1)
	if ref.Tag.IsZero() {
		return c.byDigest(ctx, rt, repo, ref.Digest)
	}
	return c.byTag(ctx, rt, repo, ref.Tag)
}

func (c *Cache) hit(rt *route, kind string)  { c.stats.add(counter{"hits", rt.Prefix, kind}, 1) }
func (c *Cache) miss(rt *route, kind string) { c.stats.add(counter{"misses", rt.Prefix, kind}, 1) }

// byDigest never asks about what is here: a digest means the same forever.
func (c *Cache) byDigest(ctx context.Context, rt *route, repo oci.Repository, d oci.Digest) (registry.Manifest, error) {
	m, err := c.Registry.Manifest(ctx, repo, oci.Reference{Digest: d})
	if err == nil || !absent(err) {
		c.hit(rt, "manifest")
		return m, err
	}
	c.miss(rt, "manifest")
	_, err = c.together(ctx, "manifest "+repo.String()+"@"+d.String(), func(ctx context.Context) (oci.Digest, error) {
		return d, c.fetchManifest(ctx, rt, repo, d)
	})
	if err != nil {
		return registry.Manifest{}, err
	}
	return c.Registry.Manifest(ctx, repo, oci.Reference{Digest: d})
}

func (c *Cache) byTag(ctx context.Context, rt *route, repo oci.Repository, tag oci.Tag) (registry.Manifest, error) {
	here, at, err := c.Registry.TaggedAt(ctx, repo, tag)
	if err != nil && !absent(err) {
		return registry.Manifest{}, err
	}
	if age := c.Now().Sub(at); err == nil && age < rt.revalidateAfter {
		m, err := c.Registry.Manifest(ctx, repo, oci.Reference{Digest: here})
		if err == nil || !absent(err) {
			c.hit(rt, "manifest")
			return m, err
		}
	}
	if r, err := c.remote(rt); !here.IsZero() && (err != nil || r.resting()) {
		if m, err := c.stale(ctx, rt, repo, here); err == nil {
			return m, nil
		}
	}
	now, err := c.together(ctx, "tag "+repo.String()+":"+tag.String(), func(ctx context.Context) (oci.Digest, error) {
		return c.revalidate(ctx, rt, repo, tag, here)
	})
	if err != nil {
		if here.IsZero() || !down(err) {
			return registry.Manifest{}, err
		}
		m, gone := c.stale(ctx, rt, repo, here)
		if gone != nil {
			return registry.Manifest{}, err
		}
		return m, nil
	}
	if now == here {
		c.hit(rt, "manifest")
	} else {
		c.miss(rt, "manifest")
	}
	return c.Registry.Manifest(ctx, repo, oci.Reference{Digest: now})
}

// stale returns what a tag was when the upstream could last be asked.
func (c *Cache) stale(ctx context.Context, rt *route, repo oci.Repository, d oci.Digest) (registry.Manifest, error) {
	m, err := c.Registry.Manifest(ctx, repo, oci.Reference{Digest: d})
	if err == nil {
		c.stats.add(counter{"stale", rt.Prefix, "manifest"}, 1)
	}
	return m, err
}

// revalidate asks the upstream what a tag is, with HEAD, which Docker Hub does not
// count as a pull, and makes the tag here the same. here is what it is now, or
// zero.
func (c *Cache) revalidate(ctx context.Context, rt *route, repo oci.Repository, tag oci.Tag, here oci.Digest) (oci.Digest, error) {
	missing := manifestUnknown(repo, tag.String())
	d, err := c.resolve(ctx, rt, repo, tag)
	if err != nil {
		return d, c.failed(ctx, rt, missing, err)
	}
	if d.IsZero() {
		return d, &failure{"not_found", missing, false}
	}
	m, err := c.Registry.Manifest(ctx, repo, oci.Reference{Digest: d})
	if err != nil && absent(err) {
		if err = c.fetchManifest(ctx, rt, repo, d); err == nil {
			m, err = c.Registry.Manifest(ctx, repo, oci.Reference{Digest: d})
		}
	}
	if err != nil {
		return d, err
	}
	// Also where it is the same: a tag is as old as its last push, and so all
	// servers know when it was looked at.
	_, err = c.Registry.PutManifest(ctx, registry.Push{
		Repository: repo, Digest: d, Tags: []oci.Tag{tag}, ContentType: m.MediaType, Body: m.Content, Partial: true,
	})
	switch {
	case err == nil:
	case oci.ErrorCode(err) == oci.CodeDenied && !here.IsZero():
		return here, nil // the tag is immutable here: it stays what it was first
	case d == here:
		c.Log.WarnContext(ctx, "that a tag was looked at could not be noted", "repository", repo.String(), "tag", tag.String(), "error", err)
	default:
		return d, err
	}
	return d, nil
}

func (c *Cache) resolve(ctx context.Context, rt *route, repo oci.Repository, tag oci.Tag) (oci.Digest, error) {
	upstream, err := c.repository(ctx, rt, repo)
	if err != nil {
		return oci.Digest{}, err
	}
	asking, cancel := context.WithTimeout(ctx, c.Silence)
	defer cancel()
	d, found, err := upstream.Resolve(asking, tag)
	if err == nil && !found {
		return oci.Digest{}, nil
	}
	return d, err
}

// fetchManifest stores a manifest that is not here, without what it names.
func (c *Cache) fetchManifest(ctx context.Context, rt *route, repo oci.Repository, d oci.Digest) error {
	ref := oci.Reference{Digest: d}
	return c.once(ctx, d, func(ctx context.Context) (bool, error) {
		_, err := c.Registry.Manifest(ctx, repo, ref)
		if absent(err) {
			return false, nil
		}
		return err == nil, err
	}, func(ctx context.Context) error {
		content, err := c.getManifest(ctx, rt, repo, d)
		if err != nil {
			return c.failed(ctx, rt, manifestUnknown(repo, d.String()), err)
		}
		c.stats.add(counter{"pulled_bytes", rt.Prefix, "manifest"}, float64(len(content)))
		_, err = c.Registry.PutManifest(ctx, registry.Push{
			Repository: repo, Digest: d, ContentType: oci.SniffMediaType(content), Body: content, Partial: true,
		})
		return err
	})
}

func (c *Cache) getManifest(ctx context.Context, rt *route, repo oci.Repository, d oci.Digest) ([]byte, error) {
	upstream, err := c.repository(ctx, rt, repo)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.Silence)
	defer cancel()
	content, err := upstream.Manifest(ctx, d)
	if err != nil && len(content) > 0 && d.Algorithm().Of(content) != d {
		err = errors.Join(errOtherBytes, err)
	}
	return content, err
}

// together does something once for all who want it at the same time, whoever of
// them goes away.
func (c *Cache) together(ctx context.Context, what string, do func(context.Context) (oci.Digest, error)) (oci.Digest, error) {
	result := c.asking.DoChan(what, func() (any, error) {
		if !c.begin() {
			return oci.Digest{}, errClosing
		}
		defer c.running.Done()
		ctx, cancel := c.detached(ctx)
		defer cancel()
		return do(ctx)
	})
	select {
	case r := <-result:
		d, _ := r.Val.(oci.Digest)
		return d, r.Err
	case <-ctx.Done():
		return oci.Digest{}, ctx.Err()
	}
}

func manifestUnknown(repo oci.Repository, ref string) *oci.Error {
	return oci.Errorf(oci.CodeManifestUnknown, "manifest %s unknown in repository %s", ref, repo)
}
