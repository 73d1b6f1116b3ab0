package registry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Manifest is a stored manifest.
type Manifest struct {
	Digest    oci.Digest // as it was asked for, or as the tag has it
	MediaType string
	Content   []byte // shared: not to be changed
}

// Manifest returns a manifest by tag or digest. MANIFEST_UNKNOWN.
func (r *Registry) Manifest(ctx context.Context, repo oci.Repository, ref oci.Reference) (Manifest, error) {
	d := ref.Digest
	if d.IsZero() {
		var err error
		if d, err = r.ResolveTag(ctx, repo, ref.Tag); err != nil {
			return Manifest{}, err
		}
	}
	canonical, err := r.revision(ctx, repo, d, remembered)
	if err != nil {
		return Manifest{}, err
	}
	m, err := r.manifestContent(ctx, canonical)
	if err == nil && ref.Tag.IsZero() {
		err = r.vouch(ctx, blobItem(canonical), manifestItem(repo, canonical), manifestItem(repo, d))
	}
	if errors.Is(err, storage.ErrNotFound) {
		return Manifest{}, manifestUnknown(repo, ref.String(), err)
	}
	if err != nil {
		return Manifest{}, err
	}
	return Manifest{Digest: d, MediaType: m.mediaType, Content: m.content}, nil
}

// manifestContent returns a manifest's bytes, from memory where the store says
// that it still has them. The caller does not change them.
func (r *Registry) manifestContent(ctx context.Context, canonical oci.Digest) (cachedManifest, error) {
	if m, ok := r.manifests.get(canonical); ok {
		info, err := r.statContent(ctx, canonical, remembered)
		if err != nil {
			return cachedManifest{}, err
		}
		if info.Size == int64(len(m.content)) {
			return m, nil
		}
	}
	if !r.facts.on() {
		return r.askManifest(ctx, canonical)
	}
	return together(ctx, &r.flights, "manifest "+canonical.String(), func(ctx context.Context) (cachedManifest, error) {
		return r.askManifest(ctx, canonical)
	})
}

// askManifest is manifestContent for what this instance does not remember.
func (r *Registry) askManifest(ctx context.Context, canonical oci.Digest) (cachedManifest, error) {
	seen := r.facts.epoch()
	content, err := r.readManifest(ctx, canonical)
	if err != nil {
		return cachedManifest{}, err
	}
	m := cachedManifest{content: content, mediaType: oci.SniffMediaType(content)}
	if oci.FromBytes(content) == canonical { // what a bad disk made of it must not outlive a repair
		r.manifests.add(canonical, m)
		r.facts.addBlob(seen, storage.BlobInfo{Digest: canonical, Size: int64(len(content))})
	}
	return m, nil
}

// revision returns the canonical digest of a manifest that the repository has.
// MANIFEST_UNKNOWN.
func (r *Registry) revision(ctx context.Context, repo oci.Repository, d oci.Digest, from source) (oci.Digest, error) {
	canonical, err := r.resolveLink(ctx, revisionLink(repo, d), d, from)
	if errors.Is(err, storage.ErrNotFound) {
		return oci.Digest{}, manifestUnknown(repo, d.String(), err)
	}
	return canonical, err
}

func (r *Registry) readManifest(ctx context.Context, canonical oci.Digest) ([]byte, error) {
	content, err := r.blobs.Open(ctx, canonical, 0)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	// Other programs may have had another limit, so allow twice ours.
	const limit = 2 * oci.MaxManifestSize
	body, err := io.ReadAll(io.LimitReader(content, limit+1))
	if err == nil && len(body) > limit {
		err = fmt.Errorf("manifest %s is larger than %d bytes", canonical, limit)
	}
	return body, err
}

// Push is a manifest on its way in.
type Push struct {
	Repository  oci.Repository
	Digest      oci.Digest // what the client says it is; zero to take the canonical one
	Tags        []oci.Tag
	ContentType string
	Body        []byte
	// Partial takes a manifest whose parts the repository may lack: a pull-through
	// cache gets them when somebody asks for them.
	Partial bool
	// May is asked about each tag as it is before it moves: the zero digest stands
	// for one that is not there. Nil allows everything.
	May func(tag oci.Tag, now oci.Digest) error
}

// may asks p.May about every tag.
func (p Push) may(was []storage.Record) error {
	if p.May == nil {
		return nil
	}
	for i, tag := range p.Tags {
		now, _ := oci.ParseDigest(string(was[i].Value)) // what is damaged can be overwritten
		if err := p.May(tag, now); err != nil {
			return err
		}
	}
	return nil
}

// Pushed is what became of a Push.
type Pushed struct {
	Digest  oci.Digest
	Subject oci.Digest // zero if the manifest has none
}

