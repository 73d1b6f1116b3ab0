package archive

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// savedImage is an entry of manifest.json, as docker save writes it.
type savedImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// The media types of what docker push pushes.
const (
	mediaTypeDockerConfig = "application/vnd.docker.container.image.v1+json"
	mediaTypeDockerLayer  = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// maxLayers bounds the layers of one image; Docker itself stops at 127.
const maxLayers = 1000

// savedImages returns the images of manifest.json. errNoFile.
func (a *Archive) savedImages() ([]Image, error) {
	content, err := readDocument(a.files, savedFile)
	if err != nil {
		return nil, err
	}
	var saved []savedImage
	if err := json.Unmarshal(content, &saved); err != nil {
		return nil, fmt.Errorf("%s is not what docker save writes: %w", savedFile, err)
	}
	if len(saved) > maxImages {
		return nil, fmt.Errorf("%s lists more than %d images", savedFile, maxImages)
	}
	images := make([]Image, len(saved))
	for n := range saved {
		images[n].saved = &saved[n]
		for _, tag := range saved[n].RepoTags {
			images[n].add(tag)
		}
	}
	return images, nil
}

// convert makes of what docker save wrote the image that docker push would push.
func (a *Archive) convert(ctx context.Context, s *savedImage) (oci.Descriptor, error) {
	name, err := cleanName(s.Config)
	if err != nil {
		return oci.Descriptor{}, err
	}
	config, err := readDocument(a.files, name)
	if err != nil {
		return oci.Descriptor{}, fmt.Errorf("the configuration of the image: %w", err)
	}
	var parsed struct {
		RootFS struct {
			DiffIDs []oci.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(config, &parsed); err != nil {
		return oci.Descriptor{}, fmt.Errorf("the configuration %s of the image: %w", clip(name), err)
	}
	ids := parsed.RootFS.DiffIDs
	if len(ids) != len(s.Layers) || len(ids) > maxLayers {
		return oci.Descriptor{}, fmt.Errorf("%s lists %d layers of the image, its configuration %d; at most %d are read", savedFile, len(s.Layers), len(ids), maxLayers)
	}
	digest := oci.FromBytes(config)
	a.places[digest] = name
	layers := make([]oci.Descriptor, len(ids))
	for n, name := range s.Layers {
		if name, err = cleanName(name); err != nil {
			return oci.Descriptor{}, err
		}
		l, err := a.layer(ctx, name)
		if err != nil {
			return oci.Descriptor{}, fmt.Errorf("layer %s: %w", clip(name), err)
		}
		if l.unpacked != ids[n] {
			return oci.Descriptor{}, fmt.Errorf("layer %s is damaged: unpacked it is %s, and the configuration of the image says %s", clip(name), l.unpacked, ids[n])
		}
		layers[n] = l.descriptor
	}
	return a.make(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeDockerManifest, "layers": layers,
		"config": oci.Descriptor{MediaType: mediaTypeDockerConfig, Digest: digest, Size: int64(len(config))},
	})
}

// make keeps a manifest that was made here.
func (a *Archive) make(manifest any) (oci.Descriptor, error) {
	content, err := json.Marshal(manifest)
	if err != nil {
		return oci.Descriptor{}, err
	}
	d := oci.FromBytes(content)
	a.made[d] = content
	return oci.Descriptor{MediaType: oci.MediaTypeDockerManifest, Digest: d, Size: int64(len(content))}, nil
}

// layer is a layer as it is pushed, and the digest of what it is unpacked.
type layer struct {
	descriptor oci.Descriptor
	unpacked   oci.Digest
}

// layer measures a layer, and compresses it if it is not.
func (a *Archive) layer(ctx context.Context, name string) (layer, error) {
	if l, ok := a.layers[name]; ok {
		return l, nil
	}
	r, size, err := a.files.open(name, 0)
	if err != nil {
		return layer{}, err
	}
	defer r.Close()
	content := bufio.NewReaderSize(contextReader{ctx, r}, 64<<10)
	start, _ := content.Peek(len(magicZstd))
	var l layer
	switch format := packed(start); format {
	case "gzip":
		if l, err = measure(content, size, a.o.MaxBytes); err == nil {
			a.places[l.descriptor.Digest] = name
		}
	case "":
		l, err = a.compress(content)
	default:
		err = fmt.Errorf("it is compressed with %s; save the image as an OCI layout, such as with skopeo copy", format)
	}
	if err == nil {
		a.layers[name] = l
	}
	return l, err
}

// measure reads a compressed layer once, for both of its digests.
func measure(content io.Reader, size, most int64) (layer, error) {
	packedHash, unpackedHash := oci.SHA256.NewHash(), oci.SHA256.NewHash()
	tee := io.TeeReader(content, packedHash)
	unpacked, err := gzip.NewReader(tee)
	if err != nil {
		return layer{}, err
	}
	n, err := io.Copy(unpackedHash, io.LimitReader(unpacked, most+1))
	if err != nil {
		return layer{}, err
	}
	if n > most {
		return layer{}, fmt.Errorf("unpacked it is larger than %d bytes; allow for more with --max-bytes", most)
	}
	if _, err := io.Copy(io.Discard, tee); err != nil { // what follows the compressed data
		return layer{}, err
	}
	return layer{
		descriptor: oci.Descriptor{MediaType: mediaTypeDockerLayer, Digest: oci.FromHash(oci.SHA256, packedHash), Size: size},
		unpacked:   oci.FromHash(oci.SHA256, unpackedHash),
	}, nil
}

// compress writes a layer, compressed, to a temporary file. The same layer gives
// the same bytes, so that it is pushed once.
func (a *Archive) compress(content io.Reader) (layer, error) {
	file, err := temporary(a.o.TempDir)
	if err != nil {
		return layer{}, err
	}
	packedHash, unpackedHash := oci.SHA256.NewHash(), oci.SHA256.NewHash()
	buffered := bufio.NewWriterSize(io.MultiWriter(file, packedHash), 256<<10)
	w := gzip.NewWriter(buffered)
	_, err = io.Copy(io.MultiWriter(w, unpackedHash), content)
	err = errors.Join(err, w.Close(), buffered.Flush())
	var info os.FileInfo
	if err == nil {
		info, err = file.Stat()
	}
	if err != nil {
		return layer{}, errors.Join(err, file.Close())
	}
	d := oci.FromHash(oci.SHA256, packedHash)
	if _, known := a.temps[d]; known { // the same layer under another name
		_ = file.Close()
	} else {
		a.temps[d] = file
	}
	return layer{
		descriptor: oci.Descriptor{MediaType: mediaTypeDockerLayer, Digest: d, Size: info.Size()},
		unpacked:   oci.FromHash(oci.SHA256, unpackedHash),
	}, nil
}
