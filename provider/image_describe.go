package provider

import (
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// imageFacts are what is told of an image or index.
type imageFacts struct {
	platforms []string // sorted, each once
	size      int64    // of all manifests, configurations and layers, each once
}

// facts reads the manifests of the content, and no layer.
func (c content) facts() (imageFacts, error) {
	sizes := map[v1.Hash]int64{}
	var platforms []string
	var err error
	if c.index != nil {
		platforms, err = measureIndex(c.index, sizes, 0)
	} else {
		err = measureImage(c.image, sizes)
		if p, ok := imagePlatform(c.image); ok && err == nil {
			platforms = []string{p.String()}
		}
	}
	f := imageFacts{platforms: platforms}
	slices.Sort(f.platforms)
	f.platforms = slices.Compact(f.platforms)
	for _, size := range sizes {
		f.size += size
	}
	return f, err
}

// deepest bounds how deep indexes in indexes are followed.
const deepest = 4

// measureIndex notes the sizes of what the index leads to, and returns the
// platforms of its images.
func measureIndex(index v1.ImageIndex, sizes map[v1.Hash]int64, depth int) ([]string, error) {
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	digest, err := index.Digest()
	if err != nil {
		return nil, err
	}
	if sizes[digest], err = index.Size(); err != nil || depth >= deepest {
		return nil, err
	}
	var platforms []string
	for _, d := range manifest.Manifests {
		if p, ok := platformOf(d); ok {
			platforms = append(platforms, p.String())
		}
		if _, known := sizes[d.Digest]; known {
			continue
		}
		sizes[d.Digest] = d.Size
		switch {
		case d.MediaType.IsImage():
			var image v1.Image
			if image, err = index.Image(d.Digest); err == nil {
				err = measureImage(image, sizes)
			}
		case d.MediaType.IsIndex():
			var inner v1.ImageIndex
			if inner, err = index.ImageIndex(d.Digest); err == nil {
				var more []string
				more, err = measureIndex(inner, sizes, depth+1)
				platforms = append(platforms, more...)
			}
		}
		if err != nil && !missing(err) { // a registry may keep an index without all of its images
			return nil, err
		}
	}
	return platforms, nil
}

func measureImage(image v1.Image, sizes map[v1.Hash]int64) error {
	manifest, err := image.Manifest()
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	if sizes[digest], err = image.Size(); err != nil {
		return err
	}
	sizes[manifest.Config.Digest] = manifest.Config.Size
	for _, l := range manifest.Layers {
		sizes[l.Digest] = l.Size
	}
	return nil
}
