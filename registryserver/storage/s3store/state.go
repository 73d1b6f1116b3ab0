package s3store

import (
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"

	"github.com/google/uuid"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// The kinds of a state: where the bytes of the upload are.
const (
	fresh        byte = iota // there are none
	direct                   // at the key of their digest, unlinked
	staged                   // in parts of a multipart upload
	stagedExtras             // staged, with extras: only as it is encoded
)

const (
	stateVersion = 1
	hashSize     = 108 // of a marshalled crypto/sha256
	maxUploadID  = 400 // of S3's multipart uploads; AWS has about 130
	maxState     = 900 // of what encode returns
)

// state is all that there is of an upload beside its bytes. It travels through
// clients, sealed; docs/storage-format.md specifies its encoding.
type state struct {
	kind   byte
	id     uuid.UUID // names the folder of what is staged
	offset int64     // how many bytes there are
	hash   [hashSize]byte

	// Of a staged one. No two multipart uploads have one key: it ends in the
	// nonce.
	nonce    [8]byte
	uploadID string // "" if there are no parts yet
	parts    int32
	inParts  int64             // bytes in parts; the rest is the tail
	partsSum [sha256.Size]byte // see nextPart
	tailSum  [sha256.Size]byte // of the tail, if there is one
	extras   bool              // more than parts was stored at some time: a tail, or a checkpoint

	// target is the blob at whose key the parts are, where its digest was known
	// before the first of them. It does not travel: such an upload is not resumed.
	target oci.Digest
}

// encode returns what parseState reads.
func (st *state) encode() []byte {
	kind := st.kind
	if st.extras {
		kind = stagedExtras
	}
	out := append([]byte{stateVersion, kind}, st.id[:]...)
	if st.kind == fresh {
		return out
	}
	out = binary.BigEndian.AppendUint64(out, uint64(st.offset))
	out = append(out, st.hash[:]...)
	if st.kind == direct {
		return out
	}
	out = append(out, st.nonce[:]...)
	out = binary.BigEndian.AppendUint32(out, uint32(st.parts))
	out = binary.BigEndian.AppendUint64(out, uint64(st.inParts))
	out = append(out, st.partsSum[:]...)
	out = append(out, st.tailSum[:]...)
	out = binary.BigEndian.AppendUint16(out, uint16(len(st.uploadID)))
	return append(out, st.uploadID...)
}

// parseState reads a state. What it accepts encodes to the same bytes.
func parseState(in []byte) (st state, err error) {
	r := stateReader{rest: in}
	version := r.take(1)
	kind := r.take(1)
	copy(st.id[:], r.take(len(st.id)))
	if r.bad || version[0] != stateVersion || kind[0] > stagedExtras {
		return state{}, storage.ErrUploadUnknown
	}
	st.kind, st.extras = min(kind[0], staged), kind[0] == stagedExtras
	if st.kind != fresh {
		st.offset = r.size()
		copy(st.hash[:], r.take(hashSize))
	}
	if st.kind == staged {
		copy(st.nonce[:], r.take(len(st.nonce)))
		st.parts = r.count()
		st.inParts = r.size()
		copy(st.partsSum[:], r.take(sha256.Size))
		copy(st.tailSum[:], r.take(sha256.Size))
		if length := r.take(2); !r.bad {
			st.uploadID = string(r.take(int(binary.BigEndian.Uint16(length))))
		}
	}
	if r.bad || len(r.rest) > 0 || !st.sound() {
		return state{}, storage.ErrUploadUnknown
	}
	return st, nil
}

// sound reports whether the parts of a state fit together.
func (st *state) sound() bool {
	if st.kind == fresh {
		return true
	}
	if _, err := st.running(); err != nil || binary.BigEndian.Uint64(st.hash[hashSize-8:]) != uint64(st.offset) {
		return false
	}
	if st.kind == direct {
		return true
	}
	return (st.parts > 0) == (st.uploadID != "") && st.parts <= maxParts && len(st.uploadID) <= maxUploadID &&
		st.inParts <= st.offset && (st.parts > 0) == (st.inParts > 0) && st.tail() < maxPartSize && st.offset > 0 &&
		(st.tail() > 0 || st.tailSum == [sha256.Size]byte{}) && (st.tail() == 0 || st.extras)
}

// tail is how many bytes lie behind the parts.
func (st *state) tail() int64 { return st.offset - st.inParts }

// inMemory is how many bytes have to be brought back before more can be added.
func (st *state) inMemory() int64 {
	if st.kind == direct {
		return st.offset
	}
	return st.tail()
}

// running returns the hash of all bytes, ready to go on.
func (st *state) running() (hash.Hash, error) {
	h := sha256.New()
	if st.kind == fresh {
		return h, nil
	}
	return h, h.(encoding.BinaryUnmarshaler).UnmarshalBinary(st.hash[:])
}

// keep takes note of the hash of the first offset bytes.
func (st *state) keep(h hash.Hash, offset int64) error {
	out, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil || len(out) != hashSize {
		return fmt.Errorf("save the hash of an upload: %d bytes, %w", len(out), err)
	}
	st.offset = offset
	copy(st.hash[:], out)
	return nil
}

// nextPart extends the running hash over the parts: number, size, ETag and, where
// S3 has it, SHA-256 of each. The ETag alone would not do, since it is an MD5
// and two forks of an upload could overwrite one another's parts with others of
// the same.
func nextPart(sum [sha256.Size]byte, number int32, size int64, etag, checksum string) [sha256.Size]byte {
	in := append(sum[:], strconv.FormatInt(int64(number), 10)...)
	in = fmt.Appendf(in, " %d %q %q", size, etag, checksum)
	return sha256.Sum256(in)
}

func (st *state) folder() string { return uploadsDir + "/" + st.id.String() }

// dataKey is where the parts of the multipart upload become an object.
func (st *state) dataKey() string {
	if !st.target.IsZero() {
		return storage.BlobKey(st.target)
	}
	return st.folder() + "/data-" + hex.EncodeToString(st.nonce[:])
}

func (st *state) checkpointKey() string { return st.folder() + "/checkpoint" }

func (st *state) endedKey() string { return st.folder() + "/ended" }

// tailKey differs for tails that differ, so that forks of an upload do not
// overwrite one another's.
func (st *state) tailKey() string {
	return st.folder() + "/tail-" + strconv.FormatInt(st.offset, 10) + "-" + hex.EncodeToString(st.tailSum[:])
}

// stateReader takes an encoding apart; bad is set once it was too short.
type stateReader struct {
	rest []byte
	bad  bool
}

func (r *stateReader) take(n int) []byte {
	if r.bad || len(r.rest) < n {
		r.bad = true
		return make([]byte, n)
	}
	out := r.rest[:n]
	r.rest = r.rest[n:]
	return out
}

func (r *stateReader) size() int64 {
	n := binary.BigEndian.Uint64(r.take(8))
	r.bad = r.bad || n > 1<<50
	return int64(n & (1<<62 - 1))
}

func (r *stateReader) count() int32 {
	n := binary.BigEndian.Uint32(r.take(4))
	r.bad = r.bad || n > maxParts
	return int32(n & (1<<31 - 1))
}

// parseNonce reads what dataKey wrote.
func parseNonce(st *state, text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && copy(st.nonce[:], raw) == len(st.nonce) && len(raw) == len(st.nonce)
}
