package registry

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// CreateRepository makes a repository before anything is pushed to it. key names
// the request: a repository that the same key made is returned; any other that
// exists, also by a push alone, is CONFLICT. INVALID.
func (r *Registry) CreateRepository(ctx context.Context, repo oci.Repository, spec SettingsSpec, key string) (Settings, error) {
	if err := spec.check(); err != nil {
		return Settings{}, err
	}
	was, err := r.readSettings(ctx, repo)
	if err != nil {
		return Settings{}, err
	}
	if was.set() {
		return r.created(repo, was, key)
	}
	pushed, err := r.hasContent(ctx, repo)
	if err != nil {
		return Settings{}, err
	}
	if pushed {
		return Settings{}, oci.Errorf(oci.CodeConflict, "there is a repository %s already: a push made it; change its settings instead", repo)
	}
	rec := spec.record(r.facts.now().UTC())
	rec.CreateKey = key
	s, err := r.putSettings(ctx, repo, rec, storage.Absent)
	if errors.Is(err, storage.ErrConflict) {
		if was, err = r.readSettings(ctx, repo); err == nil {
			return r.created(repo, was, key)
		}
	}
	if err != nil {
		return Settings{}, err
	}
	return s, nil
}

// created returns a repository to the request that made it.
func (r *Registry) created(repo oci.Repository, was storedSettings, key string) (Settings, error) {
	if key != "" && was.record.CreateKey == key {
		return was.Settings, nil
	}
	return Settings{}, oci.Errorf(oci.CodeConflict, "there is a repository %s already", repo)
}

// Settings returns what is set of a repository. NAME_UNKNOWN.
func (r *Registry) Settings(ctx context.Context, repo oci.Repository) (Settings, error) {
	s, err := r.readSettings(ctx, repo)
	if err != nil || s.set() {
		return s.Settings, err
	}
	return s.Settings, r.mustExist(ctx, repo)
}

func (r *Registry) mustExist(ctx context.Context, repo oci.Repository) error {
	exists, err := r.RepositoryExists(ctx, repo)
	if err == nil && !exists {
		err = nameUnknown(repo)
	}
	return err
}

// settingsTries bounds how often a change is tried again because another came
// first.
const settingsTries = 20

// UpdateSettings sets what spec says of a repository, also of one that only a
// push made. may says whether settings of the given revision may be replaced; nil
// allows all. Where spec takes AnonymousPull away, it returns once that is so on
// every instance. NAME_UNKNOWN, INVALID, PRECONDITION_FAILED.
func (r *Registry) UpdateSettings(ctx context.Context, repo oci.Repository, spec SettingsSpec, may func(revision string) bool) (Settings, error) {
	if err := spec.check(); err != nil {
		return Settings{}, err
	}
	rec := spec.record(r.facts.now().UTC())
	for range settingsTries {
		was, err := r.readSettings(ctx, repo)
		switch {
		case errors.Is(err, errSettingsDamaged): // and may only be replaced
		case err != nil:
			return Settings{}, err
		case !was.set():
			if err := r.mustExist(ctx, repo); err != nil {
				return Settings{}, err
			}
		}
		if may != nil && !may(was.Revision) {
			return Settings{}, settingsChanged(repo)
		}
		rec.succeed(was.record)
		s, err := r.putSettings(ctx, repo, rec, was.version)
		if errors.Is(err, storage.ErrConflict) {
			continue
		}
		if err != nil {
			return Settings{}, err
		}
		return s, r.awaitWithdrawal(ctx, rec)
	}
	return Settings{}, oci.Errorf(oci.CodeUnavailable, "too many others are changing the settings of repository %s; try again", repo)
}

// succeed takes over what stays from the record that rec replaces.
func (rec *settingsRecord) succeed(was settingsRecord) {
	if was.Version == settingsVersion {
		rec.CreatedAt, rec.CreateKey = was.CreatedAt, was.CreateKey
	}
	rec.WithdrawnAt = was.WithdrawnAt
	if was.AnonymousPull && !rec.AnonymousPull {
		rec.WithdrawnAt = rec.UpdatedAt
	}
}

func settingsChanged(repo oci.Repository) error {
	return oci.Errorf(oci.CodePreconditionFailed, "the settings of repository %s have changed since they were read; read them again", repo)
}

// settingsAtOnce is how many records ListSettings reads at the same time.
const settingsAtOnce = 16

