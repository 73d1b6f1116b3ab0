package adminapi

import (
	"errors"
	"net/http"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/events"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

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
	if err := a.Registry.DeleteTag(r.Context(), repo, tag); err != nil {
		return answer{}, err
	}
	a.Notify(r, events.Event{Action: events.Delete, Repository: repo.String(), Tag: tag.String()})
	return answer{}, nil
}

// tagBody is client.TagSpec with what is missing told from what is wrong.
type tagBody struct {
	Digest *string `json:"digest"`
}

// putTag pushes a manifest that is there already once more, under the tag: what
// holds for pushes holds here. Pointing a tag where it points changes nothing,
// whatever the request demands of it, since it may be a repeated one.
func (a *api) putTag(r *http.Request) (answer, error) {
	repo, tag, err := tagOf(r)
	if err != nil {
		return answer{}, err
	}
	d, err := wantedDigest(r)
	if err != nil {
		return answer{}, err
	}
	if a.ReadOnly {
		return answer{}, oci.Errorf(oci.CodeUnsupported, "the configuration forbids pushes, and so to move tags (storage.maintenance.readonly)")
	}
	if err := a.Proxies.RefusePush(r.Context(), repo); err != nil {
		return answer{}, err
	}
	may, err := condition(r)
	if err != nil {
		return answer{}, err
	}
	m, err := a.Registry.Manifest(r.Context(), repo, oci.Reference{Digest: d})
	if err != nil {
		return answer{}, err
	}
	created, was := false, oci.Digest{}
	_, err = a.Registry.PutManifest(r.Context(), registry.Push{
		Repository: repo, Digest: d, Tags: []oci.Tag{tag}, ContentType: m.MediaType, Body: m.Content,
		May: func(_ oci.Tag, now oci.Digest) error {
			created, was = now.IsZero(), now
			switch {
			case now == d, may == nil:
				return nil
			case now.IsZero() && r.Header.Get("If-Match") != "":
				return oci.Errorf(oci.CodePreconditionFailed, "there is no tag %s in repository %s, and the request says that there is", tag, repo)
			case !now.IsZero() && !may(now.String()):
				return tagMoved(repo, tag)
			}
			return nil
		},
	})
	if err == nil && may != nil {
		// A push that another one overtakes counts as the earlier of the two; one that
		// depends on what was there must not.
		var now oci.Digest
		if now, err = a.Registry.ResolveTag(r.Context(), repo, tag); err == nil && now != d {
			err = tagMoved(repo, tag)
		}
	}
	if err == nil && was != d {
		a.Notify(r, events.Event{Action: events.Push, Repository: repo.String(), Tag: tag.String(), Digest: d.String(), MediaType: m.MediaType, Size: int64(len(m.Content))})
	}
	ans := answer{body: client.Tag{Name: tag.String(), Digest: d, MediaType: m.MediaType, Size: int64(len(m.Content))}, etag: d.String()}
	if created {
		ans.status, ans.location = http.StatusCreated, "/repositories/"+escaped(repo.String())+"/tags/"+escaped(tag.String())
	}
	return ans, err
}

func wantedDigest(r *http.Request) (oci.Digest, error) {
	var body tagBody
	if err := decode(r, &body); err != nil {
		return oci.Digest{}, err
	}
	if body.Digest == nil {
		return oci.Digest{}, oci.Errorf(oci.CodeInvalid, "the field digest is missing")
	}
	return oci.ParseDigest(*body.Digest)
}

func tagMoved(repo oci.Repository, tag oci.Tag) error {
	return oci.Errorf(oci.CodePreconditionFailed, "the tag %s of repository %s has moved since it was read; read it again", tag, repo)
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
