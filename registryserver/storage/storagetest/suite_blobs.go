package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

func testBlobs(t *testing.T, open func(t testing.TB) Store) {
	each(t, open, map[string]func(*testing.T, Store){
		"Put":       testPut,
		"Open":      testOpen,
		"Absent":    testAbsentBlobs,
		"Delete":    testDeleteBlob,
		"All":       testAllBlobs,
		"Cancelled": testCancelledBlobs,
	})
}

func testPut(t *testing.T, s Store) {
	ctx := context.Background()
	contents := [][]byte{{}, []byte("a"), noise(1, 4096), noise(2, 1<<20+1)}
	for _, content := range contents {
		before := time.Now().Add(-time.Minute)
		for range 2 { // repeating it is fine
			info, err := s.Blobs.Put(ctx, content)
			noErr(t, "put", err)
			if info.Digest != oci.FromBytes(content) || info.Size != int64(len(content)) || info.ModTime.Before(before) {
				t.Errorf("put of %d bytes = %+v", len(content), info)
			}
			wantBlob(t, s.Blobs, content)
		}
	}
	mine := []byte("the store keeps a copy")
	_, err := s.Blobs.Put(ctx, mine)
	noErr(t, "put", err)
	mine[0] = 'T'
	Fsck(t, s.Blobs)
	again := s.Reopen(t)
	for _, content := range contents {
		wantBlob(t, again.Blobs, content)
	}
	Fsck(t, again.Blobs)
}

func testOpen(t *testing.T, s Store) {
	ctx := context.Background()
	content := noise(3, 100_000)
	info, err := s.Blobs.Put(ctx, content)
	noErr(t, "put", err)
	for _, offset := range []int64{0, 1, 4095, 65536, 99_999, 100_000, 100_001, 1 << 40} {
		got, err := readBlob(s.Blobs, info.Digest, offset)
		noErr(t, "read", err)
		if want := content[min(offset, int64(len(content))):]; !bytes.Equal(got, want) {
			t.Errorf("from offset %d come %d bytes, want %d", offset, len(got), len(want))
		}
	}
	if r, err := s.Blobs.Open(ctx, info.Digest, -1); err == nil {
		t.Errorf("a negative offset opens")
		_ = r.Close()
	}
	r, err := s.Blobs.Open(ctx, info.Digest, 5)
	noErr(t, "open", err)
	defer r.Close()
	seeker, ok := r.(io.Seeker)
	if !ok {
		return
	}
	for _, step := range []struct {
		offset   int64
		whence   int
		position int64
	}{{0, io.SeekCurrent, 5}, {0, io.SeekEnd, 100_000}, {2, io.SeekStart, 2}, {10, io.SeekCurrent, 12}, {-1, io.SeekEnd, 99_999}} {
		at, err := seeker.Seek(step.offset, step.whence)
		if err != nil || at != step.position {
			t.Errorf("Seek(%d, %d) = %d, %v; want %d: a seeker spans the whole blob", step.offset, step.whence, at, err, step.position)
		}
	}
	last, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(last, content[99_999:]) {
		t.Errorf("after a seek to the last byte: %x, %v", last, err)
	}
}

func testAbsentBlobs(t *testing.T, s Store) {
	ctx := context.Background()
	content := []byte("content")
	wantNoBlob(t, s.Blobs, oci.FromBytes(content))
	noErr(t, "delete what is absent", s.Blobs.Delete(ctx, oci.FromBytes(content)))
	_, err := s.Blobs.Put(ctx, content)
	noErr(t, "put", err)
	for _, d := range []oci.Digest{oci.SHA512.Of(content), {}} { // neither names a blob
		wantNoBlob(t, s.Blobs, d)
		noErr(t, "delete of what no blob is named by", s.Blobs.Delete(ctx, d))
	}
	wantBlob(t, s.Blobs, content)
	if all, err := collect(s.Reopen(t).Blobs.All(ctx)); err != nil || len(all) != 1 {
		t.Errorf("All = %v, %v; want one blob", all, err)
	}
}

