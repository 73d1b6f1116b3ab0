package main_test

import (
	"net/http"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// predecessor is a registry whose directory ours must be able to take over, and to hand back.
type predecessor struct {
	name       string
	tool       string // as .ci/tool knows it
	deletesTag bool
}

var predecessors = []predecessor{
	{name: "distribution-2.8", tool: "docker-registry"},
	{name: "distribution-3", tool: "distribution", deletesTag: true},
}

// TestInterchange holds the promise that a directory belongs to no program: what one wrote the other serves, and what both wrote is the same.
func TestInterchange(t *testing.T) {
	for _, theirs := range predecessors {
		t.Run(theirs.name, func(t *testing.T) {
			t.Parallel()
			binary := tool(t, theirs.tool)
			start := func(t *testing.T, root string) *process { return startRegistry(t, binary, filesystemConfig(root)) }
			ours := func(t *testing.T, root string) *process { return startServer(t, filesystemConfig(root)) }

			t.Run("from theirs to ours", func(t *testing.T) {
				root, s := t.TempDir(), newShelf(t)
				writer := start(t, root)
				pushShelf(t, writer, s)
				reader := ours(t, root)
				checkShelf(t, reader, s)
				checkShelf(t, writer, s) // both may read at once
			})
			t.Run("from ours to theirs", func(t *testing.T) {
				root, s := t.TempDir(), newShelf(t)
				writer := ours(t, root)
				pushShelf(t, writer, s)
				reader := start(t, root)
				checkShelf(t, reader, s)
				checkShelf(t, writer, s)
			})
			t.Run("the same bytes", func(t *testing.T) {
				ourRoot, theirRoot, s := t.TempDir(), t.TempDir(), newShelf(t)
				for _, p := range []*process{ours(t, ourRoot), start(t, theirRoot)} {
					pushShelf(t, p, s)
					alterShelf(t, p, theirs)
				}
				compareTrees(t, tree(t, ourRoot), tree(t, theirRoot))
			})
			t.Run("taking turns", func(t *testing.T) { testTakingTurns(t, theirs, start, ours) })
			t.Run("sha512 manifests", func(t *testing.T) { testSHA512Manifest(t, start, ours) })
			t.Run("referrers", func(t *testing.T) { testReferrersOfPredecessor(t, start, ours) })
		})
	}
}

// alterShelf does to a filled registry what leaves traces in the tree: a tag that moves, a tag and a manifest that go.
func alterShelf(t *testing.T, p *process, theirs predecessor) {
	t.Helper()
	push(t, p, "app", "latest", image(t, 20))
	expectStatus(t, p, http.MethodDelete, "app", digestOf(t, image(t, 3)), http.StatusAccepted)
	if theirs.deletesTag {
		expectStatus(t, p, http.MethodDelete, "app", "v1", http.StatusAccepted)
	}
}

// testTakingTurns lets the two write to one directory by turns. Each must see what the other did last, and build on it.
func testTakingTurns(t *testing.T, theirs predecessor, start, ours func(*testing.T, string) *process) {
	root := t.TempDir()
	images := make([]v1.Image, 4)
	for i := range images {
		images[i] = image(t, int64(30+i))
	}
	turn := func(run func(*testing.T, string) *process, do func(p *process)) {
		t.Helper()
		p := run(t, root)
		do(p)
		p.stop(t)
	}
	turn(start, func(p *process) {
		push(t, p, "turns", "stable", images[0])
		push(t, p, "turns", "latest", images[0])
	})
	turn(ours, func(p *process) {
		checkArtifact(t, p, "turns:latest", images[0])
		push(t, p, "turns", "latest", images[1])
	})
	turn(start, func(p *process) {
		checkArtifact(t, p, "turns:latest", images[1])
		checkArtifact(t, p, "turns:stable", images[0])
		push(t, p, "turns", "latest", images[2])
	})
	turn(ours, func(p *process) {
		checkArtifact(t, p, "turns:latest", images[2])
		expectStatus(t, p, http.MethodDelete, "turns", "stable", http.StatusAccepted)
		push(t, p, "turns", "next", images[3])
	})
	turn(start, func(p *process) {
		expectStatus(t, p, http.MethodHead, "turns", "stable", http.StatusNotFound)
		checkArtifact(t, p, "turns@"+digestOf(t, images[0]), images[0])
		expectStatus(t, p, http.MethodDelete, "turns", digestOf(t, images[3]), http.StatusAccepted)
		if theirs.deletesTag {
			expectStatus(t, p, http.MethodDelete, "turns", "latest", http.StatusAccepted)
			push(t, p, "turns", "latest", images[2])
		}
	})
	turn(ours, func(p *process) {
		expectStatus(t, p, http.MethodHead, "turns", "next", http.StatusNotFound)
		expectStatus(t, p, http.MethodHead, "turns", digestOf(t, images[3]), http.StatusNotFound)
		checkArtifact(t, p, "turns:latest", images[2])
		expectStatus(t, p, http.MethodDelete, "turns", digestOf(t, images[2]), http.StatusAccepted)
	})
	turn(start, func(p *process) {
		expectStatus(t, p, http.MethodHead, "turns", "latest", http.StatusNotFound)
		expectStatus(t, p, http.MethodHead, "turns", digestOf(t, images[2]), http.StatusNotFound)
		checkArtifact(t, p, "turns@"+digestOf(t, images[1]), images[1])
		push(t, p, "turns", "again", images[3])
	})
	turn(ours, func(p *process) { checkArtifact(t, p, "turns:again", images[3]) })
}

// testSHA512Manifest: our predecessors refuse manifests that are pushed by their sha512 digest, but read what we store of them.
func testSHA512Manifest(t *testing.T, start, ours func(*testing.T, string) *process) {
	root := t.TempDir()
	img := ociImage(t, 40)
	writer := ours(t, root)
	push(t, writer, "long", "short", img) // for its layers
	raw, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	raw = append(raw, '\n') // another manifest, so that nothing but the push by sha512 has stored it
	digest := sha512Digest(raw)
	pushManifest(t, writer, "long", digest, string(types.OCIManifestSchema1), raw, "tagged")
	for _, p := range []*process{writer, start(t, root)} {
		for _, ref := range []string{digest, "tagged", sha256Digest(raw)} {
			resp, body := do(t, http.MethodGet, p.URL+"/v2/long/manifests/"+ref, nil, "Accept", string(types.OCIManifestSchema1))
			if resp.StatusCode != http.StatusOK || string(body) != string(raw) {
				t.Errorf("%s: GET %s: %s\n%s", p.cmd.Path, ref, resp.Status, body)
			}
			if got := resp.Header.Get("Docker-Content-Digest"); ref != sha256Digest(raw) && got != digest {
				t.Errorf("%s: GET %s: Docker-Content-Digest %q, want %q", p.cmd.Path, ref, got, digest)
			}
		}
	}
}

// testReferrersOfPredecessor: they have no referrers API, so clients keep the list under a tag; ours finds it there.
func testReferrersOfPredecessor(t *testing.T, start, ours func(*testing.T, string) *process) {
	root := t.TempDir()
	subject := ociImage(t, 50)
	hash, err := subject.Digest()
	if err != nil {
		t.Fatal(err)
	}
	size, err := subject.Size()
	if err != nil {
		t.Fatal(err)
	}
	signature, ok := mutate.Subject(ociImage(t, 51), v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: hash, Size: size}).(v1.Image)
	if !ok {
		t.Fatal("an image with a subject is no image")
	}
	writer := start(t, root)
	push(t, writer, "signed", "v1", subject)
	push(t, writer, "signed", "signature", signature)
	for _, p := range []*process{writer, ours(t, root)} {
		referrers, err := remote.Referrers(reference(t, p, "signed").Context().Digest(hash.String()), remote.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		list, err := referrers.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Manifests) != 1 || list.Manifests[0].Digest.String() != digestOf(t, signature) {
			t.Errorf("%s: referrers of %s: %v, want %s", p.cmd.Path, hash, list.Manifests, digestOf(t, signature))
		}
	}
}

func expectStatus(t *testing.T, p *process, method, repo, ref string, want int) {
	t.Helper()
	if got := status(t, p, method, repo, ref); got != want {
		t.Errorf("%s: %s %s %s: status %d, want %d", p.cmd.Path, method, repo, ref, got, want)
	}
}
