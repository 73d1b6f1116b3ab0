package transfer

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/terraform-provider-registry/registryserver/archive"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// What refers to an image is found in two ways: by the referrers API, and by tags
// that are made of the image's digest. The latter are cosign's, and those of
// registries without that API (distribution-spec "Referrers Tag Schema").

// fallbackTag is the tag of the referrers of a manifest.
func fallbackTag(subject oci.Digest) oci.Tag {
	hex := subject.Hex()
	tag, err := oci.ParseTag(string(subject.Algorithm()) + "-" + hex[:min(len(hex), 64)])
	if err != nil { // the parts of a digest are always good for a tag
		panic(err)
	}
	return tag
}

// list enters a manifest into the tag of its subject's referrers, for a registry
// that does not do so itself.
func (c *Copier) list(ctx context.Context, to Place, m *oci.Manifest, d oci.Digest, size int64) error {
	subject, tag := m.Subject.Digest, fallbackTag(m.Subject.Digest)
	unlock := c.lock(subject)
	defer unlock()
	entries, err := listed(ctx, to, tag)
	if err != nil {
		return fmt.Errorf("list the referrers of %s: %w", subject, err)
	}
	if slices.ContainsFunc(entries, func(e oci.Descriptor) bool { return e.Digest == d }) {
		return nil
	}
	entries = append(entries, oci.Descriptor{MediaType: m.MediaType, Digest: d, Size: size, ArtifactType: m.ArtifactType, Annotations: m.Annotations})
	content, err := json.Marshal(struct {
		SchemaVersion int              `json:"schemaVersion"`
		MediaType     string           `json:"mediaType"`
		Manifests     []oci.Descriptor `json:"manifests"`
	}{2, v1.MediaTypeImageIndex, entries})
	if err != nil {
		return err
	}
	_, err = to.PutManifest(ctx, oci.Reference{Tag: tag}, v1.MediaTypeImageIndex, content)
	return err
}

// listed returns what a tag of referrers lists.
func listed(ctx context.Context, to Place, tag oci.Tag) ([]oci.Descriptor, error) {
	d, found, err := to.Resolve(ctx, tag)
	if !found || err != nil {
		return nil, err
	}
	source, ok := to.Target.(archive.Source)
	if !ok {
		return nil, nil
	}
	content, err := source.Manifest(ctx, d)
	if err != nil {
		return nil, err
	}
	m, err := oci.ParseManifest("", content)
	if err != nil {
		return nil, err
	}
	return m.Manifests, nil
}

// Referrer is a source that can say what refers to its images.
type Referrer interface {
	archive.Source
	Referrers(ctx context.Context, d oci.Digest) (found []oci.Descriptor, can bool, err error)
}

// Referrers copies what refers to a manifest, and to that in turn. It returns how
// many were found, and whether the source can say.
func (c *Copier) Referrers(ctx context.Context, from Referrer, to Place, d oci.Digest) (n int, can bool, err error) {
	return c.referrers(ctx, from, to, d, 0)
}

// Image copies a manifest with all that it leads to, and what refers to any of
// the manifests in it.
func (c *Copier) Image(ctx context.Context, from Referrer, to Place, d oci.Digest) error {
	if err := c.Manifest(ctx, from, to, d); err != nil {
		return err
	}
	all, err := family(ctx, from, d)
	if err != nil {
		return err
	}
	for _, member := range all {
		if _, can, err := c.Referrers(ctx, from, to, member); err != nil || !can {
			return err
		}
	}
	return nil
}

func (c *Copier) referrers(ctx context.Context, from Referrer, to Place, d oci.Digest, depth int) (int, bool, error) {
	if depth > maxDepth {
		return 0, true, nil
	}
	found, can, err := from.Referrers(ctx, d)
	if err != nil {
		return 0, can, fmt.Errorf("the referrers of %s: %w", d, err)
	}
	n := 0
	for _, r := range found {
		if err := c.Manifest(ctx, from, to, r.Digest); err != nil {
			return n, can, fmt.Errorf("%s, which refers to %s: %w", r.Digest, d, err)
		}
		more, _, err := c.referrers(ctx, from, to, r.Digest, depth+1)
		if n += 1 + more; err != nil {
			return n, can, err
		}
	}
	return n, can, nil
}
