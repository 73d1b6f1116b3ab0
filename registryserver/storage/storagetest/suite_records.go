package storagetest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

func testRecords(t *testing.T, open func(t testing.TB) Store) {
	each(t, open, map[string]func(*testing.T, Store){
		"Values":      testValues,
		"Conditions":  testConditions,
		"Delete":      testDeleteRecord,
		"Neighbours":  testNeighbours,
		"Folders":     testFoldersAreNoRecords,
		"InvalidKeys": testInvalidKeys,
		"Cancelled":   testCancelledRecords,
	})
}

func put(t testing.TB, r storage.Records, key, value string) storage.Version {
	t.Helper()
	version, err := r.Put(context.Background(), key, []byte(value), storage.Any)
	noErr(t, "put "+key, err)
	return version
}

// wantRecord fails the test unless the record has that value.
func wantRecord(t testing.TB, r storage.Records, key, value string) storage.Record {
	t.Helper()
	rec, err := r.Get(context.Background(), key)
	if err != nil || string(rec.Value) != value {
		t.Errorf("Get(%s) = %.80q, %v; want %.80q", key, rec.Value, err, value)
	}
	return rec
}

func wantNoRecord(t testing.TB, r storage.Records, key string) {
	t.Helper()
	if rec, err := r.Get(context.Background(), key); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("Get(%s) = %.80q, %v; want ErrNotFound", key, rec.Value, err)
	}
}

func testValues(t *testing.T, s Store) {
	ctx := context.Background()
	key := inRepositories("a/_layers/sha256/00/link")
	wantNoRecord(t, s.Records, key)
	for i, size := range []int{71, 0, 1, 71, 71, 1 << 20, storage.MaxRecordSize, 71} {
		value := noise(uint64(i/2), size)
		before := time.Now().Add(-time.Minute)
		version, err := s.Records.Put(ctx, key, value, storage.Any)
		noErr(t, "put", err)
		if version == storage.Any || version == storage.Absent {
			t.Errorf("a record of %d bytes has version %q, which is a condition", size, version)
		}
		for _, r := range []storage.Records{s.Records, s.Reopen(t).Records} {
			rec := wantRecord(t, r, key, string(value))
			if rec.Version != version || rec.ModTime.Before(before) {
				t.Errorf("Get = version %q of %v; put returned %q", rec.Version, rec.ModTime, version)
			}
		}
	}
	last := wantRecord(t, s.Records, key, string(noise(3, 71)))
	if _, err := s.Records.Put(ctx, key, make([]byte, storage.MaxRecordSize+1), storage.Any); err == nil {
		t.Errorf("a record of more than MaxRecordSize was written")
	}
	mine := bytes.Clone(last.Value)
	last.Value[0]++
	wantRecord(t, s.Records, key, string(mine)) // what was read is the reader's own
}

func testConditions(t *testing.T, s Store) {
	ctx := context.Background()
	key := storage.KitRoot + "/users/alice"
	putIf := func(value string, was storage.Version) (storage.Version, error) {
		return s.Records.Put(ctx, key, []byte(value), was)
	}
	_, err := putIf("x", "no such version")
	wantErr(t, "put over a version of nothing", err, storage.ErrConflict)
	wantNoRecord(t, s.Records, key)

	one, err := putIf("one", storage.Absent)
	noErr(t, "put where there is nothing", err)
	for _, value := range []string{"one", "two"} {
		_, err = putIf(value, storage.Absent)
		wantErr(t, "put as absent over a record", err, storage.ErrConflict)
		wantRecord(t, s.Records, key, "one")
	}
	two, err := putIf("two", one)
	noErr(t, "put over the present version", err)
	if one == two {
		t.Errorf("two contents have the version %q", one)
	}
	_, err = putIf("three", one)
	wantErr(t, "put over an old version", err, storage.ErrConflict)
	wantRecord(t, s.Reopen(t).Records, key, "two")

	again, err := putIf("two", two)
	noErr(t, "put of the same", err)
	_, err = putIf("three", again)
	noErr(t, "put over that", err)
	_, err = putIf("four", storage.Any)
	noErr(t, "put over anything", err)
	wantRecord(t, s.Records, key, "four")
}

func testDeleteRecord(t *testing.T, s Store) {
	ctx := context.Background()
	key := inRepositories("a/_manifests/tags/v1/current/link")
	del := func(was storage.Version) error { return s.Records.Delete(ctx, key, was) }

	noErr(t, "delete what is absent", del(storage.Any))
	wantErr(t, "delete a version of nothing", del("no such version"), storage.ErrConflict)
	one := put(t, s.Records, key, "one")
	two := put(t, s.Records, key, "two")
	wantErr(t, "delete an old version", del(one), storage.ErrConflict)
	wantRecord(t, s.Records, key, "two")
	noErr(t, "delete the present version", del(two))
	wantNoRecord(t, s.Records, key)
	wantErr(t, "delete it again", del(two), storage.ErrConflict)
	wantNoRecord(t, s.Reopen(t).Records, key)

	_, err := s.Records.Put(ctx, key, []byte("three"), storage.Absent)
	noErr(t, "put where it was deleted", err)
	noErr(t, "delete whatever is there", del(storage.Any))
	wantNoRecord(t, s.Records, key)
}

