package registry_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// policies makes retention policies.
func (y *yard) policies(t *testing.T, specs ...registry.RetentionSpec) {
	t.Helper()
	for _, spec := range specs {
		_, err := y.CreateRetentionPolicy(t.Context(), spec, "")
		must(t, err)
	}
}

// images pushes an image for each tag, a day after the other, and returns them.
func (y *yard) images(t *testing.T, repo oci.Repository, tags ...string) []oci.Digest {
	t.Helper()
	var images []oci.Digest
	config := pushBlob(t, y.Registry, repo, oci.SHA256, "config")
	for _, tag := range tags {
		images = append(images, put(t, y.Registry, repo, imageOf(config, fmt.Sprintf(`,"annotations":{"n":%q}`, tag)), tag))
		y.clock = y.clock.Add(24 * time.Hour)
	}
	return images
}

func (y *yard) tags(t *testing.T, repo oci.Repository) string {
	t.Helper()
	return strings.Join(names(t, y.Tags(t.Context(), repo, "")), " ")
}

// preview returns what all pages of a preview say.
func (y *yard) preview(t *testing.T, p registry.RetentionPreview) (all []registry.RetentionVictim) {
	t.Helper()
	for pages := 0; ; pages++ {
		victims, next, err := y.PreviewRetention(t.Context(), p)
		must(t, err)
		if all = append(all, victims...); next == "" {
			return all
		}
		if len(victims) > p.Limit || pages > 100 {
			t.Fatalf("page %d has %d, after %q comes %q", pages, len(victims), p.After, next)
		}
		p.After = next
	}
}

func said(victims []registry.RetentionVictim) (all []string) {
	for _, v := range victims {
		ref := v.Tag.String()
		if v.Tag.IsZero() {
			ref = "untagged"
		}
		all = append(all, fmt.Sprintf("%s %s %s/%d", v.Repository, ref, v.Policy, v.Rule))
	}
	return all
}

var teamA, teamB = oci.MustRepository("team/a"), oci.MustRepository("team/b")

