package registry_test

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// cluster is instances on one store that remember what they have seen, with a
// clock of their own. The first one's operations are counted, and can be made to
// fail or to wait.
type cluster struct {
	first, second *registry.Registry
	faults        *storagetest.Faults
	clock         time.Time
}

const lifetime = time.Minute

func newCluster(t *testing.T) *cluster {
	t.Helper()
	s := storagetest.NewMemory()
	c := &cluster{faults: &storagetest.Faults{}, clock: time.Now()}
	o := registry.Options{Remember: lifetime, Now: func() time.Time { return c.clock }}
	c.first = registry.New(c.faults.Blobs(s.Blobs()), c.faults.Records(s.Records()), o)
	c.second = registry.New(s.Blobs(), s.Records(), o)
	for _, r := range []*registry.Registry{c.first, c.second} {
		put(t, r, other, imageOf(pushBlob(t, r, other, oci.SHA256, "{}"), "")) // looks at the epoch
	}
	return c
}

func (c *cluster) push(t *testing.T, body string) error {
	t.Helper()
	_, err := c.first.PutManifest(t.Context(), registry.Push{
		Repository: app, ContentType: oci.SniffMediaType([]byte(body)), Body: []byte(body), Tags: []oci.Tag{ref(t, "v1").Tag},
	})
	return err
}

// counts returns how many operations of the first instance's store it takes to
// do something.
func (c *cluster) counts(do func()) int {
	c.faults.On(nil)
	do()
	return c.faults.Calls()
}

// Ensure that what was pushed or pulled before takes no question to the store,
// but for the tag and the epoch.
func TestRemembered(t *testing.T) {
	c := newCluster(t)
	ctx := t.Context()
	config := pushBlob(t, c.first, app, oci.SHA256, "config")
	image := put(t, c.first, app, imageOf(config, ""), "v1")
	for _, r := range []struct {
		name string
		want int
		do   func() error
	}{
		{"blob", 0, func() error { _, err := c.first.StatBlob(ctx, app, config); return err }},
		{"manifest by digest", 0, func() error { _, err := c.first.Manifest(ctx, app, oci.Reference{Digest: image}); return err }},
		{"manifest by tag", 1, func() error { _, err := c.first.Manifest(ctx, app, ref(t, "v1")); return err }},
		{"mount", 1, func() error { return c.first.MountBlob(ctx, app, other, config) }},
		// The tag is written again; and as this store tells no time, the epoch is read twice.
		{"the same push again", 4, func() error { return c.push(t, imageOf(config, "")) }},
	} {
		var err error
		if n := c.counts(func() { err = r.do() }); n != r.want || err != nil {
			t.Errorf("%s: %d operations, %v; want %d", r.name, n, err, r.want)
		}
	}
	_, err := c.first.StatBlob(ctx, ref2(t, "elsewhere"), config)
	wantCode(t, "a remembered blob in another repository", err, oci.CodeBlobUnknown)
}

