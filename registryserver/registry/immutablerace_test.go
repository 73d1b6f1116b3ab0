package registry_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// Ensure that what an immutable tag leads to is there once its push is
// acknowledged, at whatever step of it somebody deletes the manifest or one of an
// index, and at whatever step of such a deletion it is pushed.
func TestImmutableTagAgainstDeletion(t *testing.T) {
	for _, remember := range []time.Duration{0, time.Minute} {
		for _, deleted := range []string{"image", "child", "inner index", "index"} {
			for _, hooked := range []string{"push", "deletion"} {
				t.Run(fmt.Sprintf("%s of %s, remembering for %v", hooked, deleted, remember), func(t *testing.T) {
					for n, more := 0, true; more; n++ {
						more = newDeletionRace(t, remember, deleted).at(hooked, n)
					}
				})
			}
		}
	}
}

// deletionRace is a push of one instance and a deletion of another.
type deletionRace struct {
	t        *testing.T
	plain    *registry.Registry
	faults   [2]*storagetest.Faults // of the pusher and the deleter
	push     func() error
	deletion func() error
}

func newDeletionRace(t *testing.T, remember time.Duration, deleted string) *deletionRace {
	s := storagetest.NewMemory()
	race := &deletionRace{t: t, plain: newRegistry(s)}
	create(t, race.plain, app, "v*")
	config := pushBlob(t, race.plain, app, oci.SHA256, "{}")
	image := imageOf(config, "")
	child := put(t, race.plain, app, image)
	inner := indexOf(child)
	body := indexOf(put(t, race.plain, app, inner))
	digests := map[string]oci.Digest{"image": child, "child": child, "inner index": oci.FromBytes([]byte(inner)), "index": oci.FromBytes([]byte(body))}
	if deleted == "image" {
		must(t, race.plain.DeleteManifest(t.Context(), app, digests["inner index"]))
		body = image
	} else {
		put(t, race.plain, app, body)
	}
	var instances [2]*registry.Registry
	for i := range instances {
		race.faults[i] = &storagetest.Faults{}
		instances[i] = registry.New(race.faults[i].Blobs(s.Blobs()), race.faults[i].Records(s.Records()), registry.Options{Remember: remember})
	}
	race.push = func() error {
		_, err := instances[0].PutManifest(t.Context(), registry.Push{Repository: app, Tags: []oci.Tag{ref(t, "v1").Tag}, ContentType: oci.SniffMediaType([]byte(body)), Body: []byte(body)})
		return err
	}
	race.deletion = func() error { return instances[1].DeleteManifest(t.Context(), app, digests[deleted]) }
	return race
}

// at does one of the two in the midst of the other, before its operation n. It
// reports whether there is such an operation.
func (race *deletionRace) at(hooked string, n int) bool {
	t, outer, inner, faults := race.t, race.push, race.deletion, race.faults[0]
	if hooked == "deletion" {
		outer, inner, faults = inner, outer, race.faults[1]
	}
	var innerErr error
	faults.On(func(c storagetest.Call) storagetest.Fault {
		if c.N == n {
			innerErr = inner()
		}
		return storagetest.None
	})
	outerErr := outer()
	more := faults.Calls() > n
	faults.On(nil)
	if !more {
		innerErr = inner()
	}
	pushErr, deleteErr := outerErr, innerErr
	if hooked == "deletion" {
		pushErr, deleteErr = innerErr, outerErr
	}
	if pushErr != nil && oci.ErrorCode(pushErr) != oci.CodeManifestBlobUnknown {
		t.Errorf("operation %d: the push: %v", n, pushErr)
	}
	if code := oci.ErrorCode(deleteErr); deleteErr != nil && code != oci.CodeDenied && code != oci.CodeManifestUnknown {
		t.Errorf("operation %d: the deletion: %v", n, deleteErr)
	}
	if pushErr != nil {
		return more
	}
	if _, err := race.plain.Check(t.Context(), registry.CheckOptions{}, func(f registry.Finding) {
		if f.Severity == registry.Broken {
			t.Errorf("operation %d: the push is acknowledged, the deletion: %v; found %+v", n, deleteErr, f)
		}
	}); err != nil {
		t.Error(err)
	}
	if _, err := race.plain.Manifest(t.Context(), app, ref(t, "v1")); err != nil {
		t.Errorf("operation %d: the push is acknowledged, the deletion: %v; v1: %v", n, deleteErr, err)
	}
	return more
}
