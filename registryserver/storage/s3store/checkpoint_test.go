package s3store_test

import (
	"bytes"
	"errors"
	"net/http"
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

// TestCopyBrokenOff: when the parts were completed and the copy failed, or its
// server died, the same request on another server ends the upload.
func TestCopyBrokenOff(t *testing.T) {
	conf := config(t)
	c := count(t, &conf)
	s := open(t, conf)
	all := content(12, 17<<20)
	state := add(t, s.Blobs, begin(t, s.Blobs), all)
	c.failing(func(r *http.Request) bool { return r.Header.Get("X-Amz-Copy-Source") != "" })
	if err := finish(t, s.Blobs, state, all); err == nil {
		t.Fatal("the copy was refused, and nobody said so")
	}
	c.failing(nil)
	other := s.Reopen(t).Blobs
	up, err := other.ResumeUpload(t.Context(), state)
	must(t, err)
	if _, err := up.Write([]byte("more")); !errors.Is(err, storage.ErrUploadUnknown) {
		t.Errorf("more bytes after the end: %v", err)
	}
	must(t, up.Close())
	if err := finish(t, other, state, all[1:]); err == nil {
		t.Error("it ended with a digest that it does not have")
	}
	must(t, finish(t, other, state, all))
	if err := finish(t, s.Reopen(t).Blobs, state, all); !errors.Is(err, storage.ErrUploadUnknown) {
		t.Errorf("ended again: %v", err)
	}
	storagetest.Fsck(t, s.Blobs)
	if n, err := s.Blobs.SweepUploads(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("%d uploads were swept, %v", n, err)
	}
}

// TestCompletedByAnother: what a fork of the upload completed is not taken for
// what this lineage hashed, although it has the same size.
func TestCompletedByAnother(t *testing.T) {
	conf := config(t)
	c := count(t, &conf)
	s := open(t, conf)
	first, a, b := content(1, 10<<20), content(2, 7<<20), content(3, 7<<20)
	state := add(t, s.Blobs, begin(t, s.Blobs), append(bytes.Clone(first), 1))
	stateA := add(t, s.Blobs, state, a)
	stateB := add(t, s.Reopen(t).Blobs, state, b)
	c.failing(func(r *http.Request) bool { return r.Header.Get("X-Amz-Copy-Source") != "" })
	allA := append(append(bytes.Clone(first), 1), a...)
	allB := append(append(bytes.Clone(first), 1), b...)
	if err := finish(t, s.Blobs, stateB, allB); err == nil {
		t.Fatal("the copy was refused, and nobody said so")
	}
	c.failing(nil)
	if err := finish(t, s.Reopen(t).Blobs, stateA, allA); !errors.Is(err, storage.ErrUploadUnknown) {
		t.Errorf("the other lineage's bytes: %v", err)
	}
	must(t, finish(t, s.Reopen(t).Blobs, stateB, allB))
	storagetest.Fsck(t, s.Blobs)
}
