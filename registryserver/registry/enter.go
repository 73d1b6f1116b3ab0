package registry

import (
	"context"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Enter makes sure that a repository whose links something else wrote is in the
// index, where there is one.
func (r *Registry) Enter(ctx context.Context, repo oci.Repository) error {
	return r.enter(ctx, repo, store)
}