func ref2(t *testing.T, name string) oci.Repository {
	t.Helper()
	repo, err := oci.ParseRepository(name)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

// Ensure that no push succeeds on what another instance deleted, at whatever
// step of the push that happens before its last look.
func TestPushAfterDeletionElsewhere(t *testing.T) {
	for _, when := range []string{"before", "Records.Get", "Blobs.Put", "Records.Put"} {
		t.Run(when, func(t *testing.T) {
			c := newCluster(t)
			config := pushBlob(t, c.first, app, oci.SHA256, "config")
			remove := func() { must(t, c.second.DeleteBlob(t.Context(), app, config)) }
			if when == "before" {
				remove()
			} else {
				done := false
				c.faults.On(func(call storagetest.Call) storagetest.Fault {
					if call.Op == when && !done && !strings.HasSuffix(call.Key, "/epoch") {
						done = true
						remove()
					}
					return storagetest.None
				})
			}
			wantCode(t, "push", c.push(t, imageOf(config, "")), oci.CodeManifestBlobUnknown)
			_, err := c.first.ResolveTag(t.Context(), app, ref(t, "v1").Tag)
			wantCode(t, "its tag", err, oci.CodeManifestUnknown)
		})
	}
}

// Ensure that what is seen while it is being deleted is not relied on once it is
// gone: also if the deletion has not come to its end.
func TestPushDuringDeletionElsewhere(t *testing.T) {
	c := newCluster(t)
	config := pushBlob(t, c.second, app, oci.SHA256, "config")
	c.faults.On(func(call storagetest.Call) storagetest.Fault {
		if call.Op != "Records.Delete" {
			return storagetest.None
		}
		// The second instance looks, and remembers, after the deletion has begun.
		put(t, c.second, app, imageOf(config, ""), "during")
		return storagetest.Applied // done, but the answer was lost: nobody ends it
	})
	if err := c.first.DeleteBlob(t.Context(), app, config); err == nil {
		t.Fatal("the deletion succeeded")
	}
	c.faults.On(nil)
	body := imageOf(config, `,"annotations":{"n":"2"}`)
	_, err := c.second.PutManifest(t.Context(), registry.Push{Repository: app, ContentType: oci.MediaTypeImageManifest, Body: []byte(body)})
	wantCode(t, "push", err, oci.CodeManifestBlobUnknown)
}

// Ensure that an instance forgets at once what it deleted itself, and what
// others deleted after the lifetime, also when the epoch cannot be read.
func TestForgotten(t *testing.T) {
	c := newCluster(t)
	ctx := t.Context()
	mine, theirs := pushBlob(t, c.first, app, oci.SHA256, "mine"), pushBlob(t, c.first, app, oci.SHA256, "theirs")
	must(t, c.first.DeleteBlob(ctx, app, mine))
	_, err := c.first.StatBlob(ctx, app, mine)
	wantCode(t, "what this instance deleted", err, oci.CodeBlobUnknown)

	if _, err := c.first.StatBlob(ctx, app, theirs); err != nil {
		t.Fatal(err)
	}
	must(t, c.second.DeleteBlob(ctx, app, theirs))
	if _, err := c.first.StatBlob(ctx, app, theirs); err != nil {
		t.Errorf("within the lifetime: %v", err)
	}
	c.clock = c.clock.Add(lifetime + time.Second)
	_, err = c.first.StatBlob(ctx, app, theirs)
	wantCode(t, "what another deleted, after the lifetime", err, oci.CodeBlobUnknown)
}

// Ensure that many who ask for the same at once are one question to the store,
// and that one who is told of an absence which began before a push asks again.
func TestAskedTogether(t *testing.T) { synctest.Test(t, testAskedTogether) }

// testAskedTogether sleeps until nobody else goes on: its time is not real.
func testAskedTogether(t *testing.T) {
	c := newCluster(t)
	config := pushBlob(t, c.second, app, oci.SHA256, "config")
	reached, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	block := func(call storagetest.Call) storagetest.Fault {
		if call.Op == "Records.Get" {
			once.Do(func() { close(reached) })
			<-goOn
		}
		return storagetest.None
	}
	c.faults.On(block)
	var readers sync.WaitGroup
	for range 50 {
		readers.Go(func() {
			if _, err := c.first.StatBlob(t.Context(), app, config); err != nil {
				t.Error(err)
			}
		})
	}
	<-reached
	time.Sleep(100 * time.Millisecond) // the others come while the first waits
	close(goOn)
	readers.Wait()
	if n := c.faults.Calls(); n > 10 {
		t.Errorf("50 questions at once are %d operations of the store", n)
	}

	// A read that saw nothing is still on its way when the push is acknowledged.
	late := oci.FromBytes([]byte("late"))
	reached, goOn, once = make(chan struct{}), make(chan struct{}), sync.Once{}
	answered := make(chan error, 1)
	c.faults.On(func(call storagetest.Call) storagetest.Fault {
		if call.Op == "Records.Get" && call.N == 0 {
			close(reached)
			<-goOn
			return storagetest.NotApplied // as if it had seen nothing
		}
		return storagetest.None
	})
	go func() { _, _ = c.first.StatBlob(t.Context(), app, late) }()
	<-reached
	pushBlob(t, c.second, app, oci.SHA256, "late")
	go func() {
		_, err := c.first.StatBlob(t.Context(), app, late)
		answered <- err
	}()
	time.Sleep(100 * time.Millisecond)
	close(goOn)
	if err := <-answered; err != nil {
		t.Errorf("a blob whose push was acknowledged before it was asked for: %v", err)
	}
}