// TestCollectRetention: what a preview says goes, with the rule in the report, in
// the repositories of the policy alone; and after it what only that led to.
func TestCollectRetention(t *testing.T) {
	y := newYard(t)
	images := y.images(t, teamA, "b1", "b2", "b3", "keep", "fixed", "b4", "b5")
	y.images(t, teamB, "b1", "pr-1")
	y.images(t, app, "b1", "b2")
	pattern, err := oci.ParseTagPattern("fix*")
	must(t, err)
	_, err = y.UpdateSettings(t.Context(), teamA, registry.SettingsSpec{ImmutableTags: []oci.TagPattern{pattern}}, nil)
	must(t, err)
	y.policies(t,
		retentionPolicy(t, "ci", "team/*", `{"action":"delete","except_newest":2}`, `{"action":"keep","tag_patterns":["keep"]}`),
		retentionPolicy(t, "pr", "team/b", `{"action":"delete","tag_patterns":["pr-*"],"not_pushed_for_days":1}`, `{"action":"delete","untagged":true,"not_pushed_for_days":1}`),
	)
	y.clock = y.clock.Add(25 * time.Hour)
	put(t, y.Registry, teamB, imageOf(pushBlob(t, y.Registry, teamB, oci.SHA256, "config"), `,"annotations":{"loose":"1"}`))
	y.clock = y.clock.Add(26 * time.Hour)
	want := []string{"team/a b1 ci/1", "team/a b2 ci/1", "team/a b3 ci/1", "team/b pr-1 pr/1", "team/b untagged pr/2"}
	for _, limit := range []int{1, 2, 100} {
		if got := said(y.preview(t, registry.RetentionPreview{Limit: limit})); !slices.Equal(got, want) {
			t.Errorf("preview, %d at once: %q, want %q", limit, got, want)
		}
	}
	onlyB, err := oci.ParseGlob("*/b")
	must(t, err)
	if got := said(y.preview(t, registry.RetentionPreview{Limit: 9, Repositories: []oci.Glob{onlyB}})); !slices.Equal(got, want[3:]) {
		t.Errorf("preview of team/b: %q", got)
	}
	other := retentionPolicy(t, "ci", "team/*", `{"action":"delete","except_newest":5}`)
	if got := said(y.preview(t, registry.RetentionPreview{Limit: 9, Policy: &other})); !slices.Equal(got, append([]string{"team/a b1 ci/1", "team/a b2 ci/1"}, want[3:]...)) {
		t.Errorf("preview of a change: %q", got)
	}

	dry := y.collect(t, registry.CollectOptions{DryRun: true, Retention: true})
	if sums(dry.Deleted)["tag"] != 4 || y.tags(t, teamA) != "b1 b2 b3 b4 b5 fixed keep" {
		t.Errorf("a dry run: %+v, %q", dry.Deleted, y.tags(t, teamA))
	}
	if without := y.collect(t, registry.CollectOptions{}); sums(without.Deleted)["tag"] != 0 {
		t.Errorf("without retention: %+v", without.Deleted)
	}
	report := y.collect(t, registry.CollectOptions{Retention: true})
	reasons := map[string]string{}
	for _, u := range report.Examples {
		if u.Kind == "tag" {
			reasons[u.Repository+" "+u.Reference] = u.Reason
		}
	}
	const why = "retention policy ci, rule 1: delete tags, not of the newest 2 images"
	for _, tag := range []string{"team/a b1", "team/a b2", "team/a b3"} {
		if reasons[tag] != why {
			t.Errorf("%s: %q, want %q", tag, reasons[tag], why)
		}
	}
	if got := reasons["team/b pr-1"]; got != "retention policy pr, rule 1: delete tags pr-*, not pushed for 1 days" || len(reasons) != 4 {
		t.Errorf("the reasons: %q", reasons)
	}
	if y.tags(t, teamA) != "b4 b5 fixed keep" || y.tags(t, teamB) != "b1" || y.tags(t, app) != "b1 b2" {
		t.Errorf("there are %q, %q, %q", y.tags(t, teamA), y.tags(t, teamB), y.tags(t, app))
	}
	if keys := y.keys(t, "/tags/b1/"); len(keys) != 4 { // of the two other repositories
		t.Errorf("of tags stay %q", keys)
	}
	// Manifests without a tag go only where a rule says so: in team/b.
	y.collect(t, registry.CollectOptions{Retention: true})
	last := y.collect(t, registry.CollectOptions{Retention: true})
	for _, u := range append(report.Examples, last.Examples...) {
		if u.Kind == "manifest" && u.Repository != "team/b" {
			t.Errorf("a manifest of another repository goes: %+v", u)
		}
	}
	if !y.has(t, images[0]) {
		t.Error("a manifest of team/a went, and no rule says so")
	}
	if left := y.keys(t, "team/b/_manifests/revisions/"); len(left) != 1 {
		t.Errorf("in team/b are left %q, want 1", left)
	}
	wantSound(t, y.Registry)
}

// TestRetentionAgainstPush: at whatever step of a collection by age, count or pull a
// tag is pushed, to the same or another image, it stays once that is acknowledged,
// and so does what it leads to.
func TestRetentionAgainstPush(t *testing.T) {
	for name, rule := range map[string]string{"age": `{"action":"delete","not_pushed_for_days":2}`, "count": `{"action":"delete","tag_patterns":["old","new"],"except_newest":1}`} {
		for _, same := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, same image %v", name, same), func(t *testing.T) {
				pushes := 0
				for n, more := 0, true; more; n++ {
					var acknowledged bool
					more, acknowledged = retentionAgainstPush(t, rule, same, n)
					if acknowledged {
						pushes++
					}
				}
				if pushes < 10 {
					t.Errorf("only %d pushes were acknowledged", pushes)
				}
			})
		}
	}
}

