package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// plainLayers reports whether the layout has an image with a layer that is not
// compressed.
func (a *Archive) plainLayers(ctx context.Context) bool {
	plain := false
	seen := map[oci.Digest]bool{}
	for _, i := range a.images {
		// What cannot be read is reported when it is wanted.
		_ = a.walk(ctx, i.root.Digest, 0, seen, func(m *oci.Manifest) {
			for _, l := range m.Layers {
				plain = plain || strings.HasSuffix(l.MediaType, ".tar")
			}
		})
	}
	return plain
}

// walk visits all manifests that the archive has below one.
func (a *Archive) walk(ctx context.Context, d oci.Digest, depth int, seen map[oci.Digest]bool, visit func(*oci.Manifest)) error {
	if seen[d] || depth > maxDepth {
		return nil
	}
	if seen[d] = true; len(seen) > maxManifests {
		return fmt.Errorf("there are more than %d manifests in it", maxManifests)
	}
	content, err := a.Manifest(ctx, d)
	if err != nil {
		return err
	}
	m, err := oci.ParseManifest("", content)
	if err != nil {
		return err
	}
	visit(m)
	for _, child := range m.Manifests {
		if err := a.walk(ctx, child.Digest, depth+1, seen, visit); err != nil && !errors.Is(err, errNoFile) {
			return err
		}
	}
	return nil
}

// complete returns the image of a layout, without what the archive lacks of it.
func (a *Archive) complete(root oci.Descriptor) (oci.Descriptor, []string, error) {
	content, err := a.Manifest(context.Background(), root.Digest)
	if err != nil {
		return root, nil, err
	}
	m, err := oci.ParseManifest("", content)
	if err != nil {
		return root, nil, fmt.Errorf("%s in the archive: %w", root.Digest, err)
	}
	root.MediaType, root.Size = m.MediaType, int64(len(content))
	if !m.Index() {
		return root, nil, nil
	}
	var left []string
	have := map[oci.Digest]bool{}
	c := completeness{a: a, known: map[oci.Digest]error{}}
	for _, d := range m.Manifests {
		err := c.check(d, 0)
		if err != nil && !errors.Is(err, errNoFile) {
			return root, nil, err
		}
		if have[d.Digest] = err == nil; err != nil {
			left = append(left, platformText(d))
		}
	}
	if len(left) == 0 {
		return root, nil, nil
	}
	return a.reduce(content, m, have, left)
}

// reduce makes an index of those that are there; if that is one image, it is the
// image.
func (a *Archive) reduce(content []byte, m *oci.Manifest, have map[oci.Digest]bool, left []string) (oci.Descriptor, []string, error) {
	var kept []oci.Descriptor
	for _, d := range m.Manifests {
		of, err := oci.ParseDigest(d.Annotations[attests])
		if have[d.Digest] && (err != nil || have[of]) {
			kept = append(kept, d)
		}
	}
	switch len(kept) {
	case 0:
		return oci.Descriptor{}, nil, errors.New("the archive has the index of an image, and none of its images")
	case 1:
		return oci.Descriptor{MediaType: kept[0].MediaType, Digest: kept[0].Digest, Size: kept[0].Size}, left, nil
	}
	var fields map[string]json.RawMessage
	err := json.Unmarshal(content, &fields)
	if err == nil {
		fields["manifests"], err = json.Marshal(kept)
	}
	var made []byte
	if err == nil {
		made, err = json.Marshal(fields)
	}
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	d := oci.FromBytes(made)
	a.made[d] = made
	return oci.Descriptor{MediaType: m.MediaType, Digest: d, Size: int64(len(made))}, left, nil
}

func platformText(d oci.Descriptor) string {
	if d.Platform == nil {
		return d.Digest.String()
	}
	text := d.Platform.OS + "/" + d.Platform.Architecture
	if d.Platform.Variant != "" {
		text += "/" + d.Platform.Variant
	}
	return text
}

// completeness knows of which manifests the archive has everything.
type completeness struct {
	a     *Archive
	known map[oci.Digest]error
}

// check returns errNoFile if something below a manifest is not there.
func (c *completeness) check(d oci.Descriptor, depth int) error {
	if err, ok := c.known[d.Digest]; ok {
		return err
	}
	if depth > maxDepth || len(c.known) > maxManifests {
		return fmt.Errorf("there are more than %d indexes in one another, or %d manifests in it", maxDepth, maxManifests)
	}
	err := c.look(d, depth)
	c.known[d.Digest] = err
	return err
}

func (c *completeness) look(d oci.Descriptor, depth int) error {
	content, err := c.a.Manifest(context.Background(), d.Digest)
	if err != nil {
		return err
	}
	m, err := oci.ParseManifest("", content)
	if err != nil {
		return fmt.Errorf("%s in the archive: %w", d.Digest, err)
	}
	for _, b := range m.Blobs() {
		if b.NonDistributable() {
			continue
		}
		r, _, err := c.a.Open(context.Background(), b.Digest, 0)
		if err != nil {
			return err
		}
		_ = r.Close()
	}
	for _, child := range m.Manifests {
		if err := c.check(child, depth+1); err != nil {
			return err
		}
	}
	return nil
}
