package registry

import (
	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// The bounds of a manifestCache: at most 32 MiB. Larger manifests are read each
// time.
const (
	cachedManifests    = 512
	cachedManifestSize = 64 << 10
)

// manifestCache remembers the content of manifests under their canonical
// digests. It says nothing of whether a repository has a manifest, or whether
// its blob is there: callers ask the store for both.
type manifestCache struct {
	byDigest *lru.Cache[oci.Digest, cachedManifest]
}

type cachedManifest struct {
	content   []byte
	mediaType string
}

func newManifestCache() manifestCache {
	byDigest, err := lru.New[oci.Digest, cachedManifest](cachedManifests)
	if err != nil {
		panic(err) // only for a size below one
	}
	return manifestCache{byDigest}
}

func (c manifestCache) get(d oci.Digest) (cachedManifest, bool) { return c.byDigest.Get(d) }

// add remembers content that is known to have the digest.
func (c manifestCache) add(d oci.Digest, m cachedManifest) {
	if len(m.content) <= cachedManifestSize {
		c.byDigest.Add(d, m)
	}
}
