package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/archive"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Copy copies images from one registry to another: one image, a repository, or
// all that there is. Repeating it goes on where it ended, since what is there is
// not copied again.
type Copy struct {
	From, To *Remote
	Filter   Filter
	// Repository and ToRepository are the one repository that is copied, and what
	// it is called there. Without them all are that Filter takes.
	Repository, ToRepository string
	// Tag or Digest is the one image that is copied, ToTag what it is called there.
	Tag, ToTag oci.Tag
	Digest     oci.Digest
	// Prefix is put before the names of repositories, with a slash.
	Prefix string
	// Keep leaves tags as they are that point elsewhere there.
	Keep bool
	// Alone leaves out what refers to images: signatures and the like.
	Alone    bool
	Parallel int
	Progress *Progress
}

// Run copies. The report is complete also if it returns an error, which says
// that something was not copied.
func (c Copy) Run(ctx context.Context) (*Report, error) {
	if c.Progress == nil {
		c.Progress = &Progress{}
	}
	c.Parallel = max(c.Parallel, 1)
	r := &copyRun{
		Copy: c, copier: NewCopier(c.Parallel, c.Progress), images: make(chan struct{}, c.Parallel),
		report: &Report{Source: c.From.address.String(), Destination: c.To.address.String(), Started: time.Now().UTC()},
	}
	err := r.run(ctx)
	r.report.finish(c.Progress.Sums(), ctx.Err() != nil || err != nil)
	c.Progress.Clear()
	switch failed := len(r.report.Failures); {
	case ctx.Err() != nil:
		return r.report, errors.New("it was interrupted; the same command goes on where it ended")
	case err != nil:
		return r.report, err
	case failed > 0:
		return r.report, fmt.Errorf("%d of %d were not copied; the same command tries them again", failed, r.report.Tags)
	}
	return r.report, nil
}

// copyRun is a Copy under way.
type copyRun struct {
	Copy
	copier *Copier
	images chan struct{} // one for each image on its way

	mu     sync.Mutex
	report *Report
}

func (r *copyRun) run(ctx context.Context) error {
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(r.Parallel)
	err := r.repositories(groupCtx, func(name string) {
		group.Go(func() error {
			r.repository(groupCtx, name)
			return groupCtx.Err()
		})
	})
	return errors.Join(err, group.Wait())
}

// repositories calls do with each repository that is copied.
func (r *copyRun) repositories(ctx context.Context, do func(name string)) error {
	if r.Repository != "" {
		do(r.Repository)
		return nil
	}
	if names, ok := r.Filter.named(); ok {
		for _, name := range names {
			do(name)
		}
		return nil
	}
	for name, err := range r.From.Repositories(ctx) {
		if err != nil {
			var login *loginError
			if s := status(err); !errors.As(err, &login) && (s == 401 || s == 403 || s == 404 || s == 405) {
				err = fmt.Errorf("%s does not list its repositories to this login; name them with --repository: %w", r.From.address.Registry, err)
			}
			return err
		}
		repo, err := oci.ParseRepository(name)
		if err != nil {
			r.fail(Failure{Repository: name, Error: err.Error()})
			continue
		}
		if r.Filter.takesRepository(repo) {
			do(name)
		}
	}
	return nil
}

// target is what a repository is called in the other registry.
func (r *copyRun) target(name string) string {
	if r.ToRepository != "" {
		return r.ToRepository
	}
	if r.Prefix != "" {
		return strings.TrimSuffix(r.Prefix, "/") + "/" + name
	}
	return name
}

