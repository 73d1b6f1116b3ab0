package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

func testUploads(t *testing.T, open func(t testing.TB) Store) {
	each(t, open, map[string]func(*testing.T, Store){
		"Whole":        testWholeUploads,
		"Resumed":      testResumedUpload,
		"OldState":     testOldState,
		"WrongDigest":  testWrongDigest,
		"SHA512":       testSHA512,
		"AlreadyThere": testCommitAlreadyThere,
		"Abort":        testAbort,
		"FailedReader": testFailedReader,
		"UnknownState": testUnknownStates,
		"Ended":        testEndedUploads,
		"Sweep":        testSweep,
		"Invisible":    testUploadsAreInvisible,
	})
}

// upload starts an upload and writes content to it.
func upload(t testing.TB, b storage.Blobs, content []byte) storage.Upload {
	t.Helper()
	up, err := b.StartUpload(context.Background())
	noErr(t, "start upload", err)
	write(t, up, content)
	return up
}

func write(t testing.TB, up storage.Upload, content []byte) {
	t.Helper()
	before := up.Size()
	n, err := up.Write(content)
	if err != nil || n != len(content) || up.Size() != before+int64(n) {
		t.Fatalf("write of %d bytes at %d = %d, %v, and then the upload has %d", len(content), before, n, err, up.Size())
	}
}

func resume(t testing.TB, b storage.Blobs, state []byte, size int64) storage.Upload {
	t.Helper()
	up, err := b.ResumeUpload(context.Background(), state)
	noErr(t, "resume upload", err)
	if up.Size() != size {
		t.Fatalf("a resumed upload has %d bytes, want %d", up.Size(), size)
	}
	return up
}

func commit(t testing.TB, up storage.Upload, content []byte, want oci.Digest) {
	t.Helper()
	info, err := up.Commit(context.Background(), want)
	noErr(t, "commit", err)
	if info.Digest != oci.FromBytes(content) || info.Size != int64(len(content)) || info.ModTime.IsZero() {
		t.Errorf("commit of %d bytes = %+v", len(content), info)
	}
}

// wantGone fails the test unless the upload cannot be resumed.
func wantGone(t testing.TB, s Store, state []byte) {
	t.Helper()
	for _, b := range []storage.Blobs{s.Blobs, s.Reopen(t).Blobs} {
		up, err := b.ResumeUpload(context.Background(), state)
		wantErr(t, "resume of an upload that is gone", err, storage.ErrUploadUnknown)
		if err == nil {
			_ = up.Close()
		}
	}
}

// largest is the size of the largest upload of the suite: several times what a
// store handles at once, and no multiple of it.
const largest = 20<<20 + 3

func testWholeUploads(t *testing.T, s Store) {
	for i, size := range []int{0, 1, 71, 4096, 1<<20 - 1, largest} {
		content := noise(uint64(10+i), size)
		up := upload(t, s.Blobs, content)
		wantNoBlob(t, s.Blobs, oci.FromBytes(content)) // not before it is committed
		state := up.State()
		commit(t, up, content, oci.FromBytes(content))
		wantBlob(t, s.Blobs, content)
		wantGone(t, s, state)

		content = noise(uint64(20+i), size)
		up = upload(t, s.Blobs, nil)
		n, err := up.ReadFrom(slowly(content, io.EOF))
		if err != nil || n != int64(size) || up.Size() != n {
			t.Fatalf("ReadFrom of %d bytes = %d, %v, and then the upload has %d", size, n, err, up.Size())
		}
		commit(t, up, content, oci.FromBytes(content))
		wantBlob(t, s.Blobs, content)
	}
	Fsck(t, s.Reopen(t).Blobs)
}

// testResumedUpload carries an upload through many hands: this process with
// what it remembers, and others that have what is stored alone.
func testResumedUpload(t *testing.T, s Store) {
	content := noise(30, largest)
	up := upload(t, s.Blobs, nil)
	at := 0
	for i, size := range []int{0, 1, 5 << 20, 4095, 3<<20 + 1, 1, 1, 6 << 20, len(content)} {
		noErr(t, "close", up.Close())
		noErr(t, "close again", up.Close())
		from := s
		if i%3 == 1 {
			from = s.Reopen(t)
		}
		up = resume(t, from.Blobs, up.State(), int64(at))
		piece := content[at:min(at+size, len(content))]
		if i%2 == 0 {
			write(t, up, piece)
		} else if n, err := up.ReadFrom(slowly(piece, io.EOF)); err != nil || n != int64(len(piece)) {
			t.Fatalf("ReadFrom = %d, %v", n, err)
		}
		at += len(piece)
	}
	noErr(t, "close", up.Close())
	up = resume(t, s.Reopen(t).Blobs, up.State(), int64(len(content)))
	commit(t, up, content, oci.FromBytes(content))
	wantBlob(t, s.Blobs, content)
	wantGone(t, s, up.State())
}

