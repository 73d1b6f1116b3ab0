package registry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

var (
	modelApp, _   = oci.ParseRepository("app")
	modelOther, _ = oci.ParseRepository("other")
	modelTag, _   = oci.ParseTag("v1")
)

const modelConfig = "config"

func modelManifest(config string) string {
	return `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageManifest + `","config":{"mediaType":"application/x","digest":"` +
		oci.FromBytes([]byte(config)).String() + `","size":2},"layers":[]}`
}

func modelIndex(child string) string {
	return `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageIndex + `","manifests":[{"mediaType":"` + oci.MediaTypeImageManifest + `","digest":"` +
		oci.FromBytes([]byte(child)).String() + `","size":2}]}`
}

func upload(ctx context.Context, r *Registry, repo oci.Repository, content string) error {
	since := r.Epoch()
	up, err := r.StartUpload(ctx)
	if err != nil {
		return err
	}
	if _, err := up.ReadFrom(strings.NewReader(content)); err != nil {
		return err
	}
	_, err = r.CommitUpload(ctx, repo, up, oci.FromBytes([]byte(content)), since)
	return err
}

func push(ctx context.Context, r *Registry, body string, tags ...oci.Tag) (acknowledged, error) {
	pushed, err := r.PutManifest(ctx, Push{Repository: modelApp, ContentType: oci.SniffMediaType([]byte(body)), Body: []byte(body), Tags: tags})
	ack := acknowledged{repo: modelApp, manifest: pushed.Digest}
	if len(tags) > 0 {
		ack.tag = tags[0].String()
	}
	return ack, err
}

// garbageRun finds for the first time what is garbage.
func garbageRun(t *testing.T, r *Registry, o CollectOptions) {
	o.Concurrency, o.Grace = 1, NoGrace
	if _, err := r.Collect(context.Background(), o); err != nil {
		t.Fatal(err)
	}
}

func collectorOf(name string, o CollectOptions) actorSpec {
	o.Concurrency, o.Grace = 1, NoGrace
	return actorSpec{name: name, do: func(ctx context.Context, r *Registry) (acknowledged, error) {
		_, err := r.Collect(ctx, o)
		return acknowledged{}, err
	}}
}

var blobGarbage = func(repos ...oci.Repository) func(t *testing.T, r *Registry) {
	return func(t *testing.T, r *Registry) {
		for _, repo := range repos {
			if err := upload(context.Background(), r, repo, modelConfig); err != nil {
				t.Fatal(err)
			}
		}
		garbageRun(t, r, CollectOptions{})
	}
}

var configDigest = oci.FromBytes([]byte(modelConfig))

// headThenPush pushes a manifest where HEAD has said that its config is there.
var headThenPush = actorSpec{name: "client", do: func(ctx context.Context, r *Registry) (acknowledged, error) {
	if _, err := r.StatBlob(ctx, modelApp, configDigest); err != nil {
		return acknowledged{}, err
	}
	return push(ctx, r, modelManifest(modelConfig), modelTag)
}}

// pushing pushes the manifest alone: the client knows from before that its config
// is there.
func pushOf(body string, warm func(ctx context.Context, r *Registry), tags ...oci.Tag) actorSpec {
	return actorSpec{name: "client", warm: warm, do: func(ctx context.Context, r *Registry) (acknowledged, error) {
		return push(ctx, r, body, tags...)
	}}
}

// directUpload is an upload whose data was put at its place before it ends, unless
// it was there: as that of a small blob in a bucket.
type directUpload struct {
	storage.Upload
	info storage.BlobInfo
}

func (directUpload) Close() error { return nil }

func (u directUpload) Commit(context.Context, oci.Digest) (storage.BlobInfo, error) {
	return u.info, nil
}

// smallUpload links content that PATCH has put, or found.
func smallUpload(ctx context.Context, r *Registry, repo oci.Repository, content string) error {
	since := r.Epoch()
	d := oci.FromBytes([]byte(content))
	info, err := r.blobs.Stat(ctx, d)
	if errors.Is(err, storage.ErrNotFound) {
		info, err = r.blobs.Put(ctx, []byte(content))
	}
	if err != nil {
		return err
	}
	_, err = r.CommitUpload(ctx, repo, directUpload{info: info}, d, since)
	return err
}

// copyUpload puts content over what is there, whatever that is: as the copy that
// ends a large upload in a bucket, and a commit on a disk.
type copyUpload struct {
	storage.Upload
	r       *Registry
	content string
}

