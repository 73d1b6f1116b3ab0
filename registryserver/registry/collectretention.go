package registry

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// retentionState is what a collection, or a preview, knows of retention policies. The
// zero value has none.
type retentionState struct {
	policies []RetentionSpec
	pulls    pullTimes
}

// readRetentionFor reads the policies and, where one of them asks for them, when
// the repositories were pulled from that want says. instead, if not nil, stands in
// for the policy of its name.
func (r *Registry) readRetentionFor(ctx context.Context, instead *RetentionSpec) (retentionState, error) {
	stored, err := r.RetentionPolicies(ctx)
	if err != nil {
		return retentionState{}, err
	}
	var t retentionState
	for _, p := range stored {
		if instead == nil || p.Name != instead.Name {
			t.policies = append(t.policies, p.RetentionSpec)
		}
	}
	if instead != nil {
		t.policies = append(t.policies, *instead)
	}
	if _, pulls, _ := (Retention{Policies: t.policies}).needs(); pulls {
		t.pulls, err = r.readPulls(ctx, t.matches)
	}
	return t, err
}

func (t retentionState) matches(repo oci.Repository) bool {
	for _, p := range t.policies {
		if p.matches(repo) {
			return true
		}
	}
	return false
}

// retentionOf returns what decides over a repository.
func (c *collector) retentionOf(repo oci.Repository) Retention {
	x := Retention{Now: c.now, Grace: c.o.Grace, PullsSince: c.retention.pulls.since}
	for _, p := range c.retention.policies {
		if p.matches(repo) {
			x.Policies = append(x.Policies, p)
		}
	}
	return x
}

// retain deletes the tags that retention policies say are to go. What else they
// say is heeded when manifests are collected.
func (c *collector) retain(ctx context.Context) error {
	if !c.o.Retention {
		return nil
	}
	var err error
	if c.retention, err = c.r.readRetentionFor(ctx, nil); err != nil {
		return err
	}
	var gone []TagAsSeen
	for n, rs := range c.repos {
		c.o.Progress("apply retention policies", n+1, len(c.repos))
		tags, decisions, err := c.decideTags(ctx, rs)
		if err != nil {
			return err
		}
		for i, d := range decisions {
			if d.Delete {
				gone = append(gone, TagAsSeen{Repository: rs.repo, Tag: tags[i].Tag, Digest: tags[i].Digest, Pushed: tags[i].Pushed, Why: d.Reason})
			}
		}
	}
	if err := c.deleteTagsAsSeen(ctx, gone); err != nil {
		return err
	}
	if c.o.DryRun {
		return nil
	}
	return c.compactPulls(ctx)
}

// decideTags decides over the tags of a repository that was listed. Tags that go
// are as they were seen in the store.
func (c *collector) decideTags(ctx context.Context, rs *repoState) ([]RetentionTag, []RetentionDecision, error) {
	x := c.retentionOf(rs.repo)
	if len(x.Policies) == 0 || len(rs.tags) == 0 {
		return nil, nil, nil
	}
	rules, err := c.r.immutableTags(ctx, rs.repo)
	if err != nil {
		return nil, nil, err
	}
	tags := make([]RetentionTag, 0, len(rs.tags))
	for _, t := range rs.tags {
		if t.modTime.IsZero() {
			continue // a history without a tag, which a crash has left
		}
		tag := RetentionTag{Tag: t.tag, Pushed: t.modTime}
		if p, ok := rules.pattern(t.tag); ok {
			tag.Immutable = p.String()
		}
		tags = append(tags, tag)
	}
	digests, _, _ := x.needs()
	if digests {
		if err := c.seeTags(ctx, rs, tags, func(int) bool { return true }); err != nil {
			return nil, nil, err
		}
	}
	decisions := x.Tags(tags)
	if digests {
		return tags, decisions, nil
	}
	listed := make([]time.Time, len(tags))
	for i, t := range tags {
		listed[i] = t.Pushed
	}
	if err := c.seeTags(ctx, rs, tags, func(i int) bool { return decisions[i].Delete }); err != nil {
		return nil, nil, err
	}
	for i, t := range tags {
		// A listing may know times more precisely, or less.
		if decisions[i].Delete && !t.Pushed.Truncate(time.Second).Equal(listed[i].Truncate(time.Second)) {
			decisions[i] = RetentionDecision{Reason: whyPushedMeanwhile}
		}
	}
	return tags, decisions, nil
}

const whyPushedMeanwhile = "it was pushed, or deleted, while it was looked at"

// seeTags reads those tags that which says: what they point at, when they were
// pushed, and when they were pulled.
func (c *collector) seeTags(ctx context.Context, rs *repoState, tags []RetentionTag, which func(int) bool) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(c.o.Concurrency)
	for i := range tags {
		if !which(i) {
			continue
		}
		group.Go(func() error {
			t := &tags[i]
			seen, err := c.r.SeeTag(ctx, rs.repo, t.Tag)
			if oci.ErrorCode(err) == oci.CodeManifestUnknown {
				t.Pushed = c.now // deleted meanwhile
				return nil
			}
			t.Digest, t.Pushed = seen.Digest, seen.Pushed
			t.Pulled = c.retention.pulls.of(rs.repo, t.Tag.String(), seen.Digest.String())
			return err
		})
	}
	return group.Wait()
}

// untaggedRule returns why a manifest goes to which no tag and no kept manifest
// leads, by the rules of retention policies; "" if it stays. It is known under all
// these digests.
func (c *collector) untaggedRule(rs *repoState, all []oci.Digest) RetentionDecision {
	if rs.retention == nil {
		x := c.retentionOf(rs.repo)
		_, _, untagged := x.needs()
		rs.retention = &repoRetention{Retention: x, untagged: untagged, pushed: map[oci.Digest]time.Time{}}
		if untagged {
			rs.retention.notePushes(rs)
		}
	}
	if !rs.retention.untagged {
		return RetentionDecision{}
	}
	var pushed, pulled time.Time
	for _, d := range all {
		pushed = latest(pushed, rs.revisions[d], rs.retention.pushed[d])
		pulled = latest(pulled, c.retention.pulls.of(rs.repo, d.String()))
	}
	return rs.retention.Untagged(pushed, pulled)
}

// repoRetention is what is known of a repository for the rules about untagged
// manifests.
type repoRetention struct {
	Retention
	untagged bool
	pushed   map[oci.Digest]time.Time // by the histories of tags
}

func (x *repoRetention) notePushes(rs *repoState) {
	for _, t := range rs.tags {
		for _, l := range t.history {
			x.pushed[l.digest] = latest(x.pushed[l.digest], l.modTime)
		}
	}
}