// testNeighbours: keys that a file system likes to mix up.
func testNeighbours(t *testing.T, s Store) {
	keys := []string{
		inRepositories("a/_layers/sha256/00/link"), inRepositories("a/b/_layers/sha256/00/link"), inRepositories("a-b/_layers/sha256/00/link"),
		inRepositories("a/_manifests/tags/v1/current/link"), inRepositories("a/_manifests/tags/v1.0/current/link"), inRepositories("a/_manifests/tags/v10/current/link"),
		storage.KitRoot + "/repositories/a!", storage.KitRoot + "/repositories/a/b!", storage.KitRoot + "/repositories/a-b!",
		storage.KitRoot + "/a b/~c", storage.KitRoot + "/.hidden", storage.KitRoot + "/...", storage.KitRoot + `/back\slash`, storage.KitRoot + "/%2e%2e",
		storage.KitRoot + "/" + strings.Repeat("x", storage.MaxKeyPartLength),
	}
	if !s.FoldsCase {
		keys = append(keys, inRepositories("a/_manifests/tags/V1/current/link"), storage.KitRoot+"/repositories/A!")
	}
	for _, key := range keys {
		put(t, s.Records, key, "value of "+key)
	}
	again := s.Reopen(t)
	for i, key := range keys {
		wantRecord(t, again.Records, key, "value of "+key)
		noErr(t, "delete", s.Records.Delete(context.Background(), key, storage.Any))
		wantNoRecord(t, again.Records, key)
		for _, other := range keys[i+1:] {
			wantRecord(t, s.Records, other, "value of "+other)
		}
	}
}

func testFoldersAreNoRecords(t *testing.T, s Store) {
	ctx := context.Background()
	key := inRepositories("a/_manifests/tags/v1/current/link")
	put(t, s.Records, key, "value")
	for folder := range folders(key) {
		wantNoRecord(t, s.Records, folder)
		noErr(t, "delete a folder", s.Records.Delete(ctx, folder, storage.Any))
		wantErr(t, "delete a version of a folder", s.Records.Delete(ctx, folder, "some version"), storage.ErrConflict)
	}
	below := key + "/below"
	wantNoRecord(t, s.Records, below)
	noErr(t, "delete below a record", s.Records.Delete(ctx, below, storage.Any))
	wantRecord(t, s.Records, key, "value")
}

func testInvalidKeys(t *testing.T, s Store) {
	ctx := context.Background()
	keys := []string{"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/..", "a/../b", "a/./b", "a\x00b", "a\nb", "ä", "a/\x7f",
		strings.Repeat("x", storage.MaxKeyPartLength+1), strings.Repeat("x/", storage.MaxKeyLength)}
	for _, key := range keys {
		_, err := s.Records.Get(ctx, key)
		wantErr(t, "get", err, storage.ErrInvalidKey)
		_, err = s.Records.Put(ctx, key, []byte("value"), storage.Any)
		wantErr(t, "put", err, storage.ErrInvalidKey)
		wantErr(t, "delete", s.Records.Delete(ctx, key, storage.Any), storage.ErrInvalidKey)
		if key != "" { // the root
			_, err = collect(s.Records.Children(ctx, key, ""))
			wantErr(t, "children", err, storage.ErrInvalidKey)
		}
	}
	for _, prefix := range []string{"/", "/a", "a//", "../a", "a/../b", "./", "a\x00"} {
		_, err := collect(s.Records.List(ctx, prefix, ""))
		wantErr(t, "list", err, storage.ErrInvalidKey)
	}
	if keys, err := collect(s.Records.List(ctx, "", "")); err != nil || len(keys) != 0 {
		t.Errorf("invalid keys left %q, %v", keys, err)
	}
}

func testCancelledRecords(t *testing.T, s Store) {
	ctx := cancelled()
	key := storage.KitRoot + "/users/alice"
	version := put(t, s.Records, key, "one")

	_, err := s.Records.Get(ctx, key)
	wantErr(t, "get", err, context.Canceled)
	for _, was := range []storage.Version{storage.Any, version} {
		_, err = s.Records.Put(ctx, key, []byte("two"), was)
		wantErr(t, "put", err, context.Canceled)
		wantErr(t, "delete", s.Records.Delete(ctx, key, was), context.Canceled)
	}
	_, err = collect(s.Records.List(ctx, "", ""))
	wantErr(t, "list", err, context.Canceled)
	_, err = collect(s.Records.Children(ctx, storage.KitRoot+"/users", ""))
	wantErr(t, "children", err, context.Canceled)
	wantRecord(t, s.Records, key, "one")
}
