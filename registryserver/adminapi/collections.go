package adminapi

import (
	"context"
	"net/http"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Collections runs garbage collections in the background.
type Collections interface {
	// Start has one begin, and returns its id. CONFLICT.
	Start(spec client.CollectionSpec) (id string, err error)
	// List returns what runs here, and the reports of the last ones.
	List(ctx context.Context) ([]client.Collection, error)
}

func (a *api) listCollections(r *http.Request) (answer, error) {
	if a.Collections == nil {
		return answer{}, noCollections()
	}
	all, err := a.Collections.List(r.Context())
	return answer{body: client.Page[client.Collection]{Items: all}}, err
}

func (a *api) startCollection(r *http.Request) (answer, error) {
	var spec client.CollectionSpec
	if err := decode(r, &spec); err != nil {
		return answer{}, err
	}
	if a.ReadOnly || a.Collections == nil {
		return answer{}, noCollections()
	}
	mark, err := a.Registry.Exclusive(r.Context())
	if err != nil {
		return answer{}, err
	}
	if !mark.Exclusive {
		return answer{}, oci.Errorf(oci.CodeConflict, "the storage is not marked as exclusive: make sure that only servers of Registry Kit write to it, then PUT /api/v1/storage/exclusive")
	}
	id, err := a.Collections.Start(spec)
	return answer{status: http.StatusAccepted, body: client.CollectionStarted{ID: id}}, err
}

func noCollections() error {
	return oci.Errorf(oci.CodeConflict, "this server collects no garbage: it is read-only")
}

func (a *api) getExclusive(r *http.Request) (answer, error) {
	mark, err := a.Registry.Exclusive(r.Context())
	return answer{body: client.Exclusive(mark)}, err
}

func (a *api) putExclusive(r *http.Request) (answer, error) {
	if a.ReadOnly {
		return answer{}, noCollections()
	}
	return answer{}, a.Registry.MarkExclusive(r.Context(), "api")
}

func (a *api) deleteExclusive(r *http.Request) (answer, error) {
	if a.ReadOnly {
		return answer{}, noCollections()
	}
	return answer{}, a.Registry.UnmarkExclusive(r.Context())
}
