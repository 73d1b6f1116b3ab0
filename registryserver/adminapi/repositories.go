package adminapi

import (
	"net/http"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/events"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

// repositoryBody is client.RepositorySpec with what is missing told from what is
// empty.
type repositoryBody struct {
	Name                 *string   `json:"name"`
	Description          *string   `json:"description"`
	AnonymousPull        *bool     `json:"anonymous_pull"`
	ImmutableTagPatterns *[]string `json:"immutable_tag_patterns"`
}

// defaultRevision is that of a repository of which nothing was ever set: a push
// made it.
const defaultRevision = "default"

func (a *api) listRepositories(r *http.Request) (answer, error) {
	limit, after, err := paging(r)
	if err != nil {
		return answer{}, err
	}
	names, err := collect(limit, oci.Repository.String, a.Registry.Repositories(r.Context(), after))
	if err != nil {
		return answer{}, err
	}
	settings, err := a.Registry.ListSettings(r.Context(), names.Items)
	if err != nil {
		return answer{}, err
	}
	p := client.Page[client.Repository]{Items: make([]client.Repository, len(settings)), Next: names.Next}
	for i, s := range settings {
		p.Items[i] = wireRepository(names.Items[i], s)
	}
	return answer{body: p, next: p.Next}, nil
}

func (a *api) createRepository(r *http.Request) (answer, error) {
	var body repositoryBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	key, err := createKey(r)
	if err != nil {
		return answer{}, err
	}
	if body.Name == nil {
		return answer{}, oci.Errorf(oci.CodeInvalid, "the field name is missing")
	}
	repo, err := oci.ParseRepository(*body.Name)
	if err != nil {
		return answer{}, err
	}
	spec, err := body.spec()
	if err != nil {
		return answer{}, err
	}
	s, err := a.Registry.CreateRepository(r.Context(), repo, spec, key)
	ans := repositoryAnswer(repo, s)
	ans.status, ans.location = http.StatusCreated, "/repositories/"+escaped(repo.String())
	return ans, err
}

func (a *api) getRepository(r *http.Request) (answer, error) {
	repo, err := oci.ParseRepository(r.PathValue("repository"))
	if err != nil {
		return answer{}, err
	}
	s, err := a.Registry.Settings(r.Context(), repo)
	return repositoryAnswer(repo, s), err
}

func (a *api) updateRepository(r *http.Request) (answer, error) {
	repo, err := oci.ParseRepository(r.PathValue("repository"))
	if err != nil {
		return answer{}, err
	}
	var body repositoryBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	may, err := settingsCondition(r)
	switch {
	case err != nil:
		return answer{}, err
	case body.Name != nil && *body.Name != repo.String():
		return answer{}, oci.Errorf(oci.CodeInvalid, "the field name is not the name in the path; a repository cannot be renamed")
	case body.AnonymousPull == nil || body.ImmutableTagPatterns == nil:
		return answer{}, oci.Errorf(oci.CodeInvalid, "PUT replaces the settings: the fields anonymous_pull and immutable_tag_patterns are needed")
	}
	spec, err := body.spec()
	if err != nil {
		return answer{}, err
	}
	s, err := a.Registry.UpdateSettings(r.Context(), repo, spec, may)
	return repositoryAnswer(repo, s), err
}

func (a *api) deleteRepository(r *http.Request) (answer, error) {
	repo, err := oci.ParseRepository(r.PathValue("repository"))
	if err != nil {
		return answer{}, err
	}
	if err := a.mayDelete(); err != nil {
		return answer{}, err
	}
	force, err := flag(r, "force")
	if err != nil {
		return answer{}, err
	}
	may, err := settingsCondition(r)
	if err != nil {
		return answer{}, err
	}
	if err := a.Registry.DeleteRepository(r.Context(), repo, registry.Deletion{Images: force, May: may}); err != nil {
		return answer{}, err
	}
	a.Notify(r, events.Event{Action: events.Delete, Repository: repo.String()})
	return answer{}, nil
}

// settingsCondition is condition in the revisions of package registry.
func settingsCondition(r *http.Request) (func(revision string) bool, error) {
	may, err := condition(r)
	if may == nil || err != nil {
		return nil, err
	}
	return func(revision string) bool { return may(revisionOf(revision)) }, nil
}

func revisionOf(revision string) string {
	if revision == "" {
		return defaultRevision
	}
	return revision
}

func (b repositoryBody) spec() (registry.SettingsSpec, error) {
	patterns, err := oci.ParseTagPatterns(or(b.ImmutableTagPatterns, nil))
	return registry.SettingsSpec{Description: or(b.Description, ""), AnonymousPull: or(b.AnonymousPull, false), ImmutableTags: patterns}, err
}

func repositoryAnswer(repo oci.Repository, s registry.Settings) answer {
	return answer{body: wireRepository(repo, s), etag: revisionOf(s.Revision)}
}

func wireRepository(repo oci.Repository, s registry.Settings) client.Repository {
	w := client.Repository{
		Name: repo.String(), Description: s.Description, AnonymousPull: s.AnonymousPull, ImmutableTagPatterns: make([]string, len(s.ImmutableTags)),
		Revision: revisionOf(s.Revision), CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
	}
	for i, p := range s.ImmutableTags {
		w.ImmutableTagPatterns[i] = p.String()
	}
	return w
}