func testOldState(t *testing.T, s Store) {
	up := upload(t, s.Blobs, []byte("one "))
	noErr(t, "close", up.Close())
	old := up.State()
	up = resume(t, s.Blobs, old, 4)
	write(t, up, []byte("two "))
	noErr(t, "close", up.Close())
	// The first state is replayed: it goes on at the end, or it is refused; it
	// never goes back.
	up, err := s.Blobs.ResumeUpload(context.Background(), old)
	noErr(t, "resume from an old state", err)
	if s.Stateless {
		if up.Size() != 4 {
			t.Errorf("an upload that is nothing but its state has %d bytes, the state was of 4", up.Size())
		}
		commit(t, up, []byte("one "), oci.FromBytes([]byte("one ")))
		return
	}
	commit(t, up, []byte("one two "), oci.FromBytes([]byte("one two ")))
	wantGone(t, s, old)
}

func testWrongDigest(t *testing.T, s Store) {
	content := noise(40, 200_000)
	truth := oci.FromBytes(content)
	for _, want := range []oci.Digest{oci.FromBytes(content[1:]), oci.SHA512.Of(content[1:]), {}} {
		up := upload(t, s.Blobs, content)
		_, err := up.Commit(context.Background(), want)
		wantErr(t, "commit", err, storage.ErrDigestMismatch)
		wantGone(t, s, up.State())
		noErr(t, "close", up.Close())
		wantNoBlob(t, s.Blobs, truth)
		wantNoBlob(t, s.Blobs, want)
	}
	// Content that is there stays, whatever is claimed about other content.
	_, err := s.Blobs.Put(context.Background(), content)
	noErr(t, "put", err)
	_, err = upload(t, s.Blobs, content[1:]).Commit(context.Background(), truth)
	wantErr(t, "commit", err, storage.ErrDigestMismatch)
	_, err = upload(t, s.Blobs, content).Commit(context.Background(), oci.FromBytes(content[1:]))
	wantErr(t, "commit", err, storage.ErrDigestMismatch)
	wantBlob(t, s.Blobs, content)
	Fsck(t, s.Reopen(t).Blobs)
}

func testSHA512(t *testing.T, s Store) {
	content := noise(41, 9<<20)
	half := len(content) / 2
	up := upload(t, s.Blobs, content[:half])
	noErr(t, "close", up.Close())
	up = resume(t, s.Reopen(t).Blobs, up.State(), int64(half))
	write(t, up, content[half:])
	commit(t, up, content, oci.SHA512.Of(content))
	wantBlob(t, s.Blobs, content)
	wantNoBlob(t, s.Blobs, oci.SHA512.Of(content))
	commit(t, upload(t, s.Blobs, nil), nil, oci.SHA512.Of(nil))
	wantBlob(t, s.Blobs, nil)
	Fsck(t, s.Reopen(t).Blobs)
}

func testCommitAlreadyThere(t *testing.T, s Store) {
	content := noise(42, 100_000)
	for range 3 {
		up := upload(t, s.Blobs, content)
		commit(t, up, content, oci.FromBytes(content))
		wantGone(t, s, up.State())
		wantBlob(t, s.Blobs, content)
	}
	_, err := s.Blobs.Put(context.Background(), content)
	noErr(t, "put", err)
	if all, err := collect(s.Blobs.All(context.Background())); err != nil || len(all) != 1 {
		t.Errorf("All = %v, %v; want one blob", all, err)
	}
}

func testAbort(t *testing.T, s Store) {
	ctx := context.Background()
	content := []byte("content")
	up := upload(t, s.Blobs, content)
	noErr(t, "abort", up.Abort(ctx))
	noErr(t, "close", up.Close())
	wantGone(t, s, up.State())
	wantNoBlob(t, s.Blobs, oci.FromBytes(content))

	// Content that was committed by another is none of an abort's business.
	commit(t, upload(t, s.Blobs, content), content, oci.FromBytes(content))
	up = upload(t, s.Blobs, content)
	noErr(t, "close", up.Close())
	up = resume(t, s.Reopen(t).Blobs, up.State(), int64(len(content)))
	noErr(t, "abort", up.Abort(ctx))
	wantGone(t, s, up.State())
	wantBlob(t, s.Blobs, content)
}

