package registry

import (
	"context"
	"errors"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

func (c *checker) repositories(ctx context.Context) error {
	for repo, err := range c.r.Repositories(ctx, "") {
		if err != nil {
			return err
		}
		c.sum.Repositories++
		c.progress()
		// In the order in which one thing leads to the next, so that one repair
		// sees what the one before it removed.
		for _, step := range []func(context.Context, oci.Repository) error{c.settings, c.layers, c.revisions, c.referrers, c.tags} {
			if err := step(ctx, repo); err != nil {
				return err
			}
		}
	}
	return nil
}

// settings checks that the settings of the repository can be read. There is no
// repair: without them, what they protect would not be.
func (c *checker) settings(ctx context.Context, repo oci.Repository) error {
	_, err := c.r.readSettings(ctx, repo)
	if !errors.Is(err, errSettingsDamaged) {
		return err
	}
	return c.report(ctx, Finding{Severity: Broken, Kind: "settings-damaged", Repository: repo.String(),
		Message: "the settings of the repository are not what this server writes, so that no tag can be pushed or deleted; set them again (PUT /api/v1/repositories/NAME)"}, nil)
}

// links yields the links below a folder of "<algorithm>/<hex>/link": the digest
// in the path, and the canonical one in the link. A link that is damaged is
// reported, and mended where the path says what it should hold.
func (c *checker) links(ctx context.Context, repo oci.Repository, dir string, visit func(key string, d, canonical oci.Digest) error) error {
	for key, err := range c.r.records.List(ctx, dir, "") {
		if err != nil {
			return err
		}
		parts := strings.Split(strings.TrimPrefix(key, dir), "/")
		if len(parts) != 3 || parts[2] != "link" {
			continue // foreign, such as the signatures of very old registries
		}
		d, err := oci.ParseDigest(parts[0] + ":" + parts[1])
		if err != nil {
			continue
		}
		canonical, _, err := c.r.readLink(ctx, key)
		if err == nil && (d.Algorithm() != oci.Canonical || d == canonical) {
			if err := visit(key, d, canonical); err != nil {
				return err
			}
			continue
		}
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
		var mend func(context.Context) error
		if d.Algorithm() == oci.Canonical {
			mend = func(ctx context.Context) error { return c.r.writeLink(ctx, key, d) }
			c.linked[d] = struct{}{}
		}
		if err := c.report(ctx, Finding{Severity: Broken, Kind: "link-damaged", Repository: repo.String(), Reference: d.String(),
			Message: "the link does not hold a digest, or another one than its name says"}, mend); err != nil {
			return err
		}
	}
	return nil
}

// layers checks that the layers and configs of the repository have content. A
// link without it is removed by a repair: it makes clients believe that they
// need not push.
func (c *checker) layers(ctx context.Context, repo oci.Repository) error {
	return c.links(ctx, repo, repositoryDir(repo)+"/_layers/", func(key string, d, canonical oci.Digest) error {
		c.linked[canonical] = struct{}{}
		there, err := c.has(ctx, canonical)
		if there || err != nil {
			return err
		}
		return c.report(ctx, Finding{Severity: Broken, Kind: "layer-missing", Repository: repo.String(), Reference: d.String(),
			Message: "the repository has this layer or config, but its content is gone; push it again"},
			func(ctx context.Context) error { return c.r.records.Delete(ctx, key, storage.Any) })
	})
}

// revisions checks the manifests of the repository and what they name.
func (c *checker) revisions(ctx context.Context, repo oci.Repository) error {
	return c.links(ctx, repo, repositoryDir(repo)+"/_manifests/revisions/", func(key string, d, canonical oci.Digest) error {
		c.sum.Manifests++
		c.linked[canonical] = struct{}{}
		there, err := c.has(ctx, canonical)
		if err != nil {
			return err
		}
		if !there {
			return c.report(ctx, Finding{Severity: Broken, Kind: "manifest-missing", Repository: repo.String(), Reference: d.String(),
				Message: "the repository has this manifest, but its content is gone; push it again"},
				func(ctx context.Context) error { return c.r.records.Delete(ctx, key, storage.Any) })
		}
		content, err := c.r.readManifest(ctx, canonical)
		if err != nil {
			return err
		}
		m, parseErr := oci.ParseManifest("", content)
		if parseErr != nil {
			return c.report(ctx, Finding{Severity: Broken, Kind: "manifest-invalid", Repository: repo.String(), Reference: d.String(),
				Message: "the manifest is not one that this registry accepts; it is served as it is"}, nil)
		}
		if err := c.references(ctx, repo, d, canonical, m); err != nil {
			return err
		}
		return c.subject(ctx, repo, d, m, content)
	})
}

// references checks that the repository has what a manifest names. There is no
// repair: linking content that is there could give a repository access to
// another one's.
func (c *checker) references(ctx context.Context, repo oci.Repository, d, canonical oci.Digest, m *oci.Manifest) error {
	if c.o.Partial != nil && c.o.Partial(repo) {
		return nil
	}
	err := c.r.checkReferences(ctx, repo, m, store)
	if err == nil {
		return nil
	}
	code := oci.ErrorCode(err)
	if code != oci.CodeManifestBlobUnknown && code != oci.CodeManifestInvalid {
		return err
	}
	f := Finding{Severity: Broken, Kind: "reference-missing", Repository: repo.String(), Reference: d.String(), Message: strings.ReplaceAll(err.Error(), "\n", "; ")}
	led, err := c.leadsTo(ctx, repo)
	if err != nil {
		return err
	}
	if !led[canonical] {
		f.Severity, f.Kind = Garbage, "manifest-unfinished"
		f.Message = "no tag leads to the manifest, as after a push that was refused: " + f.Message
	}
	return c.report(ctx, f, nil)
}

// leadsTo returns the canonical digests of the manifests that a tag of the
// repository leads to, also by way of an index or as referrers.
func (c *checker) leadsTo(ctx context.Context, repo oci.Repository) (map[oci.Digest]bool, error) {
	if c.led != nil && c.ledIn == repo {
		return c.led, nil
	}
	tags, err := c.r.readAllTags(ctx, repo)
	if err != nil {
		return nil, err
	}
	var todo []oci.Digest
	for _, t := range tags {
		todo = append(todo, t.digest)
	}
	referrers, err := c.listedReferrers(ctx, repo)
	if err != nil {
		return nil, err
	}
	led := map[oci.Digest]bool{}
	for len(todo) > 0 {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		canonical, err := c.r.revision(ctx, repo, d, store)
		if err == nil && !led[canonical] {
			led[canonical] = true
			todo = append(todo, referrers[d]...)
			var content []byte
			if content, err = c.r.readManifest(ctx, canonical); err == nil {
				todo = append(todo, refsOf(content).children...)
			}
		}
		if err != nil && oci.ErrorCode(err) != oci.CodeManifestUnknown && !errors.Is(err, storage.ErrNotFound) {
			return nil, err
		}
	}
	c.led, c.ledIn = led, repo
	return led, nil
}

// subject checks that a manifest with a subject is among its referrers. Those
// that a registry without the referrers API took are not.
func (c *checker) subject(ctx context.Context, repo oci.Repository, d oci.Digest, m *oci.Manifest, content []byte) error {
	if m.Subject == nil {
		return nil
	}
	// It is listed under the digest that it was pushed by.
	for _, alg := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		_, err := c.r.records.Get(ctx, referrerKey(repo, m.Subject.Digest, alg.Of(content)))
		if !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	return c.report(ctx, Finding{Severity: Broken, Kind: "referrer-missing", Repository: repo.String(), Reference: d.String(),
		Message: "the manifest has the subject " + m.Subject.Digest.String() + ", but is not listed as its referrer"},
		func(ctx context.Context) error { return c.r.putReferrer(ctx, repo, d, m, int64(len(content))) })
}

// listedReferrers returns the referrers that are listed in the repository, by their
// subjects.
func (c *checker) listedReferrers(ctx context.Context, repo oci.Repository) (map[oci.Digest][]oci.Digest, error) {
	found := map[oci.Digest][]oci.Digest{}
	err := c.eachReferrer(ctx, repo, func(_ string, subject, d oci.Digest) error {
		found[subject] = append(found[subject], d)
		return nil
	})
	return found, err
}

func (c *checker) eachReferrer(ctx context.Context, repo oci.Repository, visit func(key string, subject, d oci.Digest) error) error {
	dir := repositoryDir(repo) + "/_referrers/"
	for key, err := range c.r.records.List(ctx, dir, "") {
		if err != nil {
			return err
		}
		parts := strings.Split(strings.TrimPrefix(key, dir), "/")
		if len(parts) != 5 {
			continue
		}
		subject, serr := oci.ParseDigest(parts[0] + ":" + parts[1])
		d, err := oci.ParseDigest(parts[2] + ":" + parts[3])
		if serr != nil || err != nil {
			continue // foreign
		}
		if err := visit(key, subject, d); err != nil {
			return err
		}
	}
	return nil
}

// referrers checks that listed referrers exist.
func (c *checker) referrers(ctx context.Context, repo oci.Repository) error {
	return c.eachReferrer(ctx, repo, func(key string, subject, d oci.Digest) error {
		_, err := c.r.revision(ctx, repo, d, store)
		if oci.ErrorCode(err) != oci.CodeManifestUnknown {
			return err
		}
		return c.report(ctx, Finding{Severity: Broken, Kind: "referrer-dangling", Repository: repo.String(), Reference: d.String(),
			Message: "a referrer of " + subject.String() + " is listed that does not exist"},
			func(ctx context.Context) error { return c.r.records.Delete(ctx, key, storage.Any) })
	})
}

// tags checks that every tag that is listed leads to a manifest.
func (c *checker) tags(ctx context.Context, repo oci.Repository) error {
	for tag, err := range c.r.Tags(ctx, repo, "") {
		if oci.ErrorCode(err) == oci.CodeNameUnknown {
			return nil // a repair above removed the last of it
		}
		if err != nil {
			return err
		}
		c.sum.Tags++
		if err := c.tag(ctx, repo, tag); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) tag(ctx context.Context, repo oci.Repository, tag oci.Tag) error {
	dangling := Finding{Severity: Broken, Kind: "tag-dangling", Repository: repo.String(), Reference: tag.String()}
	remove := func(ctx context.Context) error { return c.r.deleteAll(ctx, tagsDir(repo)+"/"+tag.String()+"/") }

	d, err := c.r.ResolveTag(ctx, repo, tag)
	if oci.ErrorCode(err) == oci.CodeManifestUnknown {
		dangling.Message = "the tag has a history but points at nothing"
		return c.report(ctx, dangling, remove)
	}
	if err != nil {
		return err
	}
	canonical, err := c.r.revision(ctx, repo, d, store)
	if oci.ErrorCode(err) == oci.CodeManifestUnknown {
		dangling.Message = "the tag points at " + d.String() + ", which the repository does not have"
		return c.report(ctx, dangling, remove)
	}
	if err != nil {
		return err
	}
	if there, err := c.has(ctx, canonical); err != nil || !there {
		return err // reported as a manifest already
	}
	key := tagIndexLink(repo, tag, d)
	if _, err := c.r.records.Get(ctx, key); !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	// A crash between the two writes of a tag. Readers do not need the second.
	return c.report(ctx, Finding{Severity: Garbage, Kind: "tag-history", Repository: repo.String(), Reference: tag.String(),
		Message: "the tag's history lacks what it points at now"},
		func(ctx context.Context) error { return c.r.writeLink(ctx, key, d) })
}