// retentionAgainstPush pushes before the nth operation of a collection, and reports
// whether there was one.
func retentionAgainstPush(t *testing.T, rule string, same bool, n int) (more, acknowledged bool) {
	y := newYard(t)
	y.policies(t, retentionPolicy(t, "p", "**", rule))
	y.images(t, app, "old", "new")
	y.clock = y.clock.Add(24 * time.Hour)
	faults := &storagetest.Faults{}
	collector := registry.New(faults.Blobs(y.memory.Blobs()), faults.Records(y.memory.Records()), registry.Options{Now: y.memory.Now, Log: slog.New(slog.DiscardHandler)})
	impatient := y.clock
	pusher := registry.New(y.memory.Blobs(), y.memory.Records(), registry.Options{Now: func() time.Time {
		impatient = impatient.Add(20 * time.Second) // it does not wait for a deletion
		return impatient
	}})
	body := imageOf(oci.FromBytes([]byte("config")), `,"annotations":{"n":"old"}`)
	if !same {
		body = imageOf(oci.FromBytes([]byte("config")), `,"annotations":{"n":"another"}`)
	}
	faults.On(func(c storagetest.Call) storagetest.Fault {
		if c.N == n {
			more = true
			y.clock = y.clock.Add(time.Second)
			d := oci.FromBytes([]byte(body))
			_, err := pusher.PutManifest(t.Context(), registry.Push{Repository: app, Digest: d, Tags: []oci.Tag{ref(t, "old").Tag}, ContentType: oci.MediaTypeImageManifest, Body: []byte(body)})
			acknowledged = err == nil
			if err != nil && oci.ErrorCode(err) != oci.CodeUnavailable {
				t.Errorf("step %d: the push failed: %v", n, err)
			}
		}
		return storagetest.None
	})
	report, err := collector.Collect(t.Context(), registry.CollectOptions{Retention: true, Grace: time.Hour, Concurrency: 1})
	must(t, err)
	got, err := y.ResolveTag(t.Context(), app, ref(t, "old").Tag)
	switch {
	case acknowledged && (err != nil || got != oci.FromBytes([]byte(body))):
		t.Errorf("step %d: the tag was pushed, and is %v, %v; the report: %+v", n, got, err, report.Deleted)
	case !more && err == nil:
		t.Error("without a push, the tag is not deleted")
	}
	wantSound(t, y.Registry)
	return more, acknowledged
}