func testFailedReader(t *testing.T, s Store) {
	broken := errors.New("connection reset")
	content := noise(43, 3<<20+17)
	for _, size := range []int{0, 1, 100_000, len(content) - 1} {
		up := upload(t, s.Blobs, nil)
		n, err := up.ReadFrom(slowly(content[:size], broken))
		wantErr(t, "ReadFrom", err, broken)
		if n != int64(size) || up.Size() != n {
			t.Errorf("when the reader fails after %d bytes, the upload has %d and %d were read", size, up.Size(), n)
		}
		noErr(t, "close", up.Close())
		up = resume(t, s.Blobs, up.State(), int64(size))
		_, err = up.ReadFrom(bytes.NewReader(content[size:]))
		noErr(t, "ReadFrom", err)
		commit(t, up, content, oci.FromBytes(content))
		wantBlob(t, s.Blobs, content)
	}
}

func testUnknownStates(t *testing.T, s Store) {
	up := upload(t, s.Blobs, []byte("content"))
	noErr(t, "close", up.Close())
	state := up.State()
	for _, bad := range [][]byte{nil, {}, []byte("x"), []byte(".."), []byte("../../x"), []byte("a/../b"), []byte("\x00"), state[:len(state)-1], append(bytes.Clone(state), 'x'),
		[]byte("00000000-0000-4000-8000-000000000000"), bytes.Repeat([]byte("a"), 10_000)} {
		up, err := s.Blobs.ResumeUpload(context.Background(), bad)
		wantErr(t, "resume from a made-up state", err, storage.ErrUploadUnknown)
		if err == nil {
			_ = up.Close()
		}
	}
	resume(t, s.Blobs, state, 7).Close()
}

// testEndedUploads: whatever is called after the end, nothing changes.
func testEndedUploads(t *testing.T, s Store) {
	ctx := context.Background()
	content := []byte("content")
	for name, end := range map[string]func(up storage.Upload) error{
		"Close":  storage.Upload.Close,
		"Abort":  func(up storage.Upload) error { return up.Abort(ctx) },
		"Commit": func(up storage.Upload) error { _, err := up.Commit(ctx, oci.FromBytes(content)); return err },
	} {
		up := upload(t, s.Blobs, content)
		noErr(t, name, end(up))
		if n, err := up.Write([]byte("more")); err == nil || n != 0 {
			t.Errorf("Write after %s = %d, %v", name, n, err)
		}
		if n, err := up.ReadFrom(bytes.NewReader([]byte("more"))); err == nil || n != 0 {
			t.Errorf("ReadFrom after %s = %d, %v", name, n, err)
		}
		if info, err := up.Commit(ctx, oci.FromBytes(content)); err == nil {
			t.Errorf("Commit after %s = %v", name, info)
		}
		_ = up.Abort(ctx)
		noErr(t, "close after "+name, up.Close())
		if name == "Close" {
			noErr(t, "close", resume(t, s.Blobs, up.State(), int64(len(content))).Close())
		} else {
			wantGone(t, s, up.State())
		}
	}
	wantBlob(t, s.Blobs, content)
	Fsck(t, s.Blobs)
}

func testSweep(t *testing.T, s Store) {
	ctx := context.Background()
	var states [][]byte
	size := func(i int) int { return i * 1000 }
	if s.Stateless {
		size = func(i int) int { return largest + i*1000 }
	}
	for i := range 5 {
		up := upload(t, s.Blobs, noise(uint64(i), size(i)))
		noErr(t, "close", up.Close())
		states = append(states, up.State())
	}
	_, err := s.Blobs.Put(ctx, []byte("blob"))
	noErr(t, "put", err)
	if n, err := s.Blobs.SweepUploads(ctx, time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("a sweep of what is old = %d, %v; want none", n, err)
	}
	for i, state := range states {
		noErr(t, "close", resume(t, s.Blobs, state, int64(size(i))).Close())
	}
	if n, err := s.Reopen(t).Blobs.SweepUploads(ctx, time.Now().Add(time.Hour)); n != len(states) || err != nil {
		t.Errorf("a sweep of everything = %d, %v; want %d", n, err, len(states))
	}
	for _, state := range states {
		wantGone(t, s, state)
	}
	wantBlob(t, s.Blobs, []byte("blob"))
}

// testUploadsAreInvisible: what is on its way in shows nowhere.
func testUploadsAreInvisible(t *testing.T, s Store) {
	ctx := context.Background()
	up := upload(t, s.Blobs, noise(50, 1<<20))
	defer up.Close()
	if all, err := collect(s.Blobs.All(ctx)); err != nil || len(all) != 0 {
		t.Errorf("All = %v, %v; want nothing", all, err)
	}
	if keys, err := collect(s.Records.List(ctx, "", "")); err != nil || len(keys) != 0 {
		t.Errorf("List = %v, %v; want nothing", keys, err)
	}
	if names, err := collect(s.Records.Children(ctx, storage.KitRoot, "")); err != nil || len(names) != 0 {
		t.Errorf("Children = %v, %v; want nothing", names, err)
	}
}
