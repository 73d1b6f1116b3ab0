//go:build unix

package fsstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

func startUpload(t testing.TB, s *Store, content string) *upload {
	t.Helper()
	up, err := s.Blobs().StartUpload(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	return up.(*upload)
}

func resumeUpload(t testing.TB, s *Store, state []byte) *upload {
	t.Helper()
	up, err := s.Blobs().ResumeUpload(context.Background(), state)
	if err != nil {
		t.Fatal(err)
	}
	return up.(*upload)
}

// TestBusy: an upload has one holder, within a process and among processes; who
// comes second waits for a while.
func TestBusy(t *testing.T) {
	root := t.TempDir()
	s, other := openStore(t, root), openStore(t, root)
	up := startUpload(t, s, "hello")
	for _, store := range []*Store{s, other} {
		store.busyWait = 30 * time.Millisecond
		start := time.Now()
		if _, err := store.Blobs().ResumeUpload(context.Background(), up.State()); !errors.Is(err, storage.ErrUploadBusy) {
			t.Errorf("resume: %v", err)
		}
		if waited := time.Since(start); waited < 10*time.Millisecond {
			t.Errorf("gave up after %v", waited)
		}
		store.busyWait = time.Hour
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		_, err := store.Blobs().ResumeUpload(ctx, up.State())
		cancel()
		if !errors.Is(err, storage.ErrUploadBusy) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("resume: %v", err)
		}
	}
	for name, end := range map[string]func(up *upload) error{
		"close": (*upload).Close,
		"abort": func(up *upload) error { return up.Abort(context.Background()) },
		"commit": func(up *upload) error {
			_, err := up.Commit(context.Background(), oci.FromBytes([]byte("hello")))
			return err
		},
	} {
		up := startUpload(t, s, "hello")
		resumed := make(chan error)
		go func() {
			up, err := other.Blobs().ResumeUpload(context.Background(), up.State())
			if err == nil {
				err = up.Close()
			}
			resumed <- err
		}()
		time.Sleep(10 * time.Millisecond)
		if err := end(up); err != nil {
			t.Error(err)
		}
		err := <-resumed
		if name == "close" && err != nil || name != "close" && !errors.Is(err, storage.ErrUploadUnknown) {
			t.Errorf("resume that had to wait for a %s: %v", name, err)
		}
	}
	if err := up.Close(); err != nil {
		t.Error(err)
	}
	wantTidy(t, root)
	storagetest.Fsck(t, s.Blobs())
}

// TestHashIsRemembered: within a process nothing is hashed twice; another
// process trusts nothing but the file.
func TestHashIsRemembered(t *testing.T) {
	root := t.TempDir()
	s, other := openStore(t, root), openStore(t, root)
	up := startUpload(t, s, "one ")
	step := func(store *Store, hashed, size int64, more string) {
		t.Helper()
		if err := up.Close(); err != nil {
			t.Fatal(err)
		}
		up = resumeUpload(t, store, up.State())
		if up.sum.n != hashed || up.size != size {
			t.Errorf("resumed with %d of %d bytes hashed, want %d of %d", up.sum.n, up.size, hashed, size)
		}
		if _, err := up.Write([]byte(more)); err != nil {
			t.Fatal(err)
		}
	}
	step(s, 4, 4, "two ")
	step(other, 0, 8, "three ")
	step(s, 8, 14, "four ") // it knows the beginning
	step(s, 8, 19, "five")
	content := "one two three four five"
	if _, err := up.Commit(context.Background(), oci.FromBytes([]byte(content))); err != nil {
		t.Error(err)
	}
	storagetest.Fsck(t, s.Blobs())
	if n := s.hashes.Len(); n != 0 {
		t.Errorf("%d hashes are kept of uploads that have ended", n)
	}
}

