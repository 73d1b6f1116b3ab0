package transfer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/registrykit/terraform-provider-registry/registryserver/archive"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Import is what to take out of an archive, and where to put it.
type Import struct {
	Archive *archive.Archive
	Pick    string // which image: a name in the archive or its tag; "" for all
	// Repository is where images go; "" for where their names say. Tag is what one
	// image is called; zero for what the archive calls it.
	Repository string
	Tag        oci.Tag
	// Place returns a repository to push to.
	Place    func(ctx context.Context, repository string) (Place, error)
	Parallel int
	Progress *Progress
}

// Imported is an image that was imported.
type Imported struct {
	Repository string
	Digest     oci.Digest
	Tags       []string
}

// Run imports. What was imported before an error is returned with it.
func (i Import) Run(ctx context.Context) ([]Imported, error) {
	targets, err := i.assign()
	if err != nil {
		return nil, err
	}
	copier := NewCopier(i.Parallel, i.Progress)
	var done []Imported
	for _, t := range targets {
		one, err := i.one(ctx, copier, t)
		if err != nil {
			return done, fmt.Errorf("%s: %w", t.image.Label(), err)
		}
		done = append(done, one)
	}
	return done, nil
}

// assigned is an image and where it goes.
type assigned struct {
	image      archive.Image
	repository string
	tags       []oci.Tag
}

func (i Import) one(ctx context.Context, copier *Copier, t assigned) (Imported, error) {
	done := Imported{Repository: t.repository}
	copier.progress.Doing("read %s", t.image.Label())
	root, left, err := i.Archive.Prepare(ctx, t.image)
	if err != nil {
		return done, err
	}
	if len(left) > 0 {
		copier.progress.Line("%s: the archive does not have %s of it", t.image.Label(), strings.Join(left, ", "))
	}
	to, err := i.Place(ctx, t.repository)
	if err != nil {
		return done, err
	}
	copier.progress.Doing("import %s", t.repository)
	if err := copier.Manifest(ctx, i.Archive, to, root.Digest); err != nil {
		return done, err
	}
	content, err := i.Archive.Manifest(ctx, root.Digest)
	if err != nil {
		return done, err
	}
	done.Digest = root.Digest
	for _, tag := range t.tags {
		if _, err := to.PutManifest(ctx, oci.Reference{Tag: tag}, root.MediaType, content); err != nil {
			return done, fmt.Errorf("tag %s: %w", tag, err)
		}
		done.Tags = append(done.Tags, tag.String())
	}
	return done, nil
}

// assign says where each image goes.
func (i Import) assign() ([]assigned, error) {
	images, err := i.picked()
	if err != nil {
		return nil, err
	}
	if !i.Tag.IsZero() {
		if len(images) > 1 {
			return nil, fmt.Errorf("there are %d images in the archive, and %s:%s can be only one of them; choose with --image: %s", len(images), i.Repository, i.Tag, labelsOf(images))
		}
		return []assigned{{images[0], i.Repository, []oci.Tag{i.Tag}}}, nil
	}
	var all []assigned
	from, taken := map[string]bool{}, map[string]bool{}
	for _, image := range images {
		targets, err := i.named(image)
		if err != nil {
			return nil, err
		}
		for _, n := range image.Names {
			from[n.Repository] = true
		}
		for _, t := range targets {
			for _, tag := range t.tags {
				key := t.repository + ":" + tag.String()
				if taken[key] {
					return nil, fmt.Errorf("several images in the archive would become %s; choose with --image: %s", key, labelsOf(images))
				}
				taken[key] = true
			}
		}
		all = append(all, targets...)
	}
	if i.Repository != "" && len(from) > 1 && len(images) > 1 {
		return nil, fmt.Errorf("the archive has images of %d repositories; choose one with --image, or leave the name out: %s", len(from), labelsOf(images))
	}
	return all, nil
}

// named returns where an image goes by its names in the archive.
func (i Import) named(image archive.Image) ([]assigned, error) {
	var all []assigned
	at := map[string]int{}
	for _, n := range image.Names {
		repository := i.Repository
		if repository == "" {
			repository = n.Repository
		}
		tag, err := oci.ParseTag(n.Tag)
		if err != nil || repository == "" {
			continue
		}
		k, ok := at[repository]
		if !ok {
			k = len(all)
			at[repository] = k
			all = append(all, assigned{image: image, repository: repository})
		}
		all[k].tags = append(all[k].tags, tag)
	}
	if len(all) == 0 && i.Repository != "" {
		return nil, fmt.Errorf("the archive gives the image %s no tag; write it behind the name, as in %s:TAG", image.Label(), i.Repository)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the archive gives the image %s no name; write NAME:TAG behind the registry", image.Label())
	}
	return all, nil
}

func (i Import) picked() ([]archive.Image, error) {
	images := i.Archive.Images()
	if i.Pick == "" {
		return images, nil
	}
	for _, image := range images {
		if image.Label() == i.Pick {
			return []archive.Image{image}, nil
		}
		for _, n := range image.Names {
			if n.String() == i.Pick || n.Tag == i.Pick {
				return []archive.Image{image}, nil
			}
		}
	}
	return nil, errors.New("there is no image " + i.Pick + " in the archive; it has " + labelsOf(images))
}

// labelsOf lists images for a message.
func labelsOf(images []archive.Image) string {
	const most = 20
	var names []string
	for _, image := range images[:min(len(images), most)] {
		names = append(names, image.Label())
	}
	if len(images) > most {
		names = append(names, fmt.Sprintf("and %d more", len(images)-most))
	}
	return strings.Join(names, ", ")
}