// ListSettings returns the settings of repositories that are sorted by name, such
// as one page of Repositories. It reads only the records that there are.
func (r *Registry) ListSettings(ctx context.Context, repos []oci.Repository) ([]Settings, error) {
	all := make([]Settings, len(repos))
	if len(repos) == 0 {
		return all, nil
	}
	reads, ctx := errgroup.WithContext(ctx)
	reads.SetLimit(settingsAtOnce)
	read := func(i int) {
		reads.Go(func() error {
			s, err := r.readSettings(ctx, repos[i])
			all[i] = s.Settings
			return err
		})
	}
	read(0) // the list begins after it
	i := 1
	for repo, err := range r.settled(ctx, repos[0].String()) {
		if err != nil {
			return nil, errors.Join(err, reads.Wait())
		}
		for i < len(repos) && repos[i].String() < repo.String() {
			i++
		}
		if i == len(repos) {
			break
		}
		if repos[i] == repo {
			read(i)
		}
	}
	return all, reads.Wait()
}

// Deletion says how a repository is deleted.
type Deletion struct {
	// Images deletes one that has tags or manifests, too.
	Images bool
	// May is as in UpdateSettings.
	May func(revision string) bool
}

// DeleteRepository removes a repository: its tags, then its manifests, then its
// layers, and its settings last. Repositories below it (a/b below a) stay.
// Content that no other repository uses stays until a garbage collection. Tags
// that its settings make immutable are never deleted: as long as there are any,
// it is DENIED. NAME_UNKNOWN, PRECONDITION_FAILED; CONFLICT if it has images that
// are not to be deleted.
func (r *Registry) DeleteRepository(ctx context.Context, repo oci.Repository, o Deletion) error {
	was, err := r.readSettings(ctx, repo)
	if err == nil && !was.set() {
		err = r.mustExist(ctx, repo)
	}
	if err != nil {
		return err
	}
	if o.May != nil && !o.May(was.Revision) {
		return settingsChanged(repo)
	}
	if o.Images {
		err = r.mayDeleteAll(ctx, repo, was.ImmutableTags)
	} else {
		err = r.checkEmpty(ctx, repo)
	}
	if err != nil {
		return err
	}
	if err := r.deleting(ctx, func() error { return r.deleteRepository(ctx, repo, was, o.Images) }); err != nil {
		return err
	}
	r.public.forget(repo)
	rec := was.record
	if rec.AnonymousPull {
		rec.AnonymousPull, rec.WithdrawnAt = false, r.facts.now()
	}
	return r.awaitWithdrawal(ctx, rec)
}

func (r *Registry) deleteRepository(ctx context.Context, repo oci.Repository, was storedSettings, images bool) error {
	parts := []string{"/_layers/", "/_uploads/"}
	if images {
		if err := r.deleteTags(ctx, repo, was.ImmutableTags); err != nil {
			return err
		}
		parts = append([]string{"/_referrers/", "/_manifests/"}, parts...)
	}
	for _, part := range parts {
		if err := r.deleteAll(ctx, repositoryDir(repo)+part); err != nil {
			return err
		}
	}
	if was.set() {
		err := r.records.Delete(ctx, settingsKey(repo.String()), was.version)
		if errors.Is(err, storage.ErrConflict) {
			err = r.settingsGone(ctx, repo)
		}
		if err != nil {
			return err
		}
	}
	return r.leave(ctx, repo)
}

// settingsGone returns nil if somebody else has deleted the settings.
func (r *Registry) settingsGone(ctx context.Context, repo oci.Repository) error {
	now, err := r.readSettings(ctx, repo)
	if err == nil && now.set() {
		err = oci.Errorf(oci.CodeConflict, "the settings of repository %s were changed while it was deleted; what it held is gone. Delete it again", repo)
	}
	return err
}

// mostCounted bounds how far the images of a repository are counted.
const mostCounted = 1000

// checkEmpty returns how much a repository holds that is not to be deleted with
// it. CONFLICT.
func (r *Registry) checkEmpty(ctx context.Context, repo oci.Repository) error {
	tags := 0
	for _, err := range r.Tags(ctx, repo, "") {
		if err != nil {
			return err
		}
		if tags++; tags > mostCounted {
			break
		}
	}
	manifests := 0
	for _, err := range r.records.List(ctx, repositoryDir(repo)+"/_manifests/revisions/", "") {
		if err != nil {
			return err
		}
		if manifests++; manifests > mostCounted {
			break
		}
	}
	if tags+manifests == 0 {
		return nil
	}
	err := oci.Errorf(oci.CodeConflict, "repository %s is not empty: it has %s and %s; delete them first, or ask for the repository to be deleted with all that it holds (?force=true)",
		repo, counted(tags, "tag"), counted(manifests, "manifest"))
	err.Detail = map[string]int{"tags": tags, "manifests": manifests}
	return err
}

func counted(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case n > mostCounted:
		return fmt.Sprintf("more than %d %ss", mostCounted, what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func nameUnknown(repo oci.Repository) error {
	return &oci.Error{Code: oci.CodeNameUnknown, Message: "repository " + repo.String() + " unknown", Detail: map[string]string{"name": repo.String()}}
}
