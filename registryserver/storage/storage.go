// Package storage says what the registry needs of a place that keeps bytes, as
// two small interfaces split by consistency: Blobs (large, immutable, addressed
// by digest) and Records (small, mutable, compare-and-swap). Package fsstore
// keeps both on a directory, s3store in an S3 bucket; storagetest holds the
// contract below as a test suite. Where things lie is written down in
// docs/storage-format.md.
package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// The errors that the methods below promise. They are matched with errors.Is;
// any other error is a fault of the store.
var (
	// ErrNotFound: there is no such blob or record.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the record is not as the condition says. Nothing was written.
	ErrConflict = errors.New("conflict")
	// ErrDigestMismatch: the bytes do not have the digest that was claimed.
	// Nothing became visible.
	ErrDigestMismatch = errors.New("content does not match digest")
	// ErrUploadUnknown: the upload never was, or was committed, aborted or swept.
	ErrUploadUnknown = errors.New("upload unknown")
	// ErrUploadBusy: another request is writing to the upload.
	ErrUploadBusy = errors.New("upload is being written by another request")
	// ErrUnavailable: the store takes no writes now, because it is full or
	// read-only, or nothing at all: see ErrUnreachable. Every method that writes
	// may return it, made by Unavailable.
	ErrUnavailable = errors.New("the store is not available")
	// ErrUnreachable is an ErrUnavailable: the store, or the way to it, does not
	// work now, or has too much to do. What was asked of it may or may not have
	// been done, or be done later. Every method may return it, made by Unreachable.
	ErrUnreachable = fmt.Errorf("%w: it cannot be reached", ErrUnavailable)
	// ErrBusy: the store has too much to do. The same may succeed later. It is made
	// by Busy.
	ErrBusy = errors.New("the store is busy")
)

// Unavailable returns the ErrUnavailable that cause, which only the log shows,
// makes of a write. It is an *oci.Error, so that whoever pushes hears on every
// path that the fault is not theirs.
func Unavailable(cause error) error {
	return &oci.Error{
		Code:    oci.CodeUnavailable,
		Message: "the registry's storage is full or read-only, so it takes no pushes and no other changes; the operator of the registry has to act, then try again",
		Err:     fmt.Errorf("%w: %w", ErrUnavailable, cause),
	}
}

// Busy returns the ErrBusy that cause, which only the log shows, makes of a write.
// As Unavailable, it is an *oci.Error.
func Busy(cause error) error {
	return &oci.Error{Code: oci.CodeTooManyRequests, Message: "the registry has too many uploads at once; try again later", Err: fmt.Errorf("%w: %w", ErrBusy, cause)}
}

// Unreachable returns the ErrUnreachable that cause, which only the log shows,
// makes of an operation. As Unavailable, it is an *oci.Error.
func Unreachable(cause error) error {
	return &oci.Error{
		Code:    oci.CodeUnavailable,
		Message: "the registry cannot reach its storage now; try again",
		Err:     fmt.Errorf("%w: %w", ErrUnreachable, cause),
	}
}

// BlobInfo describes a stored blob. Digest is always the canonical (sha256)
// one.
type BlobInfo struct {
	Digest  oci.Digest
	Size    int64
	ModTime time.Time
}

// Blobs keeps large immutable content. A blob is visible whole or not at all,
// and only with the bytes that its digest names. Content lives under its
// canonical digest alone; which repositories may read it, and other digests
// that stand for it, are records. A digest of another algorithm names no blob.
// All methods may be called concurrently, also by several processes on one
// store. A context that has ended ends a method with its error; as with any
// other fault, all or nothing of what was asked is done then.
type Blobs interface {
	// Stat describes the blob of the canonical digest d. ErrNotFound.
	Stat(ctx context.Context, d oci.Digest) (BlobInfo, error)
	// Open returns the content from offset on; the caller closes it. Where the
	// store can seek, the reader is also an io.Seeker over the whole blob.
	// An offset at or beyond the end reads as empty. ErrNotFound.
	Open(ctx context.Context, d oci.Digest, offset int64) (io.ReadCloser, error)
	// Put stores small content, such as a manifest, under its canonical digest
	// and returns once it is durable. Repeating it is fine.
	Put(ctx context.Context, content []byte) (BlobInfo, error)
	// Delete removes a blob. An absent one is no error. A reader that has it
	// open may go on or fail, but never sees other bytes.
	Delete(ctx context.Context, d oci.Digest) error
	// All yields every blob once, in the byte order of their digests. Blobs
	// added or removed meanwhile may or may not appear. It ends at the first
	// error.
	All(ctx context.Context) iter.Seq2[BlobInfo, error]
	// StartUpload begins an upload of unknown digest and size.
	StartUpload(ctx context.Context) (Upload, error)
	// ResumeUpload continues an upload from what State returned, at any time
	// before, in this process or another. It continues at the end of what is
	// stored, which may be more or, after a crash of the machine, less than when
	// the state was taken: callers compare Size. A store may also keep a small
	// upload in nothing but its state, which then continues where it was taken
	// and stays good after Commit, until whoever sealed it says otherwise; never
	// after Abort, unless nothing was stored before. A state may be replayed or forked; whatever is made of that,
	// no digest ever names other bytes. ErrUploadUnknown, ErrUploadBusy.
	ResumeUpload(ctx context.Context, state []byte) (Upload, error)
	// SweepUploads removes uploads that nobody wrote to since before, and
	// reports how many. An upload that is being written is never removed.
	SweepUploads(ctx context.Context, before time.Time) (int, error)
}