func (copyUpload) Close() error { return nil }

func (u copyUpload) Commit(ctx context.Context, _ oci.Digest) (storage.BlobInfo, error) {
	return u.r.blobs.Put(ctx, []byte(u.content))
}

func copyCommit(ctx context.Context, r *Registry, repo oci.Repository, content string) error {
	_, err := r.CommitUpload(ctx, repo, copyUpload{r: r, content: content}, oci.FromBytes([]byte(content)), r.Epoch())
	return err
}

// uploadThenPush pushes an image whose config it uploads.
func uploadThenPush(up func(context.Context, *Registry, oci.Repository, string) error) actorSpec {
	return actorSpec{name: "client", do: func(ctx context.Context, r *Registry) (acknowledged, error) {
		if err := up(ctx, r, modelApp, modelConfig); err != nil {
			return acknowledged{}, err
		}
		return push(ctx, r, modelManifest(modelConfig), modelTag)
	}}
}

// mountThenPush pushes an image whose config another repository has.
var mountThenPush = actorSpec{name: "client", do: func(ctx context.Context, r *Registry) (acknowledged, error) {
	if err := r.MountBlob(ctx, modelOther, modelApp, configDigest); err != nil {
		return acknowledged{}, err
	}
	return push(ctx, r, modelManifest(modelConfig), modelTag)
}}

func warmBlob(ctx context.Context, r *Registry) {
	_ = r.Look(ctx)
	_, _ = r.StatBlob(ctx, modelApp, configDigest)
}

// untagged has an image that no tag points at, and that a run has found.
func untagged(t *testing.T, r *Registry) {
	ctx := context.Background()
	err := upload(ctx, r, modelApp, modelConfig)
	if err == nil {
		_, err = push(ctx, r, modelManifest(modelConfig))
	}
	if err != nil {
		t.Fatal(err)
	}
	garbageRun(t, r, CollectOptions{Untagged: true})
}

func warmManifest(ctx context.Context, r *Registry) {
	warmBlob(ctx, r)
	_, _ = r.Manifest(ctx, modelApp, oci.Reference{Digest: oci.FromBytes([]byte(modelManifest(modelConfig)))})
}

