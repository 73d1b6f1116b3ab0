package main_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// artifact is an image or an index: something that is pushed and has a digest.
type artifact interface {
	remote.Taggable
	Digest() (v1.Hash, error)
}

// shelf is what the tests put into a registry and expect to find in it.
type shelf struct {
	tags map[string]map[string]artifact // by repository and tag
	blob []byte                         // pushed to blobRepo by its sha512 digest
}

const blobRepo = "hashes"

// newShelf has every kind of manifest that our predecessors store, in names that are awkward to list: one repository inside another,
// tags that are prefixes of each other.
func newShelf(t *testing.T) *shelf {
	t.Helper()
	blob := make([]byte, 5000)
	rand.New(rand.NewSource(1)).Read(blob)
	oldest, older, newest := image(t, 2), image(t, 3), image(t, 4)
	return &shelf{
		blob: blob,
		tags: map[string]map[string]artifact{
			"app":          {"v1": oldest, "v10": older, "v1-alpine": newest, "latest": newest},
			"app/sub_repo": {"v1": oldest},
			"multi": {
				"oci":    mutate.IndexMediaType(index(t, 5), types.OCIImageIndex),
				"docker": mutate.IndexMediaType(index(t, 6), types.DockerManifestList),
			},
			blobRepo: {"image": ociImage(t, 7)},
		},
	}
}

// image returns the same image for the same seed, so that two registries can be given the same bytes.
func image(t *testing.T, seed int64) v1.Image {
	t.Helper()
	img, err := random.Image(2000, 2, random.WithSource(rand.NewSource(seed)))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func ociImage(t *testing.T, seed int64) v1.Image {
	t.Helper()
	return mutate.ConfigMediaType(mutate.MediaType(image(t, seed), types.OCIManifestSchema1), types.OCIConfigJSON)
}

func index(t *testing.T, seed int64) v1.ImageIndex {
	t.Helper()
	idx, err := random.Index(1000, 1, 2, random.WithSource(rand.NewSource(seed)))
	if err != nil {
		t.Fatal(err)
	}
	return idx
}

func digestOf(t *testing.T, a artifact) string {
	t.Helper()
	hash, err := a.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return hash.String()
}

// pushShelf pushes everything, in an order that does not change.
func pushShelf(t *testing.T, p *process, s *shelf) {
	t.Helper()
	for _, repo := range sortedKeys(s.tags) {
		for _, tag := range sortedKeys(s.tags[repo]) {
			push(t, p, repo, tag, s.tags[repo][tag])
		}
	}
	pushBlob(t, p, blobRepo, sha512Digest(s.blob), s.blob)
}

func push(t *testing.T, p *process, repo, tag string, a artifact) {
	t.Helper()
	ref := reference(t, p, repo+":"+tag)
	var err error
	switch a := a.(type) {
	case v1.ImageIndex:
		err = remote.WriteIndex(ref, a, remote.WithContext(t.Context()))
	case v1.Image:
		err = remote.Write(ref, a, remote.WithContext(t.Context()))
	}
	if err != nil {
		t.Fatalf("push %s: %v", ref, err)
	}
}

// checkShelf lists and pulls everything and compares every byte.
func checkShelf(t *testing.T, p *process, s *shelf) {
	t.Helper()
	registry, err := name.NewRegistry(p.Host)
	if err != nil {
		t.Fatal(err)
	}
	repos, err := remote.Catalog(t.Context(), registry)
	if want := sortedKeys(s.tags); err != nil || !slices.Equal(slices.Sorted(slices.Values(repos)), want) {
		t.Errorf("catalog: %q, %v; want %q", repos, err, want)
	}
	for _, repo := range sortedKeys(s.tags) {
		tags, err := remote.List(reference(t, p, repo).Context(), remote.WithContext(t.Context()))
		if want := sortedKeys(s.tags[repo]); err != nil || !slices.Equal(slices.Sorted(slices.Values(tags)), want) {
			t.Errorf("tags of %s: %q, %v; want %q", repo, tags, err, want)
		}
		for _, tag := range sortedKeys(s.tags[repo]) {
			checkArtifact(t, p, repo+":"+tag, s.tags[repo][tag])
			checkArtifact(t, p, repo+"@"+digestOf(t, s.tags[repo][tag]), s.tags[repo][tag])
		}
	}
	for _, digest := range []string{sha256Digest(s.blob), sha512Digest(s.blob)} {
		resp, body := do(t, http.MethodGet, p.URL+"/v2/"+blobRepo+"/blobs/"+digest, nil)
		if resp.StatusCode != http.StatusOK || !bytes.Equal(body, s.blob) {
			t.Errorf("GET blob %s: %s, %d bytes that are the same: %t", digest, resp.Status, len(body), bytes.Equal(body, s.blob))
		}
	}
}

// checkArtifact pulls one image or index with all that it refers to.
func checkArtifact(t *testing.T, p *process, ref string, want artifact) {
	t.Helper()
	got, err := remote.Get(reference(t, p, ref), remote.WithContext(t.Context()))
	if err != nil {
		t.Errorf("pull %s: %v", ref, err)
		return
	}
	raw, err := want.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Manifest, raw) || got.Digest.String() != digestOf(t, want) {
		t.Errorf("pull %s: the manifest %s differs from what was pushed, %s", ref, got.Digest, digestOf(t, want))
	}
	if _, ok := want.(v1.ImageIndex); ok {
		var idx v1.ImageIndex
		if idx, err = got.ImageIndex(); err == nil {
			err = validate.Index(idx)
		}
	} else {
		var img v1.Image
		if img, err = got.Image(); err == nil {
			err = validate.Image(img)
		}
	}
	if err != nil {
		t.Errorf("pull %s: %v", ref, err)
	}
}