// repository copies what is wanted of a repository, and notes what fails.
func (r *copyRun) repository(ctx context.Context, name string) {
	j := &repositoryJob{copyRun: r, name: name, entry: &RepositoryReport{Name: name, Target: r.target(name)}, family: map[string]bool{}}
	err := j.run(ctx)
	if err != nil && ctx.Err() == nil {
		r.fail(Failure{Repository: name, Error: err.Error()})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.SortFunc(j.entry.Tags, func(a, b TagReport) int { return strings.Compare(a.Tag+a.Digest, b.Tag+b.Digest) })
	r.report.Repositories = append(r.report.Repositories, *j.entry)
}

func (r *copyRun) fail(f Failure) {
	r.mu.Lock()
	r.report.Failures = append(r.report.Failures, f)
	r.mu.Unlock()
	r.Progress.Line("failed: %s: %s", f.what(), f.Error)
}

// repositoryJob copies one repository.
type repositoryJob struct {
	*copyRun
	name  string
	from  *RemoteRepository
	to    Place
	there archive.Source // the same as to
	entry *RepositoryReport
	// tagsOnly: the source has no referrers API, so what refers to an image has tags.
	tagsOnly atomic.Bool
	// family has the tags' beginnings of what belongs to the manifests that were
	// copied.
	family map[string]bool
}

func (j *repositoryJob) run(ctx context.Context) (err error) {
	j.Progress.Doing("copy %s", j.name)
	if j.from, err = j.From.Repository(ctx, j.name, false); err != nil {
		return err
	}
	to, err := j.To.Repository(ctx, j.entry.Target, true)
	if err != nil {
		return err
	}
	j.to, j.there = Place{Target: to, Name: j.entry.Target}, to
	if !j.Digest.IsZero() {
		return j.digest(ctx)
	}
	tags, others := []oci.Tag{j.Tag}, []oci.Tag(nil)
	narrowed := !j.Tag.IsZero() || !j.Filter.all()
	if j.Tag.IsZero() || !j.Alone {
		all, err := j.from.Tags(ctx)
		if err != nil {
			return err
		}
		images, companions := split(all)
		if others = companions; j.Tag.IsZero() {
			tags = j.Filter.take(images)
		}
	}
	j.each(ctx, tags)
	if j.Alone || ctx.Err() != nil {
		return ctx.Err()
	}
	if narrowed {
		others = slices.DeleteFunc(others, func(t oci.Tag) bool { return !belongs(t, j.family) })
	}
	j.each(ctx, others)
	return ctx.Err()
}

// each copies tags, several at once.
func (j *repositoryJob) each(ctx context.Context, tags []oci.Tag) {
	var group sync.WaitGroup
	defer group.Wait()
	for _, tag := range tags {
		select {
		case j.images <- struct{}{}:
		case <-ctx.Done():
			return
		}
		group.Go(func() {
			defer func() { <-j.images }()
			entry, err := j.tag(ctx, tag)
			j.note(ctx, entry, err)
		})
	}
}

// note enters what became of a tag into the report.
func (j *repositoryJob) note(ctx context.Context, entry TagReport, err error) {
	if err != nil {
		if ctx.Err() != nil {
			return // the next run does it
		}
		entry.Result = Failed
		j.fail(Failure{Repository: j.name, Tag: entry.Tag, Digest: entry.Digest, Error: err.Error()})
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.report.Tags++
	j.entry.Tags = append(j.entry.Tags, entry)
	if entry.Result == Copied && !j.Progress.terminal {
		j.Progress.Line("copied %s:%s", j.name, entry.Tag+entry.orDigest())
	}
}

// tag copies what a tag points at, what refers to that, and then the tag. So a
// tag that is there says that all of it is.
func (j *repositoryJob) tag(ctx context.Context, tag oci.Tag) (TagReport, error) {
	entry, as := TagReport{Tag: tag.String()}, tag
	if !j.ToTag.IsZero() && tag == j.Tag {
		as = j.ToTag
	}
	d, found, err := j.from.Resolve(ctx, tag)
	if err == nil && !found {
		err = errors.New("the source has no such tag (any more)")
	}
	if err != nil {
		return entry, err
	}
	entry.Digest = d.String()
	now, there, err := j.to.Resolve(ctx, as)
	if err != nil {
		return entry, err
	}
	entry.Result = Copied
	switch {
	case there && now == d:
		entry.Result = Unchanged
	case there && j.Keep:
		entry.Result = Kept
		return entry, nil
	}
	if err := j.manifest(ctx, d, !isCompanion(tag)); err != nil || entry.Result == Unchanged {
		return entry, err
	}
	content, m, err := readManifest(ctx, j.from, d)
	if err != nil {
		return entry, err
	}
	_, err = j.to.PutManifest(ctx, oci.Reference{Tag: as}, m.MediaType, content)
	return entry, err
}

// manifest copies a manifest and what refers to it.
func (j *repositoryJob) manifest(ctx context.Context, d oci.Digest, image bool) error {
	if err := j.copier.Manifest(ctx, j.from, j.to, d); err != nil {
		return err
	}
	if j.Alone || !image {
		return nil
	}
	// It is all there now, and reading it there is no pull where pulls are counted.
	all, err := family(ctx, j.there, d)
	if err != nil {
		return err
	}
	j.mu.Lock()
	for _, member := range all {
		j.family[fallbackTag(member).String()] = true
	}
	j.mu.Unlock()
	for _, member := range all {
		if j.tagsOnly.Load() {
			return nil
		}
		n, can, err := j.copier.Referrers(ctx, j.from, j.to, member)
		if err != nil {
			return err
		}
		j.tagsOnly.Store(!can)
		j.mu.Lock()
		j.report.Referrers += n
		j.mu.Unlock()
	}
	return nil
}

// digest copies the one image that was asked for by its digest.
func (j *repositoryJob) digest(ctx context.Context) error {
	entry := TagReport{Tag: j.ToTag.String(), Digest: j.Digest.String(), Result: Copied}
	err := j.manifest(ctx, j.Digest, true)
	if err == nil && !j.ToTag.IsZero() {
		var content []byte
		var m *oci.Manifest
		if content, m, err = readManifest(ctx, j.from, j.Digest); err == nil {
			_, err = j.to.PutManifest(ctx, oci.Reference{Tag: j.ToTag}, m.MediaType, content)
		}
	}
	j.note(ctx, entry, err)
	return nil
}
