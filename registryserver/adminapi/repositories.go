package adminapi

import (
	"errors"
	"net/http"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

func (a *api) listRepositories(r *http.Request) (answer, error) {
	limit, after, err := paging(r)
	if err != nil {
		return answer{}, err
	}
	name := func(r client.Repository) string { return r.Name }
	p, err := collect(limit, name, func(yield func(client.Repository, error) bool) {
		for repo, err := range a.Registry.Repositories(r.Context(), after) {
			if !yield(client.Repository{Name: repo.String()}, err) {
				return
			}
		}
	})
	return answer{body: p, next: p.Next}, err
}

func (a *api) getRepository(r *http.Request) (answer, error) {
	repo, err := oci.ParseRepository(r.PathValue("repository"))
	if err != nil {
		return answer{}, err
	}
	exists, err := a.Registry.RepositoryExists(r.Context(), repo)
	if err == nil && !exists {
		err = oci.Errorf(oci.CodeNameUnknown, "there is no repository %s", repo)
	}
	return answer{body: client.Repository{Name: repo.String()}}, err
}

func (a *api) deleteRepository(r *http.Request) (answer, error) {
	repo, err := oci.ParseRepository(r.PathValue("repository"))
	if err != nil {
		return answer{}, err
	}
	if err := a.mayDelete(); err != nil {
		return answer{}, err
	}
	return answer{}, a.Registry.DeleteRepository(r.Context(), repo, registry.Deletion{Images: true})
}

func (a *api) listTags(r *http.Request) (answer, error) {
	repo, err := oci.ParseRepository(r.PathValue("repository"))
	if err != nil {
		return answer{}, err
	}
	limit, after, err := paging(r)
	if err != nil {
		return answer{}, err
	}
	name := func(t client.Tag) string { return t.Name }
	p, err := collect(limit, name, func(yield func(client.Tag, error) bool) {
		for tag, err := range a.Registry.Tags(r.Context(), repo, after) {
			if !yield(client.Tag{Name: tag.String()}, err) {
				return
			}
		}
	})
	return answer{body: p, next: p.Next}, err
}

func (a *api) getTag(r *http.Request) (answer, error) {
	repo, tag, err := tagOf(r)
	if err != nil {
		return answer{}, err
	}
	m, err := a.Registry.Manifest(r.Context(), repo, oci.Reference{Tag: tag})
	return answer{
		body: client.Tag{Name: tag.String(), Digest: m.Digest, MediaType: m.MediaType, Size: int64(len(m.Content))},
		etag: m.Digest.String(),
	}, err
}

// deleteTag checks If-Match before it deletes, not in one step with it: a tag
// that moves in between is deleted all the same.
func (a *api) deleteTag(r *http.Request) (answer, error) {
	repo, tag, err := tagOf(r)
	if err != nil {
		return answer{}, err
	}
	if err := a.mayDelete(); err != nil {
		return answer{}, err
	}
	may, err := condition(r)
	if err != nil {
		return answer{}, err
	}
	if may != nil {
		d, err := a.Registry.ResolveTag(r.Context(), repo, tag)
		if err != nil {
			return answer{}, err
		}
		if !may(d.String()) {
			return answer{}, tagMoved(repo, tag)
		}
	}
	return answer{}, a.Registry.DeleteTag(r.Context(), repo, tag)
}

func tagOf(r *http.Request) (oci.Repository, oci.Tag, error) {
	repo, err := oci.ParseRepository(r.PathValue("repository"))
	if err != nil {
		return oci.Repository{}, oci.Tag{}, err
	}
	tag, err := oci.ParseTag(r.PathValue("tag"))
	return repo, tag, err
}

// mayDelete is the one gate for deletes of content here.
func (a *api) mayDelete() error {
	if a.DeletesDisabled {
		return oci.Errorf(oci.CodeUnsupported, "the configuration forbids deletes (storage.delete.enabled, storage.maintenance.readonly)")
	}
	return nil
}

func message(err error) string {
	var e *oci.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}
