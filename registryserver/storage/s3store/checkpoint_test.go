package s3store_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

func latest(t testing.TB, b storage.Blobs, state []byte) ([]byte, error) {
	t.Helper()
	states, ok := storage.As[storage.LatestStates](b)
	if !ok {
		t.Fatal("the store keeps no states")
	}
	return states.LatestState(t.Context(), state)
}

// TestCheckpoint: when a process dies, another goes on with what it had, less 64
// MiB, for a client that knows nothing but where the upload began.
func TestCheckpoint(t *testing.T) {
	s := open(t, config(t))
	all := content(11, 150<<20)
	began := begin(t, s.Blobs)
	up, err := s.Blobs.ResumeUpload(t.Context(), began)
	must(t, err)
	_, err = up.ReadFrom(bytes.NewReader(all)) // and the process dies
	must(t, err)

	other := s.Reopen(t).Blobs
	state, err := latest(t, other, began)
	must(t, err)
	up, err = other.ResumeUpload(t.Context(), state)
	must(t, err)
	at := up.Size()
	if lost := int64(len(all)) - at; lost > 64<<20 {
		t.Errorf("%d bytes have to be sent again", lost)
	}
	must(t, up.Close())
	state = add(t, other, up.State(), all[at:])
	if again, err := latest(t, other, state); err != nil || !bytes.Equal(again, state) {
		t.Errorf("a checkpoint is newer than what came after it: %v", err)
	}
	must(t, finish(t, other, state, all))
	storagetest.Fsck(t, s.Blobs)
	if n, err := s.Blobs.SweepUploads(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d uploads were swept after the commit, %v", n, err)
	}
}

// TestLatestOfNothing: without a checkpoint a state is its own latest, and one
// that was aborted has none, on whatever server.
func TestLatestOfNothing(t *testing.T) {
	s := open(t, config(t))
	for name, state := range map[string][]byte{"nothing": begin(t, s.Blobs), "little": add(t, s.Blobs, begin(t, s.Blobs), []byte("little"))} {
		if got, err := latest(t, s.Blobs, state); err != nil || !bytes.Equal(got, state) {
			t.Errorf("%s: %x, %v", name, got, err)
		}
		up, err := s.Blobs.ResumeUpload(t.Context(), state)
		must(t, err)
		must(t, up.Abort(t.Context()))
		if _, err := latest(t, s.Reopen(t).Blobs, state); !errors.Is(err, storage.ErrUploadUnknown) {
			t.Errorf("%s, aborted: %v", name, err)
		}
	}
	if _, err := latest(t, s.Blobs, []byte("made up")); !errors.Is(err, storage.ErrUploadUnknown) {
		t.Errorf("a state that is none: %v", err)
	}
}