// TestBytesLostInACrash: after a crash of the machine a file may be shorter, or
// have zeros where bytes were not synced. A new process sees that; a client
// that goes on regardless is refused.
func TestBytesLostInACrash(t *testing.T) {
	ctx := context.Background()
	for name, crash := range map[string]func(file string) error{
		"zeros":   func(file string) error { return os.WriteFile(file, append([]byte("hello"), make([]byte, 6)...), 0o644) },
		"shorter": func(file string) error { return os.Truncate(file, 5) },
		"empty":   func(file string) error { return os.Truncate(file, 0) },
	} {
		root := t.TempDir()
		s := openStore(t, root)
		up := startUpload(t, s, "hello world")
		if err := up.Close(); err != nil {
			t.Fatal(err)
		}
		if err := crash(root + "/" + dataName(up.id)); err != nil {
			t.Fatal(err)
		}
		up = resumeUpload(t, openStore(t, root), up.State())
		content := "hello world, again"
		if _, err := up.Write([]byte(content[11:])); err != nil {
			t.Fatal(err)
		}
		if _, err := up.Commit(ctx, oci.FromBytes([]byte(content))); !errors.Is(err, storage.ErrDigestMismatch) {
			t.Errorf("%s: commit: %v", name, err)
		}
		storagetest.Fsck(t, s.Blobs())
		wantTidy(t, root)
	}
}

// TestFailingFile: when the system fails, Size is truthful and nothing becomes
// visible.
func TestFailingFile(t *testing.T) {
	ctx := context.Background()
	root := t.TempDir()
	s := openStore(t, root)
	readOnly := func(up *upload) {
		f, err := os.Open(up.f.Name())
		if err != nil {
			t.Fatal(err)
		}
		up.f = f
	}
	up := startUpload(t, s, "hello")
	whole := up.f
	readOnly(up)
	if n, err := up.ReadFrom(strings.NewReader(" world")); err == nil || n != 0 || up.Size() != 5 {
		t.Errorf("ReadFrom = %d, %v, and then there are %d bytes", n, err, up.Size())
	}
	_ = up.f.Close()
	up.f = whole
	if _, err := up.Write([]byte(" world")); err != nil {
		t.Error(err)
	}
	if _, err := up.Commit(ctx, oci.FromBytes([]byte("hello world"))); err != nil {
		t.Error(err)
	}

	up = startUpload(t, s, "lost")
	_ = up.f.Close() // so that the sync fails
	if _, err := up.Commit(ctx, oci.FromBytes([]byte("lost"))); err == nil {
		t.Error("a commit that could not be synced succeeds")
	}
	if _, err := s.Blobs().ResumeUpload(ctx, up.State()); !errors.Is(err, storage.ErrUploadUnknown) {
		t.Errorf("resume of an upload that could not be synced: %v", err)
	}
	if _, err := s.Blobs().Stat(ctx, oci.FromBytes([]byte("lost"))); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("stat: %v", err)
	}

	// The blob's folder cannot be made: the upload stays.
	content := []byte("stays")
	d := oci.FromBytes(content)
	writeFile(t, root+"/"+storage.DistributionRoot+"/blobs/sha256/"+d.Hex()[:2], "in the way")
	up = startUpload(t, s, "stays")
	if _, err := up.Commit(ctx, d); err == nil || errors.Is(err, storage.ErrDigestMismatch) {
		t.Errorf("commit: %v", err)
	}
	if err := os.Remove(root + "/" + storage.DistributionRoot + "/blobs/sha256/" + d.Hex()[:2]); err != nil {
		t.Fatal(err)
	}
	if _, err := resumeUpload(t, s, up.State()).Commit(ctx, d); err != nil {
		t.Error(err)
	}
	storagetest.Fsck(t, s.Blobs())
	wantTidy(t, root)
}

// TestCancelledVerification: what was hashed before a commit was cancelled is
// not hashed again.
func TestCancelledVerification(t *testing.T) {
	root := t.TempDir()
	content := bytes.Repeat([]byte("0123456789abcdef"), 4*bufferSize/16)
	up := startUpload(t, openStore(t, root), string(content))
	if err := up.Close(); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, root)
	up = resumeUpload(t, s, up.State())
	ctx := &endsAfter{Context: context.Background(), n: 2}
	if _, err := up.Commit(ctx, oci.FromBytes(content)); !errors.Is(err, context.Canceled) {
		t.Errorf("commit: %v", err)
	}
	up = resumeUpload(t, s, up.State())
	if up.sum.n != 2*bufferSize {
		t.Errorf("%d bytes are remembered", up.sum.n)
	}
	if _, err := up.Commit(context.Background(), oci.FromBytes(content)); err != nil {
		t.Error(err)
	}
	storagetest.Fsck(t, s.Blobs())
}

