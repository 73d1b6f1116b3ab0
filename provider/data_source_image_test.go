package provider

import (
	"fmt"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

const imageThis = "data.registry_image.this"

// refer pushes an artifact that refers to a subject, and returns its digest.
func (s *testServer) refer(t *testing.T, repository string, subject v1.Descriptor, artifactType string) string {
	t.Helper()
	artifact := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.MediaType(artifactType)), types.OCIManifestSchema1)
	annotated, ok := mutate.Annotations(artifact, map[string]string{"note": "for a test"}).(v1.Image)
	if !ok {
		t.Fatal("an artifact is no image")
	}
	return s.push(t, mutate.Subject(annotated, subject), repository+":"+"referrer")
}

func TestImageDataSource(t *testing.T) {
	s := startServer(t)
	image, index := randomImage(t, "linux/arm/v7"), randomIndex(t, "linux/amd64", "linux/arm64")
	one, two := s.push(t, image, "team/app:1"), s.push(t, index, "team/app:2")
	none := s.pushIndex(t, "team/app", "empty", "none")
	size, err := image.Size()
	if err != nil {
		t.Fatal(err)
	}
	mediaType, err := image.MediaType()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	hash, err := v1.NewHash(one)
	if err != nil {
		t.Fatal(err)
	}
	const kind = "application/vnd.example.signature.v1+json"
	signature := s.refer(t, "team/app", v1.Descriptor{MediaType: mediaType, Digest: hash, Size: size}, kind)
	facts, err := (content{image: image}).facts()
	if err != nil {
		t.Fatal(err)
	}
	var layers []knownvalue.Check
	for _, l := range manifest.Layers {
		layers = append(layers, knownvalue.ObjectExact(map[string]knownvalue.Check{
			"digest": knownvalue.StringExact(l.Digest.String()), "media_type": knownvalue.StringExact(string(l.MediaType)), "size_bytes": knownvalue.Int64Exact(l.Size),
		}))
	}
	config := func(arguments string) string {
		return s.config("data \"registry_image\" \"this\" {\n repository = \"team/app\"\n %s\n}\n", arguments)
	}
	single := []statecheck.StateCheck{
		is(imageThis, "digest", knownvalue.StringExact(one)), is(imageThis, "image_digest", knownvalue.StringExact(one)),
		is(imageThis, "media_type", knownvalue.StringExact(string(mediaType))), is(imageThis, "platforms", stringList("linux/arm/v7")),
		is(imageThis, "size_bytes", knownvalue.Int64Exact(facts.size)), is(imageThis, "layers", knownvalue.ListExact(layers)),
		is(imageThis, "labels", knownvalue.MapExact(map[string]knownvalue.Check{"org.opencontainers.image.title": knownvalue.StringExact("of linux/arm/v7")})),
		is(imageThis, "referrers", knownvalue.ListExact([]knownvalue.Check{knownvalue.ObjectExact(map[string]knownvalue.Check{
			"digest": knownvalue.StringExact(signature), "artifact_type": knownvalue.StringExact(kind), "media_type": knownvalue.StringExact(oci.MediaTypeImageManifest),
			"size_bytes": knownvalue.NotNull(), "annotations": knownvalue.MapExact(map[string]knownvalue.Check{"note": knownvalue.StringExact("for a test")}),
		})})),
	}
	indexOf := func(arguments, on string) resource.TestStep {
		return resource.TestStep{Config: config(arguments), ConfigStateChecks: []statecheck.StateCheck{
			is(imageThis, "digest", knownvalue.StringExact(two)), is(imageThis, "platforms", stringList("linux/amd64", "linux/arm64")),
			is(imageThis, "labels", knownvalue.MapExact(map[string]knownvalue.Check{"org.opencontainers.image.title": knownvalue.StringExact("of " + on)})),
			is(imageThis, "layers", knownvalue.ListSizeExact(2)), is(imageThis, "referrers", knownvalue.ListSizeExact(0)),
		}}
	}
	wrong := func(arguments, complaint string) resource.TestStep {
		return resource.TestStep{Config: config(arguments), ExpectError: says(complaint)}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config(`tag = "1"`), ConfigStateChecks: single},
		resource.TestStep{Config: config(fmt.Sprintf("digest = %q", one)), ConfigStateChecks: single},
		resource.TestStep{Config: config(fmt.Sprintf("digest = %q\n platform = \"linux/arm\"", one)), ConfigStateChecks: single},
		indexOf(`tag = "2"`, "linux/amd64"),
		indexOf("tag = \"2\"\n platform = \"linux/arm64\"", "linux/arm64"),
		resource.TestStep{Config: config(`tag = "none"`), ConfigStateChecks: []statecheck.StateCheck{
			is(imageThis, "digest", knownvalue.StringExact(none)), is(imageThis, "image_digest", knownvalue.Null()), is(imageThis, "layers", knownvalue.ListSizeExact(0)),
		}},
		wrong(`tag = "absent"`, `There is no image absent in "team/app"`),
		wrong(fmt.Sprintf("digest = %q", someDigest), "There is no image sha256:"),
		wrong("tag = \"2\"\n platform = \"linux/s390x\"", "here is no image for linux/s390x in the index"),
		wrong("", "digest"),
		wrong(fmt.Sprintf("tag = \"1\"\n digest = %q", one), "digest"),
		wrong("tag = \"1\"\n platform = \"arm\"", "Invalid platform"),
		resource.TestStep{PreConfig: s.fail(status(500)), Config: config(`tag = "1"`), ExpectError: says("Could not read the image 1")},
		resource.TestStep{Config: s.config("# nothing")},
	)
}

// Referrers come in pages of at most 1,000.
func TestImageDataSourceManyReferrers(t *testing.T) {
	if testing.Short() {
		t.Skip("makes 1,010 referrers")
	}
	s := startServer(t)
	subject := s.pushIndex(t, "team/app", "subject", "1")
	for i := range 1010 {
		body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[],"artifactType":"application/x-test","subject":{"mediaType":%[1]q,"digest":%q,"size":1},"annotations":{"n":"%d"}}`,
			oci.MediaTypeImageIndex, subject, i)
		s.put(t, "team/app", oci.FromBytes([]byte(body)).String(), []byte(body))
	}
	unitTest(t, testProvider(), resource.TestStep{
		Config:            s.config("data \"registry_image\" \"this\" {\n repository = \"team/app\"\n tag = \"1\"\n}\n"),
		ConfigStateChecks: []statecheck.StateCheck{is(imageThis, "referrers", knownvalue.ListSizeExact(1010))},
	})
}
