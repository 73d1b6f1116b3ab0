package storage

import "github.com/registrykit/terraform-provider-registry/registryserver/oci"

// The folders of the layout, below the root directory or key prefix. The first
// is CNCF distribution's, to the byte; the second is ours, and distribution
// ignores it.
const (
	DistributionRoot = "docker/registry/v2"
	KitRoot          = "registrykit/v1"
)

// BlobKey is where the content of the canonical digest d lies.
func BlobKey(d oci.Digest) string {
	return DistributionRoot + "/blobs/" + string(d.Algorithm()) + "/" + d.Hex()[:2] + "/" + d.Hex() + "/data"
}
