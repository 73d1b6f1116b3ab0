package storagetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

func testCollectible(t *testing.T, open func(t testing.TB) Store) {
	each(t, open, map[string]func(*testing.T, Store){
		"BlobsBelow": testBlobsBelow,
		"Entries":    testEntries,
		"Delete":     testDeletion,
		"Still":      testDeletionStill,
		"Many":       testDeletionMany,
	})
}

func collectible(t testing.TB, s Store) storage.Collectible {
	t.Helper()
	c, ok := storage.As[storage.Collectible](s.Blobs)
	if !ok {
		t.Fatal("the store is not Collectible")
	}
	return c
}

func testBlobsBelow(t *testing.T, s Store) {
	ctx := context.Background()
	for i := range 40 {
		_, err := s.Blobs.Put(ctx, []byte{byte(i)})
		noErr(t, "put", err)
	}
	all, err := collect(s.Blobs.All(ctx))
	noErr(t, "list all", err)
	c := collectible(t, s)
	for _, prefixes := range [][]string{{""}, {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"}, {all[3].Digest.Hex()[:2]}, {all[3].Digest.Hex()[:7]}} {
		var got, want []storage.BlobInfo
		for _, prefix := range prefixes {
			part, err := collect(c.BlobsBelow(ctx, prefix))
			noErr(t, "list "+prefix, err)
			got = append(got, part...)
			for _, info := range all {
				if strings.HasPrefix(info.Digest.Hex(), prefix) {
					want = append(want, info)
				}
			}
		}
		if !slices.EqualFunc(got, want, func(a, b storage.BlobInfo) bool {
			return a.Digest == b.Digest && a.Size == b.Size && a.ModTime.Equal(b.ModTime)
		}) {
			t.Errorf("below %q are %v, want %v", prefixes, got, want)
		}
	}
}

func testEntries(t *testing.T, s Store) {
	ctx := context.Background()
	c := collectible(t, s)
	before, err := c.StoreTime(ctx)
	noErr(t, "time", err)
	for _, key := range []string{"docker/a-b/x", "docker/a/x", "docker/a/y/z", "docker/b"} {
		_, err := s.Records.Put(ctx, key, []byte(key), storage.Absent)
		noErr(t, "put", err)
	}
	after, err := c.StoreTime(ctx)
	noErr(t, "time", err)
	var keys []string
	for e, err := range c.Entries(ctx, "docker/a") {
		noErr(t, "list", err)
		keys = append(keys, e.Key)
		// Some stores tell times in whole seconds.
		if e.ModTime.Before(before.Add(-time.Second)) || e.ModTime.After(after.Add(time.Second)) {
			t.Errorf("%s was written at %s, between %s and %s", e.Key, e.ModTime, before, after)
		}
	}
	if want := []string{"docker/a-b/x", "docker/a/x", "docker/a/y/z"}; !slices.Equal(keys, want) {
		t.Errorf("the entries are %q, want %q", keys, want)
	}
}

func still(context.Context) error { return nil }

func testDeletion(t *testing.T, s Store) {
	ctx := context.Background()
	c := collectible(t, s)
	gone, stays := []byte("gone"), []byte("stays")
	for _, content := range [][]byte{gone, stays} {
		_, err := s.Blobs.Put(ctx, content)
		noErr(t, "put", err)
	}
	for _, key := range []string{"docker/gone", "docker/stays", "docker/odd name & <sign>+"} {
		_, err := s.Records.Put(ctx, key, []byte("x"), storage.Absent)
		noErr(t, "put", err)
	}
	now, err := c.StoreTime(ctx)
	noErr(t, "time", err)
	d, err := c.PrepareDelete(ctx, []storage.Target{
		{Blob: oci.FromBytes(gone)}, {Key: "docker/gone"}, {Key: "docker/absent"}, {Key: "docker/odd name & <sign>+"}, {Blob: oci.FromBytes([]byte("absent"))},
	})
	noErr(t, "prepare", err)
	if e := d.Expires(); !e.IsZero() && (e.Before(now) || e.After(now.Add(2*time.Minute))) {
		t.Errorf("the deletion expires at %s, now is %s", e, now)
	}
	wantBlob(t, s.Blobs, gone) // prepared is not done
	noErr(t, "delete", d.Do(ctx, still))
	wantNoBlob(t, s.Blobs, oci.FromBytes(gone))
	wantBlob(t, s.Blobs, stays)
	keys, err := collect(s.Records.List(ctx, "docker/", ""))
	if keys = slices.DeleteFunc(keys, func(k string) bool { return strings.Contains(k, "/v2/blobs/") }); err != nil || !slices.Equal(keys, []string{"docker/stays"}) {
		t.Errorf("the records are %q, %v", keys, err)
	}
	// It may be repeated, by who takes over.
	d, err = c.PrepareDelete(ctx, []storage.Target{{Blob: oci.FromBytes(gone)}, {Key: "docker/gone"}})
	noErr(t, "prepare", err)
	noErr(t, "delete again", d.Do(ctx, still))
}

// testDeletionStill: nothing is deleted once somebody says no.
func testDeletionStill(t *testing.T, s Store) {
	ctx := context.Background()
	content := []byte("stays")
	_, err := s.Blobs.Put(ctx, content)
	noErr(t, "put", err)
	d, err := collectible(t, s).PrepareDelete(ctx, []storage.Target{{Blob: oci.FromBytes(content)}})
	noErr(t, "prepare", err)
	no := errors.New("no")
	if err := d.Do(ctx, func(context.Context) error { return no }); !errors.Is(err, no) {
		t.Errorf("the deletion returned %v", err)
	}
	wantBlob(t, s.Blobs, content)
}

// testDeletionMany: more targets than S3 deletes at once.
func testDeletionMany(t *testing.T, s Store) {
	ctx := context.Background()
	content := []byte("one of them")
	_, err := s.Blobs.Put(ctx, content)
	noErr(t, "put", err)
	targets := make([]storage.Target, 0, 2500)
	for i := range cap(targets) - 1 {
		targets = append(targets, storage.Target{Blob: oci.FromBytes([]byte{byte(i), byte(i >> 8), 1})})
	}
	targets = append(targets, storage.Target{Blob: oci.FromBytes(content)})
	d, err := collectible(t, s).PrepareDelete(ctx, targets)
	noErr(t, "prepare", err)
	noErr(t, "delete", d.Do(ctx, still))
	wantNoBlob(t, s.Blobs, oci.FromBytes(content))
}
