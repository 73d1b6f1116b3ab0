package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Archive is an archive that was opened. Its methods are for one goroutine, but
// for Open.
type Archive struct {
	files  files
	o      Options
	images []Image
	saved  bool // docker save wrote it, and its layers are not compressed

	// What the archive itself does not have: manifests that were made, and layers
	// that were compressed.
	made  map[oci.Digest][]byte
	temps map[oci.Digest]*os.File
	// Where configurations and layers lie that are not found by their digest.
	places map[oci.Digest]string
	layers map[string]layer // of docker save, by name
}

// Image is one image, or index of images, in an archive.
type Image struct {
	Names []Name
	root  oci.Descriptor // of an OCI layout
	saved *savedImage    // of docker save
}

// Name is what an archive calls an image. Either part may be missing.
type Name struct {
	Repository string // as a registry has it: without the host, and without library/ of Docker Hub
	Tag        string
}

// String returns repository:tag.
func (n Name) String() string {
	if n.Repository == "" || n.Tag == "" {
		return n.Repository + n.Tag
	}
	return n.Repository + ":" + n.Tag
}

// Label is what to call an image in a message.
func (i Image) Label() string {
	for _, n := range i.Names {
		return n.String()
	}
	if i.saved != nil {
		return i.saved.Config
	}
	return i.root.Digest.String()
}

// Names of files and annotations.
const (
	layoutFile   = "oci-layout"
	indexFile    = "index.json"
	savedFile    = "manifest.json"
	refName      = "org.opencontainers.image.ref.name"
	imageName    = "io.containerd.image.name"
	attests      = "vnd.docker.reference.digest"
	maxDepth     = 4 // of indexes in indexes
	maxImages    = 10_000
	maxManifests = 10_000
)

func parse(ctx context.Context, from files, o Options) (*Archive, error) {
	a := &Archive{
		files: from, o: o.withDefaults(), made: map[oci.Digest][]byte{}, temps: map[oci.Digest]*os.File{},
		places: map[oci.Digest]string{}, layers: map[string]layer{},
	}
	err := a.find(ctx)
	if err == nil && len(a.images) == 0 {
		err = errors.New("there is no image in it")
	}
	if err != nil {
		_ = a.Close()
		return nil, err
	}
	return a, nil
}

// find finds the images. What docker save writes since version 25 is both an OCI
// layout and what it wrote before. The layout keeps digests as they were pushed,
// so it is taken, unless its layers are not compressed.
func (a *Archive) find(ctx context.Context) error {
	saved, savedErr := a.savedImages()
	if savedErr != nil && !errors.Is(savedErr, errNoFile) {
		return savedErr
	}
	index, err := readDocument(a.files, indexFile)
	switch {
	case errors.Is(err, errNoFile) && savedErr == nil:
		a.images, a.saved = saved, true
		return nil
	case errors.Is(err, errNoFile):
		return errors.New("it is neither what docker save writes nor an OCI image layout: it has neither manifest.json nor index.json")
	case err != nil:
		return err
	}
	if a.images, err = layoutImages(index); err != nil {
		return err
	}
	if savedErr == nil && (len(a.images) == 0 || a.plainLayers(ctx)) {
		a.images, a.saved = saved, true
	}
	return nil
}

// layoutImages returns the images of the index.json of a layout.
func layoutImages(content []byte) ([]Image, error) {
	var index struct {
		Manifests []oci.Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(content, &index); err != nil {
		return nil, fmt.Errorf("%s is not what an OCI image layout has: %w", indexFile, err)
	}
	if len(index.Manifests) > maxImages {
		return nil, fmt.Errorf("%s lists more than %d images", indexFile, maxImages)
	}
	var images []Image
	at := map[oci.Digest]int{}
	for _, d := range index.Manifests {
		if d.Digest.IsZero() {
			return nil, fmt.Errorf("%s lists an image without a digest", indexFile)
		}
		i, known := at[d.Digest]
		if !known {
			i = len(images)
			at[d.Digest] = i
			images = append(images, Image{root: oci.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}})
		}
		name := d.Annotations[imageName]
		if name == "" {
			name = d.Annotations[refName]
		}
		images[i].add(name)
	}
	return images, nil
}

// add notes a name, if it is one.
func (i *Image) add(text string) {
	n, ok := parseName(text)
	if ok && !slices.Contains(i.Names, n) {
		i.Names = append(i.Names, n)
	}
}

// parseName parses a name: a whole one, or a tag alone.
func parseName(text string) (Name, bool) {
	if !strings.ContainsAny(text, "/:") {
		_, err := oci.ParseTag(text)
		return Name{Tag: text}, err == nil
	}
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return Name{}, false
	}
	n := Name{Repository: strings.TrimPrefix(reference.Path(named), "library/")}
	if tagged, ok := named.(reference.Tagged); ok {
		n.Tag = tagged.Tag()
	}
	return n, true
}

// Images returns what is in the archive.
func (a *Archive) Images() []Image { return slices.Clone(a.images) }

// Prepare makes an image ready to be read by digest, and returns the descriptor
// of its manifest or index. What docker save left uncompressed is compressed, as
// docker push does it. Of an index, images that the archive lacks are left out;
// left says which.
func (a *Archive) Prepare(ctx context.Context, i Image) (root oci.Descriptor, left []string, err error) {
	if i.saved != nil {
		root, err = a.convert(ctx, i.saved)
		return root, nil, err
	}
	return a.complete(i.root)
}

// Manifest returns a manifest by its digest, which it has.
func (a *Archive) Manifest(_ context.Context, d oci.Digest) ([]byte, error) {
	if content, ok := a.made[d]; ok {
		return content, nil
	}
	content, err := readDocument(a.files, blobName(d))
	if err != nil {
		return nil, err
	}
	if d.Algorithm().Of(content) != d {
		return nil, fmt.Errorf("%s in the archive does not have the digest that its name says", blobName(d))
	}
	return content, nil
}

// Open returns a blob from its offset on, and its whole size. Whoever reads it
// compares the digest.
func (a *Archive) Open(_ context.Context, d oci.Digest, offset int64) (io.ReadCloser, int64, error) {
	if file, ok := a.temps[d]; ok {
		info, err := file.Stat()
		if err != nil {
			return nil, 0, err
		}
		return io.NopCloser(io.NewSectionReader(file, offset, max(info.Size()-offset, 0))), info.Size(), nil
	}
	if place, ok := a.places[d]; ok {
		return a.files.open(place, offset)
	}
	return a.files.open(blobName(d), offset)
}

// blobName is where a layout keeps content.
func blobName(d oci.Digest) string { return "blobs/" + string(d.Algorithm()) + "/" + d.Hex() }

// Close removes what was kept meanwhile.
func (a *Archive) Close() error {
	err := a.files.Close()
	for file := range maps.Values(a.temps) {
		err = errors.Join(err, file.Close())
	}
	return err
}
