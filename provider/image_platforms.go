package provider

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// platform is where an image runs: os/architecture[/variant].
type platform struct{ os, architecture, variant string }

var platformRE = regexp.MustCompile(`^([a-z0-9]{1,32})/([a-z0-9_]{1,32})(?:/([a-z0-9.]{1,32}))?$`)

func parsePlatform(s string) (platform, error) {
	m := platformRE.FindStringSubmatch(s)
	if m == nil {
		return platform{}, fmt.Errorf("%q is not a platform; write OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT in lower case, such as linux/amd64 or linux/arm/v7", s)
	}
	return platform{m[1], m[2], m[3]}, nil
}

func (p platform) String() string {
	s := p.os + "/" + p.architecture
	if p.variant != "" {
		s += "/" + p.variant
	}
	return s
}

// takes reports whether an image for q is what p asks for. Without a variant,
// p asks for any.
func (p platform) takes(q platform) bool {
	return p.os == q.os && p.architecture == q.architecture && (p.variant == "" || p.variant == q.variant)
}

// platformOf returns the platform of a manifest in an index, and whether it has
// one: attestations of BuildKit are for "unknown/unknown".
func platformOf(d v1.Descriptor) (platform, bool) {
	if d.Platform == nil || d.Platform.OS == "unknown" || d.Platform.OS == "" {
		return platform{}, false
	}
	return platform{d.Platform.OS, d.Platform.Architecture, d.Platform.Variant}, true
}

// attests is how BuildKit says which manifest an attestation is about.
const attests = "vnd.docker.reference.digest"

// only returns the content without what is for other platforms than those
// wanted; none wanted means all. An index stays an index, also of one image, so
// that what is said on it and the attestations of its images stay; where nothing
// is left out, it stays the same one.
func (c content) only(wanted []platform) (content, error) {
	switch {
	case len(wanted) == 0:
		return c, nil
	case c.index == nil:
		return c, c.isFor(wanted)
	}
	manifest, err := c.index.IndexManifest()
	if err != nil {
		return c, err
	}
	kept, has := map[v1.Hash]bool{}, []string{}
	missing := slices.Clone(wanted)
	for _, d := range manifest.Manifests {
		p, ok := platformOf(d)
		if !ok {
			continue
		}
		has = append(has, p.String())
		for _, w := range wanted {
			if w.takes(p) {
				kept[d.Digest] = true
				missing = slices.DeleteFunc(missing, func(m platform) bool { return m == w })
			}
		}
	}
	if len(missing) > 0 {
		return c, fmt.Errorf("there is no image for %s in the index; it has %s", missing[0], strings.Join(has, ", "))
	}
	for _, d := range manifest.Manifests {
		if about, err := v1.NewHash(d.Annotations[attests]); err == nil && kept[about] {
			kept[d.Digest] = true
		}
	}
	leave := func(d v1.Descriptor) bool { return !kept[d.Digest] }
	if slices.ContainsFunc(manifest.Manifests, leave) {
		c.index = mutate.RemoveManifests(c.index, leave)
	}
	return c, nil
}

// isFor returns an error unless the image is for one of the platforms, and the
// only one asked for.
func (c content) isFor(wanted []platform) error {
	is, ok := imagePlatform(c.image)
	switch {
	case !ok:
		return errors.New("it is a single image that says no platform; leave platforms out")
	case len(wanted) != 1 || !wanted[0].takes(is):
		return fmt.Errorf("it is a single image, for %s", is)
	}
	return nil
}

// imagePlatform reads the platform from the configuration of an image.
func imagePlatform(image v1.Image) (platform, bool) {
	config, err := image.ConfigFile()
	if err != nil || config == nil || config.OS == "" || config.Architecture == "" {
		return platform{}, false
	}
	return platform{config.OS, config.Architecture, config.Variant}, true
}