// PutManifest stores a manifest and tags it. It returns once everything is
// durable; the tags come last. DIGEST_INVALID, MANIFEST_INVALID, or one
// MANIFEST_BLOB_UNKNOWN for each thing that the manifest names and the
// repository lacks, joined; DENIED if a tag is immutable and points elsewhere.
func (r *Registry) PutManifest(ctx context.Context, p Push) (Pushed, error) {
	m, err := oci.ParseManifest(p.ContentType, p.Body)
	if err != nil {
		return Pushed{}, err
	}
	d := p.Digest
	if d.IsZero() {
		d = oci.FromBytes(p.Body)
	} else if d.Algorithm().Of(p.Body) != d {
		return Pushed{}, &oci.Error{Code: oci.CodeDigestInvalid, Message: "the manifest does not have the digest in the URL; nothing was stored", Detail: d}
	}
	since, err := r.facts.present(ctx)
	if err != nil {
		return Pushed{}, err
	}
	if !p.Partial {
		if err := r.checkReferences(ctx, p.Repository, m, remembered); err != nil {
			return Pushed{}, err
		}
	}
	was, rules, err := r.readTags(ctx, p.Repository, p.Tags, d)
	if err == nil {
		err = p.may(was)
	}
	if err != nil {
		return Pushed{}, err
	}
	if err := r.storeManifest(ctx, p.Repository, d, m, p.Body, remembered); err != nil {
		return Pushed{}, err
	}
	push := &pushing{r: r, Push: p, digest: d, manifest: m, seen: since}
	if err := push.finish(ctx, rules, was); err != nil {
		return Pushed{}, err
	}
	if rules.anyOf(p.Tags) && !p.Partial {
		if err := r.settle(ctx, p.Repository, d, m, p.Body); err != nil {
			return Pushed{}, err
		}
	}
	pushed := Pushed{Digest: d}
	if m.Subject != nil {
		pushed.Subject = m.Subject.Digest
	}
	return pushed, nil
}

// storeManifest stores what the repository is not known to have yet.
func (r *Registry) storeManifest(ctx context.Context, repo oci.Repository, d oci.Digest, m *oci.Manifest, body []byte, from source) error {
	if from == remembered && r.knowsManifest(repo, d, m, body) {
		return nil
	}
	if err := r.enter(ctx, repo, from); err != nil {
		return err
	}
	seen := r.facts.epoch()
	info, err := r.blobs.Put(ctx, body)
	if err != nil {
		return err
	}
	r.facts.addBlob(seen, info)
	r.manifests.add(info.Digest, cachedManifest{content: body, mediaType: oci.SniffMediaType(body)})
	if err := r.writeLink(ctx, revisionLink(repo, info.Digest), info.Digest); err != nil {
		return err
	}
	if d != info.Digest {
		if err := r.writeLink(ctx, revisionLink(repo, d), info.Digest); err != nil {
			return err
		}
	}
	if m.Subject == nil {
		return nil
	}
	return r.putReferrer(ctx, repo, d, m, int64(len(body)))
}

// knowsManifest reports whether all that storeManifest writes is remembered to
// be there. Referrers' entries are not remembered.
func (r *Registry) knowsManifest(repo oci.Repository, d oci.Digest, m *oci.Manifest, body []byte) bool {
	if m.Subject != nil {
		return false
	}
	canonical, ok := r.facts.link(revisionLink(repo, d))
	if !ok || canonical != oci.FromBytes(body) {
		return false
	}
	if d != canonical {
		if _, ok = r.facts.link(revisionLink(repo, canonical)); !ok {
			return false
		}
	}
	_, ok = r.facts.blob(canonical)
	return ok
}

// DeleteManifest removes a manifest from the repository, with the tags that
// point at it. Its bytes stay until a garbage collection. MANIFEST_UNKNOWN;
// DENIED if an immutable tag needs it.
func (r *Registry) DeleteManifest(ctx context.Context, repo oci.Repository, d oci.Digest) error {
	canonical, err := r.revision(ctx, repo, d, store)
	if err != nil {
		return err
	}
	// The same bytes may have been pushed under both digests: one manifest, two
	// links. They go together.
	names := []oci.Digest{canonical}
	content, err := r.readManifest(ctx, canonical)
	switch {
	case err == nil:
		names = append(names, oci.SHA512.Of(content))
	case !errors.Is(err, storage.ErrNotFound):
		return err
	}
	if err := r.expectDeletion(ctx, repo, names); err != nil {
		return err
	}
	var refused error
	err = r.deleting(ctx, func() error {
		if err := r.deleteManifest(ctx, repo, names, content); err != nil {
			return err
		}
		var err error
		refused, err = r.undelete(ctx, repo, names, content)
		return err
	})
	if err == nil {
		err = refused
	}
	return err
}

func (r *Registry) deleteManifest(ctx context.Context, repo oci.Repository, names []oci.Digest, content []byte) error {
	tags, err := r.readAllTags(ctx, repo)
	if err != nil {
		return err
	}
	if err := r.mayDeleteManifest(ctx, repo, tags, names); err != nil {
		return err
	}
	if err := r.untag(ctx, repo, tags, names); err != nil {
		return err
	}
	if err := r.deleteReferrer(ctx, repo, names, content); err != nil {
		return err
	}
	for _, name := range names {
		if err := r.records.Delete(ctx, revisionLink(repo, name), storage.Any); err != nil {
			return err
		}
	}
	return nil
}

func manifestUnknown(repo oci.Repository, ref string, cause error) error {
	return &oci.Error{Code: oci.CodeManifestUnknown, Message: fmt.Sprintf("manifest %s unknown in repository %s", ref, repo), Detail: map[string]string{"name": repo.String(), "reference": ref}, Err: cause}
}
