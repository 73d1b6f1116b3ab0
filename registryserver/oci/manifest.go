package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// MaxManifestSize is the largest manifest that is accepted, in bytes: the
// distribution-spec asks for at least 4 MiB.
const MaxManifestSize = 4 << 20

// The media types of manifests that are accepted.
const (
	MediaTypeImageManifest  = v1.MediaTypeImageManifest
	MediaTypeImageIndex     = v1.MediaTypeImageIndex
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// ManifestMediaTypes returns them, in the order in which messages list them.
func ManifestMediaTypes() []string {
	return []string{MediaTypeImageManifest, MediaTypeImageIndex, MediaTypeDockerManifest, MediaTypeDockerList}
}

// Descriptor points at content (image-spec "OCI Content Descriptors").
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       Digest            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Platform     *v1.Platform      `json:"platform,omitempty"`
}

// NonDistributable reports whether the content may live elsewhere, so that a
// manifest may name it before it was pushed: a foreign or non-distributable
// layer with URLs (image-spec "Non-Distributable Layers").
func (d Descriptor) NonDistributable() bool {
	return len(d.URLs) > 0 &&
		(strings.Contains(d.MediaType, ".nondistributable.") || strings.Contains(d.MediaType, ".rootfs.foreign."))
}

// Manifest is a parsed image manifest or index: what the registry needs to
// know of it. The bytes themselves are kept and served as they were pushed.
type Manifest struct {
	MediaType    string
	Config       *Descriptor  // image manifests only
	Layers       []Descriptor // image manifests only
	Manifests    []Descriptor // indexes only
	Subject      *Descriptor
	ArtifactType string // what the referrers API shows: artifactType, or the config's media type
	Annotations  map[string]string
}

// Index reports whether m is an index or a manifest list.
func (m *Manifest) Index() bool {
	return m.MediaType == MediaTypeImageIndex || m.MediaType == MediaTypeDockerList
}

// Blobs returns the descriptors of config and layers.
func (m *Manifest) Blobs() []Descriptor {
	if m.Config == nil {
		return m.Layers
	}
	return append([]Descriptor{*m.Config}, m.Layers...)
}

// wireManifest holds the fields of all four formats. Pointers tell an absent
// field from an empty one.
type wireManifest struct {
	SchemaVersion int                `json:"schemaVersion"`
	MediaType     string             `json:"mediaType"`
	ArtifactType  string             `json:"artifactType"`
	Config        *Descriptor        `json:"config"`
	Layers        *[]Descriptor      `json:"layers"`
	FSLayers      *json.RawMessage   `json:"fsLayers"`
	Manifests     *[]Descriptor      `json:"manifests"`
	Subject       *Descriptor        `json:"subject"`
	Annotations   *map[string]string `json:"annotations"`
}

// ParseManifest parses and checks a manifest. contentType is the media type it
// was pushed with; "" (a stored manifest) takes the body's own, or what its
// fields say. It returns an Error of code MANIFEST_INVALID.
//
// A body whose mediaType differs from contentType, or that has the fields of
// both an image and an index, is refused (CVE-2021-41190): two readers could
// take it for two things.
func ParseManifest(contentType string, body []byte) (*Manifest, error) {
	if len(body) > MaxManifestSize {
		return nil, Errorf(CodeManifestInvalid, "manifest of %d bytes is too large; at most %d are allowed", len(body), MaxManifestSize)
	}
	wire, err := decodeManifest(body)
	if err != nil {
		return nil, err
	}
	mediaType, err := wire.mediaType(contentType)
	if err != nil {
		return nil, err
	}
	m := &Manifest{MediaType: mediaType, Subject: wire.Subject, ArtifactType: wire.ArtifactType}
	if wire.Annotations != nil {
		m.Annotations = *wire.Annotations
	}
	if m.Index() {
		err = m.takeIndex(wire)
	} else {
		err = m.takeImage(wire)
	}
	if err != nil {
		return nil, err
	}
	return m, m.check()
}

