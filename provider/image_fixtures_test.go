package provider

import (
	"fmt"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
)

// randomImage is an image of two layers, for a platform.
func randomImage(t *testing.T, on string) v1.Image {
	t.Helper()
	p, err := parsePlatform(on)
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(4000, 2)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = p.os, p.architecture, p.variant
	config.Config.Labels = map[string]string{"org.opencontainers.image.title": "of " + on}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	return image
}

// randomIndex is an index of an image for each platform, with an attestation of
// each as BuildKit adds them.
func randomIndex(t *testing.T, platforms ...string) v1.ImageIndex {
	t.Helper()
	var index v1.ImageIndex = empty.Index
	for _, on := range platforms {
		p, err := parsePlatform(on)
		if err != nil {
			t.Fatal(err)
		}
		image := randomImage(t, on)
		digest, err := image.Digest()
		if err != nil {
			t.Fatal(err)
		}
		index = mutate.AppendManifests(index,
			mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: p.os, Architecture: p.architecture, Variant: p.variant}}},
			mutate.IndexAddendum{Add: randomImage(t, "unknown/unknown"), Descriptor: v1.Descriptor{
				Platform:    &v1.Platform{OS: "unknown", Architecture: "unknown"},
				Annotations: map[string]string{attests: digest.String(), "vnd.docker.reference.type": "attestation-manifest"},
			}},
		)
	}
	return index
}

func digestOf(t *testing.T, what interface{ Digest() (v1.Hash, error) }) string {
	t.Helper()
	digest, err := what.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String()
}

const imageApp = "registry_image.app"

// app is the resource under test.
func app(source string, arguments ...string) string {
	text := fmt.Sprintf("resource \"registry_image\" \"app\" {\n  source     = %q\n  repository = \"mirror/app\"\n  tag        = \"v1\"\n", source)
	for _, a := range arguments {
		text += "  " + a + "\n"
	}
	return text + "}\n"
}

// login is what it takes to pull from a test server.
const sourceLogin = `source_auth = { username = "admin", password_wo = "` + adminPassword + `" }`
