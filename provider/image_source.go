package provider

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// imageSource is where registry_image takes an image from: a registry, or a
// folder or file on this machine.
type imageSource struct {
	text   string
	ref    name.Reference // nil for what is on this machine
	folder string         // of an OCI image layout
	file   string         // of docker save
	pick   string         // which image of the folder or file; "" for the only one
}

// parseImageSource parses a reference as docker pull takes it, or
// oci:FOLDER[:NAME], or docker-archive:FILE[:NAME].
func parseImageSource(text string, insecure bool) (imageSource, error) {
	s := imageSource{text: text}
	if rest, ok := strings.CutPrefix(text, "oci:"); ok {
		s.folder, s.pick, _ = strings.Cut(rest, ":")
		return s, needPath(s.folder, "oci:FOLDER")
	}
	if rest, ok := strings.CutPrefix(text, "docker-archive:"); ok {
		s.file, s.pick, _ = strings.Cut(rest, ":")
		return s, needPath(s.file, "docker-archive:FILE")
	}
	if strings.Contains(text, "://") {
		return s, fmt.Errorf("%q is a URL; write the image as docker pull takes it, such as docker.io/library/nginx:1.27, or oci:FOLDER or docker-archive:FILE", text)
	}
	parts, err := parseImageReference(text)
	if err != nil {
		return s, err
	}
	full := parts.Registry.ValueString() + "/" + parts.Repository.ValueString()
	switch {
	case !parts.Digest.IsNull():
		full += "@" + parts.Digest.ValueString()
	case !parts.Tag.IsNull():
		full += ":" + parts.Tag.ValueString()
	default:
		full += ":latest"
	}
	var options []name.Option
	if insecure {
		options = append(options, name.Insecure)
	}
	s.ref, err = name.ParseReference(full, options...)
	return s, err
}

func imageSourceRule() stringRule {
	return stringRule{"must be an image reference, oci:FOLDER or docker-archive:FILE", "Invalid source of an image", func(s string) error {
		_, err := parseImageSource(s, false)
		return err
	}}
}

func needPath(path, form string) error {
	if path == "" || strings.ContainsRune(path, 0) {
		return fmt.Errorf("there is no path; write %s", form)
	}
	return nil
}

// pinned returns the digest that the source itself names, or "".
func (s imageSource) pinned() string {
	if d, ok := s.ref.(name.Digest); ok {
		return d.DigestStr()
	}
	return ""
}

// at is the same source, spoken to as the registry says.
func (s imageSource) at(registry name.Registry) imageSource {
	repository := registry.Repo(s.ref.Context().RepositoryStr())
	if d, ok := s.ref.(name.Digest); ok {
		s.ref = repository.Digest(d.DigestStr())
	} else {
		s.ref = repository.Tag(s.ref.Identifier())
	}
	return s
}

// content is an image, or an index of images.
type content struct {
	image v1.Image
	index v1.ImageIndex // nil for an image
	// source names the content at its source: the digest of the manifest there, or
	// of the configuration (the image's id) for what docker save wrote, which has
	// no manifest.
	source    string
	mediaType string // where it was read from a registry
}

// pushed is the content as it is pushed.
func (c content) pushed() interface {
	remote.Taggable
	Digest() (v1.Hash, error)
} {
	if c.index != nil {
		return c.index
	}
	return c.image
}

// current returns the source's name for what is there now, without reading
// more than it takes.
func (s imageSource) current(ctx context.Context, from *ociAccess) (string, error) {
	if s.ref == nil {
		c, err := s.open(ctx, from, "")
		return c.source, err
	}
	if pinned := s.pinned(); pinned != "" {
		return pinned, nil
	}
	// A HEAD does not count as a pull where pulls are counted; some registries
	// answer it without a digest.
	head, err := remote.Head(s.ref, from.with(ctx)...)
	var unreachable *url.Error
	switch {
	case err == nil:
		return head.Digest.String(), nil
	case errors.As(err, &unreachable):
		return "", err
	}
	got, err := remote.Get(s.ref, from.with(ctx)...)
	if err != nil {
		return "", err
	}
	return got.Digest.String(), nil
}