// endsAfter is a context that ends after it was asked n times.
type endsAfter struct {
	context.Context
	n int
}

func (c *endsAfter) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

func TestSweep(t *testing.T) {
	ctx := context.Background()
	root := t.TempDir()
	s, other := openStore(t, root), openStore(t, root)
	held := startUpload(t, s, "held")
	idle := startUpload(t, s, "idle")
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	killed := root + "/" + uploadsDir + "/" + uuid.NewString() // no file in it
	if err := os.Mkdir(killed, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, root+"/"+uploadsDir+"/foreign/data", "not ours")
	writeFile(t, root+"/"+tmpDir+"/old", "left by who was killed")
	writeFile(t, root+"/"+tmpDir+"/young", "being written")
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(root+"/"+tmpDir+"/old", old, old); err != nil {
		t.Fatal(err)
	}

	if n, err := other.Blobs().SweepUploads(ctx, time.Now().Add(-3*time.Hour)); n != 0 || err != nil {
		t.Errorf("sweep = %d, %v; want none", n, err)
	}
	if n, err := other.Blobs().SweepUploads(ctx, time.Now().Add(time.Hour)); n != 1 || err != nil {
		t.Errorf("sweep = %d, %v; want 1", n, err)
	}
	wantFiles(t, root, "docker/registry/v2/", tmpDir+"/young", dataName(held.id), uploadsDir+"/foreign/data")
	if _, err := held.Commit(ctx, oci.FromBytes([]byte("held"))); err != nil {
		t.Errorf("commit of an upload that was held during a sweep: %v", err)
	}
	if _, err := s.Blobs().ResumeUpload(ctx, idle.State()); !errors.Is(err, storage.ErrUploadUnknown) {
		t.Errorf("resume of what was swept: %v", err)
	}
	if _, err := os.Stat(killed); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of an upload that never began is still there")
	}
}

// TestSweepAgainstStart: a sweep of everything never takes an upload out of
// the hands of who starts it.
func TestSweepAgainstStart(t *testing.T) {
	ctx := context.Background()
	root := t.TempDir()
	s, other := openStore(t, root), openStore(t, root)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			content := fmt.Sprintf("content %d", i)
			up, err := s.Blobs().StartUpload(ctx)
			if err != nil {
				t.Error(err)
				continue
			}
			if _, err := up.Write([]byte(content)); err != nil {
				t.Error(err)
			}
			if _, err := up.Commit(ctx, oci.FromBytes([]byte(content))); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		select {
		case <-done:
			wantTidy(t, root)
			return
		default:
			if _, err := other.Blobs().SweepUploads(ctx, time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
		}
	}
}

// FuzzResumeState: a state is an id and nothing else.
func FuzzResumeState(f *testing.F) {
	root := f.TempDir()
	s, err := New(root)
	if err != nil {
		f.Fatal(err)
	}
	s.busyWait = time.Nanosecond
	writeFile(f, root+"/outside/data", "outside")
	up := startUpload(f, s, "hello")
	if err := up.Close(); err != nil {
		f.Fatal(err)
	}
	id := up.id
	for _, seed := range []string{id, "", ".", "..", "../../../outside", id + "/../" + id, "/" + id, id + "\x00", strings.ToUpper(id), "{" + id + "}", "urn:uuid:" + id,
		strings.ReplaceAll(id, "-", ""), uuid.Nil.String()} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, state []byte) {
		up, err := s.Blobs().ResumeUpload(context.Background(), state)
		if err == nil {
			if string(state) != id || up.Size() != 5 || !slices.Equal(up.State(), state) {
				t.Errorf("the state %q resumes an upload of %d bytes", state, up.Size())
			}
			if err := up.Close(); err != nil {
				t.Error(err)
			}
			return
		}
		if !errors.Is(err, storage.ErrUploadUnknown) {
			t.Errorf("the state %q: %v", state, err)
		}
		if parsed, ok := parseState(state); ok && path.Base(parsed) != string(state) {
			t.Errorf("the state %q names %q", state, parsed)
		}
	})
}
