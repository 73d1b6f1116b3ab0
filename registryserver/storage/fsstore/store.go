// Package fsstore keeps blobs and records on a directory, in the layout of CNCF
// distribution, so that either can serve what the other wrote. Several
// processes may use one directory at once, if its file system honours flock.
// docs/storage-format.md specifies every file; what is durable when, and by
// which system calls, is said in durable.go.
package fsstore

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// The folders that are neither blobs nor records. They are in the same file
// system as the rest, since files are renamed out of them; listings do not
// show them.
const (
	uploadsDir = storage.KitRoot + "/uploads"
	tmpDir     = storage.KitRoot + "/tmp"
	locksDir   = storage.KitRoot + "/locks"
)

const (
	// rememberedHashes bounds the unfinished uploads whose hash is not computed
	// again when they are resumed.
	rememberedHashes = 4096
	// bufferSize is how much of an upload is hashed and written at a time: large
	// enough to make system calls rare, small enough to stay in the cache.
	bufferSize = 256 << 10
	// busyWait is how long ResumeUpload waits for the request before it to let
	// go, as after a client that lost its connection and came back at once.
	busyWait = 3 * time.Second
)

// Store is a directory with both halves of a store: Blobs and Records.
type Store struct {
	disk
	locks           *stripes
	hashes          *lru.Cache[string, runningHash] // of uploads that nobody holds, by id
	buffers         sync.Pool                       // of *[]byte
	busyWait        time.Duration
	opened          fs.FileInfo // of the folder storage.KitRoot
	caseInsensitive bool
}

// runningHash is the canonical hash of the first n bytes of an upload. It lives
// in this process only: a crash of the machine may have changed bytes that were
// never synced, so after a restart bytes are read again.
type runningHash struct {
	h hash.Hash
	n int64
}

// New opens the store in the directory root, which is made if it is missing. It
// tries whether the file system does what the store relies on; its errors say
// what to change if it does not.
func New(root string) (*Store, error) {
	s := &Store{busyWait: busyWait}
	s.buffers.New = func() any { b := make([]byte, bufferSize); return &b }
	var err error
	if s.disk, err = openDisk(root); err != nil {
		return nil, explain(root, err)
	}
	if s.hashes, err = lru.New[string, runningHash](rememberedHashes); err != nil {
		return nil, err
	}
	for _, dir := range []string{uploadsDir, tmpDir, locksDir, storage.DistributionRoot} {
		if err := s.mkdirs(dir); err != nil {
			return nil, explain(root, err)
		}
	}
	s.locks = newStripes(s.path(locksDir))
	if s.opened, err = os.Stat(s.path(storage.KitRoot)); err != nil {
		return nil, explain(root, err)
	}
	if s.caseInsensitive, err = s.probe(); err != nil {
		return nil, explain(root, err)
	}
	return s, nil
}

// Blobs returns the half that keeps content.
func (s *Store) Blobs() storage.Blobs { return blobs{s} }

// Records returns the half that keeps records.
func (s *Store) Records() storage.Records { return records{s} }

// CaseInsensitive reports whether the file system takes names that differ in
// case only for the same. Then the tags "V1" and "v1" are one, which no
// registry should do.
func (s *Store) CaseInsensitive() bool { return s.caseInsensitive }

// Close lets go of what the store holds open. Uploads that are held stay so.
func (s *Store) Close() error { return s.locks.close() }

// Check tries whether the store can be written to, without waiting for the
// disk: it finds a file system that is full, read-only, or no longer mounted.
func (s *Store) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now, err := os.Stat(s.path(storage.KitRoot))
	if err == nil && !os.SameFile(now, s.opened) {
		err = errors.New("the directory is another one than at the start: was its file system unmounted?")
	}
	if err == nil {
		err = s.checkWrite()
	}
	if err != nil {
		return fmt.Errorf("check storage directory: %w", bare(err))
	}
	return nil
}

func (s *Store) checkWrite() error {
	f, name, err := s.createTemp(tmpDir + "/")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	return errors.Join(err, f.Close(), os.Remove(s.path(name)))
}

// buffer lends a buffer; the caller returns it through done.
func (s *Store) buffer() (buf []byte, done func()) {
	p := s.buffers.Get().(*[]byte)
	return *p, func() { s.buffers.Put(p) }
}
