package provider

import (
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func TestParseImageSource(t *testing.T) {
	for text, want := range map[string][4]string{ // reference, folder, file, pick
		"nginx":                          {"index.docker.io/library/nginx:latest"},
		"docker.io/library/nginx:1.27":   {"index.docker.io/library/nginx:1.27"},
		"localhost:5000/app":             {"localhost:5000/app:latest"},
		"r.io/a:v1@" + someDigest:        {"r.io/a@" + someDigest},
		"oci:/tmp/folder":                {"", "/tmp/folder"},
		"oci:folder:v1":                  {"", "folder", "", "v1"},
		"oci:folder:" + someDigest:       {"", "folder", "", someDigest},
		"docker-archive:a b.tar":         {"", "", "a b.tar"},
		"docker-archive:x.tar:app:v1":    {"", "", "x.tar", "app:v1"},
		"docker.io/library/oci:latest":   {"index.docker.io/library/oci:latest"},
		"Registry.Example.COM/team/app":  {"Registry.Example.COM/team/app:latest"},
		"[::1]:5000/a/b:c":               {"[::1]:5000/a/b:c"},
		"127.0.0.1:5000/a@" + someDigest: {"127.0.0.1:5000/a@" + someDigest},
	} {
		s, err := parseImageSource(text, false)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := [4]string{"", s.folder, s.file, s.pick}
		if s.ref != nil {
			got[0] = s.ref.Name()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
		if pinned := s.pinned() != ""; pinned != (strings.Contains(text, "@")) {
			t.Errorf("%s: pinned is %t", text, pinned)
		}
	}
	for _, text := range []string{"", "oci:", "oci::v1", "docker-archive:", "https://r.io/a", "docker://nginx", "Nginx", "a b", "r.io/a@sha256:1", "oci:a\x00b"} {
		if s, err := parseImageSource(text, false); err == nil {
			t.Errorf("%q: no error, but %+v", text, s)
		}
	}
}

// Whatever is a source is one of three kinds, and the same when it is parsed
// again.
func FuzzImageSource(f *testing.F) {
	for _, seed := range []string{"nginx", "oci:a:b", "docker-archive:a", "r.io/a@" + someDigest, "oci:", "localhost/a:b", "://", "[::1]:5000/a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseImageSource(text, true)
		if err != nil {
			return
		}
		kinds := 0
		for _, is := range []bool{s.ref != nil, s.folder != "", s.file != ""} {
			if is {
				kinds++
			}
		}
		if kinds != 1 {
			t.Errorf("%q is of %d kinds", text, kinds)
		}
		if s.ref == nil {
			return
		}
		again, err := parseImageSource(s.ref.Name(), true)
		if err != nil || again.ref.Name() != s.ref.Name() {
			t.Errorf("%q is %s, and that %v, %v", text, s.ref.Name(), again.ref, err)
		}
	})
}

func FuzzPlatform(f *testing.F) {
	for _, seed := range []string{"linux/amd64", "linux/arm/v7", "windows/amd64", "linux", "a/b/c/d", "/", "Linux/AMD64", "linux/arm/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePlatform(s)
		if err != nil {
			return
		}
		if p.String() != s || !p.takes(p) {
			t.Errorf("%q became %q", s, p)
		}
	})
}

// What is left of an index keeps its order, its annotations and its attestations;
// where nothing is left out it is the same.
func TestContentOnly(t *testing.T) {
	index := randomIndex(t, "linux/amd64", "linux/arm/v6", "linux/arm/v7")
	all := content{index: index}
	for wanted, left := range map[string]string{
		"":                                     "linux/amd64 - linux/arm/v6 - linux/arm/v7 -",
		"linux/amd64":                          "linux/amd64 -",
		"linux/arm":                            "linux/arm/v6 - linux/arm/v7 -",
		"linux/arm/v7 linux/amd64":             "linux/amd64 - linux/arm/v7 -",
		"linux/arm/v6 linux/arm/v7":            "linux/arm/v6 - linux/arm/v7 -",
		"linux/arm linux/amd64 linux/arm/v6":   "linux/amd64 - linux/arm/v6 - linux/arm/v7 -",
		"linux/s390x":                          "there is no image for linux/s390x",
		"linux/amd64 windows/amd64":            "there is no image for windows/amd64",
		"linux/arm/v8":                         "there is no image for linux/arm/v8",
		"linux/amd64 linux/arm/v6 linux/arm/5": "there is no image for linux/arm/5",
	} {
		var platforms []platform
		for _, text := range strings.Fields(wanted) {
			p, err := parsePlatform(text)
			if err != nil {
				t.Fatal(err)
			}
			platforms = append(platforms, p)
		}
		c, err := all.only(platforms)
		if err != nil {
			check(t, wanted, err, left)
			continue
		}
		if got := listed(t, c.index); got != left {
			t.Errorf("%q: %s, want %s", wanted, got, left)
		}
		if same := digestOf(t, c.index) == digestOf(t, index); same != (strings.Count(left, "-") == 3) {
			t.Errorf("%q: the index is the same: %t", wanted, same)
		}
	}
}

// listed writes down the platforms of an index; - is an attestation.
func listed(t *testing.T, index v1.ImageIndex) string {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, d := range manifest.Manifests {
		if p, ok := platformOf(d); ok {
			texts = append(texts, p.String())
		} else {
			texts = append(texts, "-")
		}
	}
	return strings.Join(texts, " ")
}

// A blob that several images share counts once.
func TestContentFacts(t *testing.T) {
	index := randomIndex(t, "linux/amd64", "linux/arm64")
	twice, err := (content{index: index}).facts()
	if err != nil {
		t.Fatal(err)
	}
	var want int64
	seen := map[string]bool{}
	add := func(d v1.Descriptor) {
		if !seen[d.Digest.String()] {
			seen[d.Digest.String()] = true
			want += d.Size
		}
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range manifest.Manifests {
		add(d)
		image, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		m, err := image.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		add(m.Config)
		for _, l := range m.Layers {
			add(l)
		}
	}
	size, err := index.Size()
	if err != nil || twice.size != want+size || strings.Join(twice.platforms, " ") != "linux/amd64 linux/arm64" {
		t.Errorf("%+v, want %d bytes, %v", twice, want+size, err)
	}
}
