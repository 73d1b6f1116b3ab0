package storagetest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

func testConcurrency(t *testing.T, open func(t testing.TB) Store) {
	each(t, open, map[string]func(*testing.T, Store){
		"OneWinner":   testOneWinner,
		"Counter":     testCounter,
		"SameContent": testSameContent,
		"ComeAndGo":   testComeAndGo,
		"OneDelete":   testOneDelete,
	})
}

// together runs do n times at once, on the store and on another opening of it
// by turns.
func together(t *testing.T, s Store, n int, do func(i int, s Store)) {
	t.Helper()
	stores := []Store{s, s.Reopen(t)}
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			do(i, stores[i%2])
		})
	}
	close(start)
	wg.Wait()
}

func rounds() int {
	if testing.Short() {
		return 5
	}
	return 20
}

// testOneWinner: of all who write on one condition, one does.
func testOneWinner(t *testing.T, s Store) {
	ctx := context.Background()
	key := inRepositories("a/_manifests/tags/v1/current/link")
	was := storage.Absent
	for round := range rounds() {
		var won atomic.Int32
		var winner atomic.Value
		together(t, s, 16, func(i int, s Store) {
			value := fmt.Sprintf("round %d writer %d", round, i)
			version, err := s.Records.Put(ctx, key, []byte(value), was)
			switch {
			case err == nil:
				won.Add(1)
				winner.Store([2]string{value, string(version)})
			case !errors.Is(err, storage.ErrConflict):
				t.Errorf("put: %v", err)
			}
		})
		if won.Load() != 1 {
			t.Fatalf("round %d has %d winners", round, won.Load())
		}
		w := winner.Load().([2]string)
		rec := wantRecord(t, s.Records, key, w[0])
		if was = rec.Version; string(was) != w[1] {
			t.Errorf("the record has version %q, the winner was told %q", was, w[1])
		}
	}
}

// testCounter: no increment is lost, while others write keys beside it.
func testCounter(t *testing.T, s Store) {
	ctx := context.Background()
	key := storage.KitRoot + "/counter/n"
	const workers = 8
	together(t, s, workers, func(i int, s Store) {
		for done := 0; done < rounds(); {
			put(t, s.Records, fmt.Sprintf("%s/beside/%d-%d", storage.KitRoot, i, done), "")
			rec, err := s.Records.Get(ctx, key)
			if err != nil && !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("get: %v", err)
				return
			}
			n, _ := strconv.Atoi(string(rec.Value))
			_, err = s.Records.Put(ctx, key, []byte(strconv.Itoa(n+1)), rec.Version)
			switch {
			case err == nil:
				done++
			case !errors.Is(err, storage.ErrConflict):
				t.Errorf("put: %v", err)
				return
			}
		}
	})
	wantRecord(t, s.Reopen(t).Records, key, strconv.Itoa(workers*rounds()))
}

// testSameContent: many bring the same blob at once.
func testSameContent(t *testing.T, s Store) {
	ctx := context.Background()
	for round := range rounds() {
		content := noise(uint64(1000+round), 50_000)
		together(t, s, 8, func(i int, s Store) {
			if i < 2 {
				if _, err := s.Blobs.Put(ctx, content); err != nil {
					t.Errorf("put: %v", err)
				}
				return
			}
			up, err := s.Blobs.StartUpload(ctx)
			if err != nil {
				t.Errorf("start upload: %v", err)
				return
			}
			if _, err := up.Write(content); err != nil {
				t.Errorf("write: %v", err)
			}
			if _, err := up.Commit(ctx, oci.FromBytes(content)); err != nil {
				t.Errorf("commit: %v", err)
			}
		})
		wantBlob(t, s.Blobs, content)
	}
	Fsck(t, s.Reopen(t).Blobs)
}

// testComeAndGo: records of one folder come and go, and folders with them; who
// writes last is seen.
func testComeAndGo(t *testing.T, s Store) {
	ctx := context.Background()
	dir := inRepositories("team/app/_manifests/tags")
	together(t, s, 8, func(i int, s Store) {
		key := fmt.Sprintf("%s/v%d/current/link", dir, i%4)
		mine := fmt.Sprintf("%s/v%d/index/sha256/%d/link", dir, i%4, i)
		for n := range 3 * rounds() {
			if _, err := s.Records.Put(ctx, key, []byte("value"), storage.Any); err != nil {
				t.Errorf("put: %v", err)
			}
			value := strconv.Itoa(n)
			if _, err := s.Records.Put(ctx, mine, []byte(value), storage.Absent); err != nil {
				t.Errorf("put: %v", err)
			}
			wantRecord(t, s.Records, mine, value)
			if err := s.Records.Delete(ctx, key, storage.Any); err != nil {
				t.Errorf("delete: %v", err)
			}
			if err := s.Records.Delete(ctx, mine, storage.VersionOf(nil)); !errors.Is(err, storage.ErrConflict) {
				t.Errorf("delete of another version: %v", err)
			}
			if err := s.Records.Delete(ctx, mine, storage.Any); err != nil {
				t.Errorf("delete: %v", err)
			}
			wantNoRecord(t, s.Records, mine)
		}
	})
	wantChildren(t, s.Records, dir, "")
	wantChildren(t, s.Records, "", "")
}

// testOneDelete: of all who delete one version, one does; or more are told so
// where they cannot be told apart, but none once a newer version is there.
func testOneDelete(t *testing.T, s Store) {
	key := storage.KitRoot + "/users/alice"
	for round := range rounds() {
		was := put(t, s.Records, key, strconv.Itoa(round))
		var won atomic.Int32
		together(t, s, 8, func(_ int, s Store) {
			err := s.Records.Delete(context.Background(), key, was)
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, storage.ErrConflict):
				t.Errorf("delete: %v", err)
			}
		})
		if n := won.Load(); n == 0 || n > 1 && !s.DeletesTogether {
			t.Fatalf("round %d has %d winners", round, n)
		}
		wantNoRecord(t, s.Records, key)
		wantErr(t, "delete it again", s.Records.Delete(context.Background(), key, was), storage.ErrConflict)
		put(t, s.Records, key, "newer")
		wantErr(t, "delete what is newer", s.Records.Delete(context.Background(), key, was), storage.ErrConflict)
		wantRecord(t, s.Records, key, "newer")
	}
}
