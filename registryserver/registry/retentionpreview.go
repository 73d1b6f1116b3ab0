package registry

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// RetentionPreview says what a preview of retention looks at.
type RetentionPreview struct {
	// Policy stands in for the stored one of its name, or beside those that there
	// are; nil is what is stored alone.
	Policy *RetentionSpec
	// Repositories narrow it; none is all.
	Repositories []oci.Glob
	// After is the Next of the page before, and Limit how much a page has at most.
	After string
	Limit int
	Grace time.Duration // as of CollectOptions
}

// RetentionVictim is a tag, or a manifest without one, that would be deleted.
type RetentionVictim struct {
	Repository oci.Repository
	Tag        oci.Tag // zero: the manifest
	Digest     oci.Digest
	Pushed     time.Time
	Pulled     time.Time // zero: nobody has, since that is noted
	RetentionDecision
}

// A page looks at no more repositories, and stops after so many tags and manifests,
// so that a request has an end.
const (
	mostPreviewRepositories = 500
	mostPreviewed           = 5000
)

// PreviewRetention returns a page of what retention policies would delete if a
// collection ran now, and where the next page begins; "" on the last. A page may
// have nothing and not be the last.
func (r *Registry) PreviewRetention(ctx context.Context, p RetentionPreview) (victims []RetentionVictim, next string, err error) {
	at, err := parsePreviewCursor(p.After)
	if err != nil {
		return nil, "", err
	}
	c := &collector{r: r, o: CollectOptions{DryRun: true, Retention: true, Grace: p.Grace}.withDefaults(), report: newCollectReport(CollectOptions{})}
	var ok bool
	if c.store, ok = storage.As[storage.Collectible](r.blobs); !ok {
		return nil, "", errors.New("the tags of this store cannot be listed with times")
	}
	if c.now, err = c.store.StoreTime(ctx); err != nil {
		return nil, "", err
	}
	if c.retention, err = r.readRetentionFor(ctx, p.Policy); err != nil {
		return nil, "", err
	}
	if c.marks, err = r.readMarks(ctx); err != nil {
		return nil, "", err
	}
	repositories, looked := 0, 0
	for repo, err := range r.repositoriesFrom(ctx, at) {
		if err != nil {
			return nil, "", err
		}
		if !c.retention.matches(repo) || len(p.Repositories) > 0 && !slices.ContainsFunc(p.Repositories, func(g oci.Glob) bool { return g.Match(repo) }) {
			continue
		}
		found, n, err := c.previewOf(ctx, repo)
		if err != nil {
			return nil, "", err
		}
		looked += n
		for _, v := range found {
			if repo == at.repo && v.cursor().place() <= at.place() {
				continue
			}
			if len(victims) == p.Limit {
				return victims, victims[len(victims)-1].cursor().String(), nil
			}
			victims = append(victims, v)
		}
		if repositories++; repositories == mostPreviewRepositories || looked >= mostPreviewed {
			return victims, previewCursor{repo: repo}.String(), nil
		}
	}
	return victims, "", nil
}

// previewOf returns what goes of a repository, and how much was looked at.
func (c *collector) previewOf(ctx context.Context, repo oci.Repository) ([]RetentionVictim, int, error) {
	rs, err := c.listOne(ctx, repo)
	if err != nil {
		return nil, 0, err
	}
	tags, decisions, err := c.decideTags(ctx, rs)
	if err != nil {
		return nil, 0, err
	}
	var victims []RetentionVictim
	for i, d := range decisions {
		if d.Delete {
			victims = append(victims, RetentionVictim{Repository: repo, Tag: tags[i].Tag, Digest: tags[i].Digest, Pushed: tags[i].Pushed, Pulled: tags[i].Pulled, RetentionDecision: d})
		}
	}
	if _, _, untagged := c.retentionOf(repo).needs(); untagged {
		more, err := c.previewUntagged(ctx, rs)
		if err != nil {
			return nil, 0, err
		}
		victims = append(victims, more...)
	}
	slices.SortFunc(victims, func(a, b RetentionVictim) int { return cmp.Compare(a.cursor().place(), b.cursor().place()) })
	return victims, len(rs.tags) + len(rs.revisions), nil
}

func (c *collector) previewUntagged(ctx context.Context, rs *repoState) ([]RetentionVictim, error) {
	if err := c.readManifestsOf(ctx, []*repoState{rs}); err != nil {
		return nil, err
	}
	names := rs.manifestNames()
	goes, err := c.removable(ctx, rs, names)
	if err != nil {
		return nil, err
	}
	var victims []RetentionVictim
	for _, d := range slices.SortedFunc(maps.Keys(goes), compareDigests) {
		v := RetentionVictim{Repository: rs.repo, Digest: d, RetentionDecision: c.untaggedRule(rs, names[d])}
		for _, name := range names[d] {
			v.Pushed = latest(v.Pushed, rs.revisions[name], rs.retention.pushed[name])
			v.Pulled = latest(v.Pulled, c.retention.pulls.of(rs.repo, name.String()))
		}
		victims = append(victims, v)
	}
	return victims, nil
}

// repositoriesFrom yields the repository of a cursor, unless it was looked at
// whole, and then those after it.
func (r *Registry) repositoriesFrom(ctx context.Context, at previewCursor) func(yield func(oci.Repository, error) bool) {
	return func(yield func(oci.Repository, error) bool) {
		if at.reference != "" && !yield(at.repo, nil) {
			return
		}
		after := ""
		if at.repo != (oci.Repository{}) {
			after = at.repo.String()
		}
		r.Repositories(ctx, after)(yield)
	}
}

// previewCursor is a place in a preview: a repository, or a tag or manifest of it.
type previewCursor struct {
	repo      oci.Repository
	reference string // "" is after all of the repository
	manifest  bool   // manifests come after tags
}

func (v RetentionVictim) cursor() previewCursor {
	if v.Tag.IsZero() {
		return previewCursor{v.Repository, v.Digest.String(), true}
	}
	return previewCursor{v.Repository, v.Tag.String(), false}
}

func (p previewCursor) String() string {
	switch {
	case p.reference == "":
		return p.repo.String()
	case p.manifest:
		return p.repo.String() + "@" + p.reference
	}
	return p.repo.String() + ":" + p.reference
}

// place orders cursors of one repository.
func (p previewCursor) place() string {
	if p.manifest {
		return "2" + p.reference
	}
	return "1" + p.reference
}

func parsePreviewCursor(s string) (previewCursor, error) {
	if s == "" {
		return previewCursor{}, nil
	}
	name, reference, manifest := strings.Cut(s, "@")
	if !manifest {
		name, reference, _ = strings.Cut(s, ":")
	}
	repo, err := oci.ParseRepository(name)
	if err == nil && reference != "" {
		var ref oci.Reference
		ref, err = oci.ParseReference(reference)
		if err == nil && ref.Digest.IsZero() == manifest {
			err = oci.Errorf(oci.CodeInvalid, "not a digest")
		}
	}
	if err != nil {
		return previewCursor{}, oci.Errorf(oci.CodeInvalid, "the parameter after is not what a page before has said")
	}
	return previewCursor{repo, reference, manifest}, nil
}
