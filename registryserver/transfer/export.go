package transfer

import (
	"context"
	"io"

	"github.com/registrykit/terraform-provider-registry/registryserver/archive"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Export writes an image of a source as a tar file, and returns its digest.
// Platform and names are as archive.Choose and archive.NewPlan take them.
func Export(ctx context.Context, w io.Writer, from archive.Source, d oci.Digest, platform string, names []string) (oci.Digest, error) {
	chosen, err := archive.Choose(ctx, from, d, platform)
	if err != nil {
		return d, err
	}
	plan, err := archive.NewPlan(ctx, from, chosen, names)
	if err != nil {
		return chosen, err
	}
	return chosen, plan.Write(ctx, w, steady{from})
}

// steady is a source whose blobs go on where a connection broke.
type steady struct{ archive.Source }

func (s steady) Open(ctx context.Context, d oci.Digest, offset int64) (io.ReadCloser, int64, error) {
	content, size, err := s.Source.Open(ctx, d, offset)
	if err != nil || size < 0 || offset > 0 {
		return content, size, err
	}
	return &resumed{
		ctx: ctx, from: s.Source, d: oci.Descriptor{Digest: d, Size: size}, hash: d.Algorithm().NewHash(),
		progress: &Progress{}, content: content,
	}, size, nil
}