// TestPulls: pulls are noted once a day, survive servers and compaction, and keep
// what they say was used.
func TestPulls(t *testing.T) {
	y := newYard(t)
	images := y.images(t, app, "by-tag", "by-digest", "unused", "later")
	rule := retentionPolicy(t, "p", "**", `{"action":"delete","not_pulled_for_days":30}`)
	y.policies(t, rule)
	ctx := t.Context()
	server := func() *registry.Registry {
		return registry.New(y.memory.Blobs(), y.memory.Records(), registry.Options{Now: y.memory.Now})
	}
	flush := func(r *registry.Registry, refs ...string) {
		t.Helper()
		stop := noting(t, r)
		for _, s := range refs {
			r.Pulled(app, ref(t, s))
			r.Pulled(app, ref(t, s))
		}
		stop()
	}
	records := func() int {
		n := 0
		for _, err := range y.memory.Records().List(ctx, "registrykit/v1/pulls/records/", "") {
			must(t, err)
			n++
		}
		return n
	}
	y.clock = y.clock.Add(100 * 24 * time.Hour)
	if got := said(y.preview(t, registry.RetentionPreview{Limit: 9})); len(got) > 0 {
		t.Errorf("pulls were never noted, and %q goes", got)
	}
	flush(server())
	y.clock = y.clock.Add(29 * 24 * time.Hour)
	if got := said(y.preview(t, registry.RetentionPreview{Limit: 9})); len(got) > 0 {
		t.Errorf("pulls are noted since yesterday, and %q goes", got)
	}
	a := server()
	flush(a, "by-tag", images[1].String())
	if records() != 1 {
		t.Errorf("%d records of one flush", records())
	}
	flush(a, "by-tag") // noted already
	if records() != 1 {
		t.Errorf("%d records after a pull that was noted", records())
	}
	y.clock = y.clock.Add(2 * 24 * time.Hour)
	if got, want := said(y.preview(t, registry.RetentionPreview{Limit: 9})), []string{"team/app later p/1", "team/app unused p/1"}; !slices.Equal(got, want) {
		t.Errorf("preview %q, want %q", got, want)
	}
	for n := range 60 {
		flush(server(), "later", fmt.Sprintf("gone-%d", n))
	}
	if records() != 61 {
		t.Errorf("%d records", records())
	}
	report := y.collect(t, registry.CollectOptions{Retention: true})
	if sums(report.Deleted)["tag"] != 1 || records() != 1 || y.tags(t, app) != "by-digest by-tag later" {
		t.Errorf("deleted %+v; %d records; there are %q", report.Deleted, records(), y.tags(t, app))
	}
	var pulled []string
	y.clock = y.clock.Add(60 * 24 * time.Hour)
	for _, v := range y.preview(t, registry.RetentionPreview{Limit: 9}) {
		pulled = append(pulled, v.Tag.String()+" "+v.Pulled.Format(time.DateOnly))
	}
	if want := []string{"by-digest 2026-05-15", "by-tag 2026-05-15", "later 2026-05-17"}; !slices.Equal(pulled, want) {
		t.Errorf("pulled: %q, want %q", pulled, want)
	}
	// A server that notes none says so: then nothing counts as unused.
	must(t, server().NotePulls(ctx, 0))
	if got := said(y.preview(t, registry.RetentionPreview{Limit: 9})); len(got) > 0 {
		t.Errorf("pulls are not noted, and %q goes", got)
	}
}

// noting has a server note pulls until what it returns is called, which writes them.
func noting(t *testing.T, r *registry.Registry) func() {
	t.Helper()
	done, began := make(chan error), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		close(began)
		done <- r.NotePulls(ctx, time.Hour)
	}()
	<-began
	for !r.NotesPulls() {
		time.Sleep(time.Millisecond)
	}
	return func() {
		cancel()
		must(t, <-done)
	}
}

// FuzzPulls: whatever lies in the storage, reading it ends in an answer or an error.
func FuzzPulls(f *testing.F) {
	f.Add([]byte("registrykit pulls 1\n20594 team/a v1\n20594 app sha256:" + strings.Repeat("a", 64) + "\n"))
	f.Add([]byte("registrykit pulls 1\n-1 a b\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, value []byte) {
		y := newYard(t)
		y.policies(t, retentionPolicy(t, "p", "**", `{"action":"delete","not_pulled_for_days":30}`))
		must(t, y.FlushPulls(t.Context()))
		_, err := y.memory.Records().Put(t.Context(), "registrykit/v1/pulls/records/x", value, "*")
		must(t, err)
		_, _, err = y.PreviewRetention(t.Context(), registry.RetentionPreview{Limit: 1})
		if err == nil && !strings.HasPrefix(string(value), "registrykit pulls 1\n") {
			t.Errorf("%q is no record, and was read", value)
		}
	})
}

// FuzzRetentionDocument: policies that cannot be understood are an error, and never
// a registry without them.
func FuzzRetentionDocument(f *testing.F) {
	f.Add([]byte(`{"version":1,"policies":{"a":{"repositories":["**"],"rules":[{"action":"keep","newest":1}],"revision":"r"}}}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"policies":{"a":null}}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		y := newYard(t)
		_, err := y.memory.Records().Put(t.Context(), "registrykit/v1/retention-policies", value, "*")
		must(t, err)
		all, err := y.RetentionPolicies(t.Context())
		if err != nil {
			return
		}
		for _, p := range all {
			if len(p.Rules) == 0 || len(p.Repositories) == 0 {
				t.Errorf("%q gives %+v", value, p)
			}
		}
	})
}