// open returns the content; digest, unless it is "", is which one it has to be
// in a registry.
func (s imageSource) open(ctx context.Context, from *ociAccess, digest string) (content, error) {
	switch {
	case s.folder != "":
		return s.openLayout()
	case s.file != "":
		return s.openArchive()
	}
	ref := s.ref
	if digest != "" {
		ref = ref.Context().Digest(digest)
	}
	got, err := remote.Get(ref, from.with(ctx)...)
	if err != nil {
		return content{}, err
	}
	return contentOf(got)
}

func contentOf(got *remote.Descriptor) (c content, err error) {
	c.source, c.mediaType = got.Digest.String(), string(got.MediaType)
	switch {
	case got.MediaType.IsIndex():
		c.index, err = got.ImageIndex()
	case got.MediaType.IsImage():
		c.image, err = got.Image()
	default:
		err = fmt.Errorf("it is of type %s, which is neither an image nor an index; images of Docker schema 1 have to be converted first, as docker pull and docker push do", got.MediaType)
	}
	return c, err
}

// Names of an image in the index of a layout: that of the image-spec, and what
// containerd writes.
const (
	refNameAnnotation        = "org.opencontainers.image.ref.name"
	containerdNameAnnotation = "io.containerd.image.name"
)

func (s imageSource) openLayout() (content, error) {
	folder, err := layout.ImageIndexFromPath(s.folder)
	if err != nil {
		return content{}, err
	}
	manifest, err := folder.IndexManifest()
	if err != nil {
		return content{}, err
	}
	var found []v1.Descriptor
	var names []string
	for _, d := range manifest.Manifests {
		called := []string{d.Annotations[refNameAnnotation], d.Annotations[containerdNameAnnotation], d.Digest.String()}
		names = append(names, firstOf(called))
		if s.pick == "" || called[0] == s.pick || called[1] == s.pick || called[2] == s.pick {
			found = append(found, d)
		}
	}
	if len(found) != 1 {
		return content{}, s.choose(names)
	}
	c := content{source: found[0].Digest.String()}
	if found[0].MediaType.IsIndex() {
		c.index, err = folder.ImageIndex(found[0].Digest)
	} else {
		c.image, err = folder.Image(found[0].Digest)
	}
	return c, err
}

func (s imageSource) openArchive() (content, error) {
	images, err := tarball.LoadManifest(archive(s.file))
	if err != nil {
		return content{}, err
	}
	var names []string
	for _, i := range images {
		names = append(names, firstOf(append(i.RepoTags, i.Config)))
	}
	if len(images) != 1 && s.pick == "" {
		return content{}, s.choose(names)
	}
	var tag *name.Tag
	if s.pick != "" {
		parsed, err := name.NewTag(s.pick)
		if err != nil {
			return content{}, fmt.Errorf("%q is not the name of an image: %w", s.pick, err)
		}
		tag = &parsed
	}
	image, err := tarball.ImageFromPath(s.file, tag)
	if err != nil {
		return content{}, fmt.Errorf("%w; the file has %s", err, strings.Join(names, ", "))
	}
	id, err := image.ConfigName()
	return content{image: image, source: id.String()}, err
}

func firstOf(names []string) string {
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}

// choose says which images there are where not exactly one was asked for.
func (s imageSource) choose(names []string) error {
	const most = 20
	if len(names) == 0 {
		return errors.New("there is no image in it")
	}
	listed := strings.Join(names[:min(len(names), most)], ", ")
	if s.pick != "" {
		return fmt.Errorf("there is not exactly one image called %q in it; there are %s", s.pick, listed)
	}
	return fmt.Errorf("there are %d images in it; write %s:NAME with one of %s", len(names), s.text, listed)
}