// tagged has a tag that was pushed long ago.
func tagged(t *testing.T, r *Registry) {
	ctx := context.Background()
	err := upload(ctx, r, modelApp, modelConfig)
	if err == nil {
		_, err = push(ctx, r, modelManifest(modelConfig), modelTag)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// retention deletes that tag: it has decided so before all begins.
var retention = actorSpec{name: "collector", do: func(ctx context.Context, r *Registry) (acknowledged, error) {
	seen := TagAsSeen{Repository: modelApp, Tag: modelTag, Digest: oci.FromBytes([]byte(modelManifest(modelConfig))), Pushed: modelStart.Add(-72 * time.Hour)}
	_, err := r.DeleteTagsAsSeen(ctx, []TagAsSeen{seen}, CollectOptions{Concurrency: 1})
	return acknowledged{}, err
}}

func models(bound int) []*model {
	gc := collectorOf("collector", CollectOptions{})
	second := collectorOf("collector 2", CollectOptions{})
	gcUntagged := collectorOf("collector", CollectOptions{Untagged: true})
	image := modelManifest(modelConfig)
	return []*model{
		{name: "HEAD then manifest", setup: blobGarbage(modelApp), actors: []actorSpec{headThenPush, gc}},
		{name: "HEAD then manifest, in a bucket", remember: true, expiring: true, losses: 1, ticks: 1, switches: bound, setup: blobGarbage(modelApp), actors: []actorSpec{headThenPush, gc}},
		{name: "a manifest on stale memory", remember: true, setup: blobGarbage(modelApp), actors: []actorSpec{pushOf(image, warmBlob, modelTag), gc}},
		{name: "upload again", setup: blobGarbage(modelApp), actors: []actorSpec{uploadThenPush(copyCommit), gc}},
		{name: "upload again, in a bucket", remember: true, expiring: true, losses: 1, ticks: 1, switches: bound, setup: blobGarbage(modelApp), actors: []actorSpec{uploadThenPush(copyCommit), gc}},
		{name: "small upload again, in a bucket", remember: true, expiring: true, losses: 1, ticks: 1, switches: bound, setup: blobGarbage(modelApp), actors: []actorSpec{uploadThenPush(smallUpload), gc}},
		{name: "mount", setup: blobGarbage(modelOther), actors: []actorSpec{mountThenPush, gc}},
		{name: "mount, in a bucket", remember: true, expiring: true, losses: 1, ticks: 1, switches: bound, setup: blobGarbage(modelOther), actors: []actorSpec{mountThenPush, gc}},
		{name: "an untagged manifest is tagged", setup: untagged, actors: []actorSpec{pushOf(image, nil, modelTag), gcUntagged}},
		{name: "an untagged manifest is tagged, from memory", remember: true, setup: untagged, actors: []actorSpec{pushOf(image, warmManifest, modelTag), gcUntagged}},
		{name: "an untagged manifest is tagged, by dates", remember: true, dates: true, expiring: true, ticks: 2, switches: bound, setup: untagged, actors: []actorSpec{pushOf(image, warmManifest, modelTag), gcUntagged}},
		{name: "an untagged manifest comes into an index", setup: untagged, actors: []actorSpec{pushOf(modelIndex(image), nil, modelTag), gcUntagged}},
		{name: "a tag is pushed that retention deletes", setup: tagged, actors: []actorSpec{pushOf(image, nil, modelTag), retention}},
		{name: "a tag is pushed that retention deletes, by dates", remember: true, dates: true, expiring: true, ticks: 2, switches: bound, setup: tagged, actors: []actorSpec{pushOf(image, warmManifest, modelTag), retention}},
		{name: "somebody dies, and another collector takes over", crashes: 1, switches: bound, setup: blobGarbage(modelApp), actors: []actorSpec{uploadThenPush(copyCommit), gc, second}},
		{name: "somebody dies, in a bucket", remember: true, expiring: true, losses: 1, ticks: 1, crashes: 1, switches: bound, setup: blobGarbage(modelApp), actors: []actorSpec{uploadThenPush(copyCommit), gc, second}},
		{name: "two collectors", switches: bound, setup: blobGarbage(modelApp), actors: []actorSpec{pushOf(image, nil, modelTag), gc, second}},
		{name: "two collectors, in a bucket", remember: true, expiring: true, losses: 1, ticks: 1, switches: bound, setup: blobGarbage(modelApp), actors: []actorSpec{pushOf(image, warmBlob, modelTag), gc, second}},
	}
}

// modelStates bounds an exploration: REGISTRY_MODEL_STATES, for those who have
// time.
func modelStates(t *testing.T) int {
	most := 10_000
	if testing.Short() {
		most = 2_500
	}
	if v := os.Getenv("REGISTRY_MODEL_STATES"); v != "" {
		var err error
		if most, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	return most
}

// TestModel: whatever the order of things, and whoever dies, no push that was
// acknowledged has lost something.
func TestModel(t *testing.T) {
	for _, m := range models(3) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			x := explore(t, m, modelStates(t))
			if x.broken != "" {
				t.Fatal(x.broken)
			}
			scope := "all"
			switch {
			case x.cut:
				scope = "the first"
			case m.switches > 0:
				scope = fmt.Sprintf("with at most %d switches all", m.switches)
			}
			t.Logf("%s: %s %d states; %d executions to the end, %d of them with an acknowledged push", m.name, scope, len(x.seen), x.ends, x.acked)
			if x.acked == 0 {
				t.Error("no push was ever acknowledged")
			}
		})
	}
}

// TestModelFindsOut: without a rule of the protocol, the model finds an execution
// in which an acknowledged push loses something.
func TestModelFindsOut(t *testing.T) {
	for name, c := range map[string]struct {
		rule  rule
		model string
	}{
		"pushes do not rescue":                       {skipRescue, "HEAD then manifest"},
		"the collector does not mark again":          {skipSecondMark, "HEAD then manifest"},
		"the collector does not change the epoch":    {skipEpoch, "a manifest on stale memory"},
		"pushes do not look after they have tagged":  {skipPost, "an untagged manifest is tagged, from memory"},
		"the collector does not await late requests": {skipExpiry, "upload again, in a bucket"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := models(3)
			i := slices.IndexFunc(all, func(m *model) bool { return m.name == c.model })
			m := *all[i]
			m.broken = c.rule
			x := explore(t, &m, 200_000)
			if x.broken == "" {
				t.Fatalf("%d states, and nothing was found", len(x.seen))
			}
			t.Logf("found after %d states: %s", len(x.seen), x.broken)
		})
	}
}