func testDeleteBlob(t *testing.T, s Store) {
	ctx := context.Background()
	content, neighbour := noise(4, 300_000), []byte("neighbour")
	info, err := s.Blobs.Put(ctx, content)
	noErr(t, "put", err)
	_, err = s.Blobs.Put(ctx, neighbour)
	noErr(t, "put", err)
	r, err := s.Blobs.Open(ctx, info.Digest, 0)
	noErr(t, "open", err)
	defer r.Close()
	head := make([]byte, 1000)
	_, err = io.ReadFull(r, head)
	noErr(t, "read", err)

	noErr(t, "delete", s.Blobs.Delete(ctx, info.Digest))
	wantNoBlob(t, s.Blobs, info.Digest)
	noErr(t, "delete again", s.Blobs.Delete(ctx, info.Digest))
	rest, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(append(head, rest...), content) {
		t.Errorf("a reader saw other bytes after the blob was deleted")
	}
	wantBlob(t, s.Blobs, neighbour)

	_, err = s.Blobs.Put(ctx, content)
	noErr(t, "put what was deleted", err)
	wantBlob(t, s.Blobs, content)
	Fsck(t, s.Reopen(t).Blobs)
}

func testAllBlobs(t *testing.T, s Store) {
	ctx := context.Background()
	if all, err := collect(s.Blobs.All(ctx)); err != nil || len(all) != 0 {
		t.Fatalf("an empty store lists %v, %v", all, err)
	}
	var want []string
	for i := range 60 {
		info, err := s.Blobs.Put(ctx, noise(uint64(100+i), i))
		noErr(t, "put", err)
		want = append(want, info.Digest.String())
	}
	slices.Sort(want)
	all, err := collect(s.Blobs.All(ctx))
	noErr(t, "list", err)
	var got []string
	for _, info := range all {
		got = append(got, info.Digest.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("All yields\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	Fsck(t, s.Blobs)
	for info, err := range s.Blobs.All(ctx) {
		if err != nil || info.Digest.String() != want[0] {
			t.Errorf("the first blob is %v, %v", info, err)
		}
		break // a listing can be left
	}
	for info, err := range s.Blobs.All(ctx) { // and outlives the removal of what it lists
		noErr(t, "list while deleting", err)
		noErr(t, "delete", s.Blobs.Delete(ctx, info.Digest))
	}
	if all, err := collect(s.Blobs.All(ctx)); err != nil || len(all) != 0 {
		t.Errorf("after everything was deleted: %v, %v", all, err)
	}
}

func testCancelledBlobs(t *testing.T, s Store) {
	ctx := cancelled()
	content := []byte("content")
	info, err := s.Blobs.Put(context.Background(), content)
	noErr(t, "put", err)
	other := oci.FromBytes([]byte("other"))

	_, err = s.Blobs.Put(ctx, []byte("other"))
	wantErr(t, "put", err, context.Canceled)
	_, err = s.Blobs.Stat(ctx, info.Digest)
	wantErr(t, "stat", err, context.Canceled)
	if r, err := s.Blobs.Open(ctx, info.Digest, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("open: %v, %v; want the context's error", r, err)
	}
	wantErr(t, "delete", s.Blobs.Delete(ctx, info.Digest), context.Canceled)
	_, err = collect(s.Blobs.All(ctx))
	wantErr(t, "list", err, context.Canceled)
	_, err = s.Blobs.StartUpload(ctx)
	wantErr(t, "start upload", err, context.Canceled)
	_, err = s.Blobs.SweepUploads(ctx, time.Now().Add(time.Hour))
	wantErr(t, "sweep uploads", err, context.Canceled)

	wantNoBlob(t, s.Blobs, other)
	wantBlob(t, s.Blobs, content)

	up, err := s.Blobs.StartUpload(context.Background())
	noErr(t, "start upload", err)
	_, err = up.Write(content[:3])
	noErr(t, "write", err)
	noErr(t, "close", up.Close())
	_, err = s.Blobs.ResumeUpload(ctx, up.State())
	wantErr(t, "resume upload", err, context.Canceled)

	up, err = s.Blobs.ResumeUpload(context.Background(), up.State())
	noErr(t, "resume upload", err)
	_, err = up.Commit(ctx, oci.FromBytes(content[:3]))
	wantErr(t, "commit", err, context.Canceled)
	if storedWhole(t, s.Blobs, content[:3]) {
		return // all of it was done
	}
	up, err = s.Blobs.ResumeUpload(context.Background(), up.State())
	noErr(t, "resume after a cancelled commit", err)
	_, err = up.Commit(context.Background(), oci.FromBytes(content[:3]))
	noErr(t, "commit", err)
	wantBlob(t, s.Blobs, content[:3])
}

// storedWhole reports whether the content is there; if so, it must be whole.
func storedWhole(t testing.TB, b storage.Blobs, content []byte) bool {
	info, err := b.Stat(context.Background(), oci.FromBytes(content))
	if errors.Is(err, storage.ErrNotFound) {
		return false
	}
	noErr(t, "stat", err)
	checkBlob(t, b, info)
	return true
}
