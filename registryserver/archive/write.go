package archive

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Source is where the content of an image comes from.
type Source interface {
	// Manifest returns a manifest by its digest.
	Manifest(ctx context.Context, d oci.Digest) ([]byte, error)
	// Open returns a blob from its offset on, and its whole size; -1 if that is not
	// known.
	Open(ctx context.Context, d oci.Digest, offset int64) (io.ReadCloser, int64, error)
}

// maxManifestBytes bounds the manifests of one image, which are kept in memory.
const maxManifestBytes = 32 << 20

// Plan is a tar file that is going to be written: an OCI image layout that
// docker load and podman load take, too, as docker save writes it since
// version 25. The same image gives the same bytes.
type Plan struct {
	documents []document
	blobs     []oci.Descriptor
	manifests map[oci.Digest][]byte
	order     []oci.Digest // of the manifests
	size      int          // of the manifests
}

type document struct {
	name    string
	content []byte
}

// NewPlan reads the manifests of an image or index, and no layer. Names are what
// docker load is to call it, such as registry.example.com/app:1; an index has
// them in the layout alone, since docker load takes one image.
func NewPlan(ctx context.Context, from Source, root oci.Digest, names []string) (*Plan, error) {
	p := &Plan{manifests: map[oci.Digest][]byte{}}
	top, err := p.collect(ctx, from, root, 0, map[oci.Digest]bool{})
	if err != nil {
		return nil, err
	}
	index := layoutIndex{SchemaVersion: 2, MediaType: v1.MediaTypeImageIndex}
	described := oci.Descriptor{MediaType: top.MediaType, Digest: root, Size: int64(len(p.manifests[root]))}
	for _, name := range names {
		d := described
		d.Annotations = map[string]string{imageName: name}
		if _, tag, ok := strings.Cut(name[strings.LastIndexByte(name, '/')+1:], ":"); ok {
			d.Annotations[refName] = tag
		}
		index.Manifests = append(index.Manifests, d)
	}
	if len(names) == 0 {
		index.Manifests = append(index.Manifests, described)
	}
	if err := p.add(indexFile, index); err != nil {
		return nil, err
	}
	if err := p.add(layoutFile, v1.ImageLayout{Version: v1.ImageLayoutVersion}); err != nil {
		return nil, err
	}
	if !top.Index() && isImage(top) {
		return p, p.add(savedFile, []savedImage{savedEntry(top, names)})
	}
	return p, nil
}

// layoutIndex is the index.json of a layout.
type layoutIndex struct {
	SchemaVersion int              `json:"schemaVersion"`
	MediaType     string           `json:"mediaType"`
	Manifests     []oci.Descriptor `json:"manifests"`
}

// isImage reports whether docker load could make something of it.
func isImage(m *oci.Manifest) bool {
	return m.Config != nil && (m.Config.MediaType == mediaTypeDockerConfig || m.Config.MediaType == v1.MediaTypeImageConfig)
}

func savedEntry(m *oci.Manifest, names []string) savedImage {
	s := savedImage{Config: blobName(m.Config.Digest), RepoTags: names, Layers: []string{}}
	for _, l := range m.Layers {
		s.Layers = append(s.Layers, blobName(l.Digest))
	}
	return s
}

func (p *Plan) add(name string, v any) error {
	content, err := json.Marshal(v)
	p.documents = append(p.documents, document{name, content})
	return err
}

// collect notes a manifest and all that it leads to, each once.
func (p *Plan) collect(ctx context.Context, from Source, d oci.Digest, depth int, seen map[oci.Digest]bool) (*oci.Manifest, error) {
	if depth > maxDepth || len(p.manifests) > maxManifests {
		return nil, fmt.Errorf("there are more than %d indexes in one another, or %d manifests", maxDepth, maxManifests)
	}
	content, err := from.Manifest(ctx, d)
	if err != nil {
		return nil, err
	}
	m, err := oci.ParseManifest("", content)
	if err != nil {
		return nil, err
	}
	if p.size += len(content); p.size > maxManifestBytes {
		return nil, fmt.Errorf("its manifests are larger than %d bytes", maxManifestBytes)
	}
	p.manifests[d] = content
	p.order = append(p.order, d)
	for _, b := range m.Blobs() {
		if seen[b.Digest] || b.NonDistributable() {
			continue
		}
		seen[b.Digest] = true
		p.blobs = append(p.blobs, b)
	}
	for _, child := range m.Manifests {
		if _, known := p.manifests[child.Digest]; known {
			continue
		}
		if _, err := p.collect(ctx, from, child.Digest, depth+1, seen); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// files calls do with each file of the tar file, in order.
func (p *Plan) files(do func(h *tar.Header, content []byte, blob oci.Descriptor) error) error {
	for _, d := range p.documents {
		if err := do(header(d.name, int64(len(d.content))), d.content, oci.Descriptor{}); err != nil {
			return err
		}
	}
	for _, d := range p.order {
		if err := do(header(blobName(d), int64(len(p.manifests[d]))), p.manifests[d], oci.Descriptor{}); err != nil {
			return err
		}
	}
	for _, b := range p.blobs {
		if _, isManifest := p.manifests[b.Digest]; isManifest {
			continue
		}
		if err := do(header(blobName(b.Digest), b.Size), nil, b); err != nil {
			return err
		}
	}
	return nil
}

// header describes a file. Nothing in it depends on when or where it is written.
func header(name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)}
}

const tarBlock = 512

// Blobs returns what else is going to be read, each once.
func (p *Plan) Blobs() []oci.Descriptor { return slices.Clone(p.blobs) }

// Size is the exact size of the tar file.
func (p *Plan) Size() (int64, error) {
	var total int64 = 2 * tarBlock // its end
	err := p.files(func(h *tar.Header, _ []byte, _ oci.Descriptor) error {
		var head counter
		if err := tar.NewWriter(&head).WriteHeader(h); err != nil {
			return err
		}
		total += int64(head) + (h.Size+tarBlock-1)/tarBlock*tarBlock
		return nil
	})
	return total, err
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// Write writes the tar file. It fails before it ends if a blob does not have its
// digest.
func (p *Plan) Write(ctx context.Context, w io.Writer, from Source) error {
	t := tar.NewWriter(w)
	err := p.files(func(h *tar.Header, content []byte, blob oci.Descriptor) error {
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if content != nil {
			_, err := t.Write(content)
			return err
		}
		return copyBlob(ctx, t, from, blob)
	})
	if err != nil {
		return err
	}
	return t.Close()
}

func copyBlob(ctx context.Context, w io.Writer, from Source, d oci.Descriptor) error {
	r, size, err := from.Open(ctx, d.Digest, 0)
	if err != nil {
		return err
	}
	defer r.Close()
	if size >= 0 && size != d.Size { // a registry need not say it
		return fmt.Errorf("blob %s has %d bytes, and the manifest says %d", d.Digest, size, d.Size)
	}
	hash := d.Digest.Algorithm().NewHash()
	if _, err := io.Copy(io.MultiWriter(w, hash), contextReader{ctx, io.LimitReader(r, d.Size)}); err != nil {
		return err
	}
	if oci.FromHash(d.Digest.Algorithm(), hash) != d.Digest {
		return fmt.Errorf("blob %s is damaged: its content has another digest", d.Digest)
	}
	return nil
}