func decodeManifest(body []byte) (*wireManifest, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	var wire wireManifest
	if err := dec.Decode(&wire); err != nil {
		return nil, jsonError(err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, Errorf(CodeManifestInvalid, "the manifest is followed by further data; send one JSON object")
	}
	if wire.SchemaVersion == 1 || wire.FSLayers != nil {
		return nil, Errorf(CodeManifestInvalid, "Docker schema 1 images are not accepted; push with Docker 1.10 or newer, or convert the image with skopeo copy --format v2s2")
	}
	if wire.SchemaVersion != 2 {
		return nil, Errorf(CodeManifestInvalid, "schemaVersion is %d; it must be 2", wire.SchemaVersion)
	}
	return &wire, nil
}

func jsonError(err error) error {
	var coded *Error
	if errors.As(err, &coded) {
		return Errorf(CodeManifestInvalid, "%s", coded.Message)
	}
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		return Errorf(CodeManifestInvalid, "the manifest's field %q has a value of the wrong type", wrongType.Field)
	}
	return &Error{Code: CodeManifestInvalid, Message: "the manifest is not one JSON object", Err: err}
}

func (w *wireManifest) mediaType(contentType string) (string, error) {
	kind := contentType
	switch {
	case kind == "" && w.MediaType != "":
		kind = w.MediaType
	case kind == "" && w.Manifests != nil:
		kind = MediaTypeImageIndex
	case kind == "":
		kind = MediaTypeImageManifest
	}
	switch kind {
	case MediaTypeImageManifest, MediaTypeImageIndex:
		if w.MediaType != "" && w.MediaType != kind {
			return "", Errorf(CodeManifestInvalid, "the manifest says mediaType %q but was sent as Content-Type %q; the two must agree", clip(w.MediaType), kind)
		}
	case MediaTypeDockerManifest, MediaTypeDockerList:
		if w.MediaType != kind {
			return "", Errorf(CodeManifestInvalid, "the manifest says mediaType %q but was sent as Content-Type %q; the two must agree", clip(w.MediaType), kind)
		}
	default:
		return "", Errorf(CodeManifestInvalid, "manifests of type %q are not accepted; use one of %s", clip(kind), strings.Join(ManifestMediaTypes(), ", "))
	}
	return kind, nil
}

func (m *Manifest) takeIndex(w *wireManifest) error {
	if w.Config != nil || w.Layers != nil {
		return Errorf(CodeManifestInvalid, "an index must not have config or layers (CVE-2021-41190)")
	}
	if w.Manifests == nil {
		return Errorf(CodeManifestInvalid, "the index has no field manifests; an empty one is written []")
	}
	m.Manifests = *w.Manifests
	return nil
}

func (m *Manifest) takeImage(w *wireManifest) error {
	if w.Manifests != nil {
		return Errorf(CodeManifestInvalid, "an image manifest must not have manifests (CVE-2021-41190)")
	}
	if w.Config == nil {
		return Errorf(CodeManifestInvalid, "the image manifest has no config")
	}
	m.Config = w.Config
	if w.Layers != nil {
		m.Layers = *w.Layers
	}
	if m.ArtifactType == "" {
		m.ArtifactType = w.Config.MediaType
	}
	return nil
}

// check looks at every descriptor.
func (m *Manifest) check() error {
	if m.Config != nil {
		if err := m.Config.check("config"); err != nil {
			return err
		}
	}
	if m.Subject != nil {
		if err := m.Subject.check("subject"); err != nil {
			return err
		}
	}
	for i, d := range m.Layers {
		if err := d.check(fmt.Sprintf("layers[%d]", i)); err != nil {
			return err
		}
	}
	for i, d := range m.Manifests {
		if err := d.check(fmt.Sprintf("manifests[%d]", i)); err != nil {
			return err
		}
	}
	return nil
}

func (d Descriptor) check(where string) error {
	switch {
	case d.Digest.IsZero():
		return Errorf(CodeManifestInvalid, "%s has no digest", where)
	case d.Size < 0:
		return Errorf(CodeManifestInvalid, "%s has the size %d; sizes are not negative", where, d.Size)
	}
	return nil
}

// mediaTypeSchema1 is what a signed Docker schema 1 manifest is served as:
// storage that an old registry wrote may hold some, though none is accepted.
const mediaTypeSchema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"

// SniffMediaType returns the media type to serve a stored manifest with. No
// store keeps it, but ParseManifest accepts no manifest whose body leaves it
// open: it is the body's own, or what its fields say.
func SniffMediaType(body []byte) string {
	var doc struct {
		SchemaVersion int             `json:"schemaVersion"`
		MediaType     string          `json:"mediaType"`
		Manifests     json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "application/octet-stream"
	}
	switch {
	case strings.HasPrefix(doc.MediaType, "application/"):
		return doc.MediaType
	case doc.SchemaVersion == 1:
		return mediaTypeSchema1
	case doc.Manifests != nil:
		return MediaTypeImageIndex
	default:
		return MediaTypeImageManifest
	}
}