// Upload is content on its way in. It survives a restart of the process, and
// moves between processes through State. One request at a time holds it; the
// methods are not safe for concurrent use.
type Upload interface {
	// Write appends. After an error the upload holds what Size says. ErrBusy.
	io.Writer
	// Expect says, before the first byte of this hold, with what digest it is
	// going to be committed. A store may then put content where it will stay; if
	// the hold ends without a Commit, it need not keep what was written since.
	Expect(want oci.Digest)
	// ReadFrom appends all of r. When r fails, what came before stays.
	io.ReaderFrom
	// Size is the number of bytes held.
	Size() int64
	// Close lets go of the upload and keeps it for ResumeUpload. After Commit or
	// Abort it does nothing.
	Close() error
	// State returns what ResumeUpload needs; valid after Close. It is not
	// secret, but it must not be taken from a client unsealed.
	State() []byte
	// Commit makes the content visible, durably, under its canonical digest,
	// once it is proved to have the digest want (of any algorithm). With
	// ErrDigestMismatch nothing is visible and the upload is gone. After any
	// other error it is let go of, as by Close, and may be there to resume.
	// Committing content that is already there is fine. It ends the upload.
	Commit(ctx context.Context, want oci.Digest) (BlobInfo, error)
	// Abort discards the upload. Nothing visible changes.
	Abort(ctx context.Context) error
}

// MaxRecordSize bounds the value of a record: a manifest's descriptor with its
// annotations is the largest.
const MaxRecordSize = 8 << 20

// Version names one content of a record. Versions of equal content may be
// equal, as ETags are.
type Version string

// The conditions of a write that are not a version.
const (
	// Any writes whatever is there.
	Any Version = "*"
	// Absent writes only where there is no record.
	Absent Version = ""
)

// Record is a small value and its version.
type Record struct {
	Value   []byte
	Version Version
	ModTime time.Time
}

// Records keeps small mutable values under keys: parts of printable ASCII
// joined by '/', none of them empty, "." or "..", within the limits of CheckKey;
// any other key, folder or prefix is ErrInvalidKey. A key and a longer key below
// it ("a" and "a/b") never both hold records; repositories "a" and "a/b" are
// no such pair, since records lie in folders below them. Reads see the newest
// write. All methods may be called concurrently, also by several processes on
// one store. A context that has ended ends a method with its error, with all or
// nothing done.
type Records interface {
	// Get returns a record. ErrNotFound.
	Get(ctx context.Context, key string) (Record, error)
	// Put writes a record durably if its present version is was (or Any, or
	// Absent), all or nothing, and returns the new version. Its ModTime is then
	// that of this write, also if the value is as it was. ErrConflict.
	Put(ctx context.Context, key string, value []byte, was Version) (Version, error)
	// Delete removes a record if its present version is was, or Any. An absent
	// record is no error for Any and ErrConflict for a version; but of several
	// who delete one version at the same instant, more than one may be told
	// that it did. Folders that hold nothing any more vanish with it.
	Delete(ctx context.Context, key string, was Version) error
	// List yields the keys that begin with prefix and come after the key
	// after ("" for all), in byte order.
	List(ctx context.Context, prefix, after string) iter.Seq2[string, error]
	// Children yields the names directly below the folder dir that hold a
	// record somewhere below (or are one), in byte order of the name, after the
	// name after. It does not walk what lies below them. The folder "" is the
	// root.
	Children(ctx context.Context, dir, after string) iter.Seq2[string, error]
}