// pushBlob uploads by any digest, which the client library does not do: POST, then PUT with the whole content.
func pushBlob(t testing.TB, p *process, repo, digest string, content []byte) {
	t.Helper()
	resp, body := do(t, http.MethodPost, p.URL+"/v2/"+repo+"/blobs/uploads/", nil)
	if resp.StatusCode != http.StatusAccepted {
		t.Fatalf("start an upload: %s\n%s", resp.Status, body)
	}
	location, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	location.User = resp.Request.URL.User
	query := location.Query()
	query.Set("digest", digest)
	location.RawQuery = query.Encode()
	resp, body = do(t, http.MethodPut, location.String(), content, "Content-Type", "application/octet-stream")
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("push blob %s: %s\n%s", digest, resp.Status, body)
	}
}

// pushManifest puts a manifest under a reference of any algorithm, with tags beside it as the next distribution-spec has them.
func pushManifest(t testing.TB, p *process, repo, ref, mediaType string, content []byte, tags ...string) {
	t.Helper()
	query := url.Values{"tag": tags}
	resp, body := do(t, http.MethodPut, p.URL+"/v2/"+repo+"/manifests/"+ref+"?"+query.Encode(), content, "Content-Type", mediaType)
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("push manifest %s: %s\n%s", ref, resp.Status, body)
	}
}

// status asks for a manifest and returns the HTTP status.
func status(t *testing.T, p *process, method, repo, ref string) int {
	t.Helper()
	resp, _ := do(t, method, p.URL+"/v2/"+repo+"/manifests/"+ref, nil,
		"Accept", strings.Join([]string{string(types.OCIManifestSchema1), string(types.OCIImageIndex),
			string(types.DockerManifestSchema2), string(types.DockerManifestList)}, ", "))
	return resp.StatusCode
}

// do sends one request, with headers in pairs, and reads the answer.
func do(tb testing.TB, method, url string, content []byte, headers ...string) (*http.Response, []byte) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, bytes.NewReader(content))
	if err != nil {
		tb.Fatal(err)
	}
	for pair := range slices.Chunk(headers, 2) {
		req.Header.Set(pair[0], pair[1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp, body
}

func reference(t *testing.T, p *process, ref string) name.Reference {
	t.Helper()
	parsed, err := name.ParseReference(p.Host + "/" + ref)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func sha256Digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func sha512Digest(b []byte) string {
	sum := sha512.Sum512(b)
	return fmt.Sprintf("sha512:%x", sum)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
