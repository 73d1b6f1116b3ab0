package oci

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"

	"github.com/opencontainers/go-digest"
)

// Digest names content by its hash. The zero value names nothing. Digests are
// comparable, and only ParseDigest and FromBytes make them, so a Digest that
// is not zero is valid: sha256 or sha512, lower-case hex of the right length.
type Digest struct{ d digest.Digest }

// ParseDigest parses "sha256:<64 hex>" or "sha512:<128 hex>" (distribution-spec,
// image-spec "Digests"). It returns an Error of code DIGEST_INVALID.
func ParseDigest(s string) (Digest, error) {
	d := digest.Digest(s)
	if len(s) > 200 {
		return Digest{}, Errorf(CodeDigestInvalid, "digest of %d bytes is too long; write sha256:<64 hex digits> or sha512:<128 hex digits>", len(s))
	}
	if err := d.Validate(); err != nil || (d.Algorithm() != digest.SHA256 && d.Algorithm() != digest.SHA512) {
		return Digest{}, Errorf(CodeDigestInvalid, "invalid digest %q; write sha256:<64 hex digits> or sha512:<128 hex digits>, in lower case", s)
	}
	return Digest{d}, nil
}

// MustDigest is ParseDigest for constants in tests; it panics.
func MustDigest(s string) Digest {
	d, err := ParseDigest(s)
	if err != nil {
		panic(err)
	}
	return d
}

// FromBytes returns the sha256 digest of b.
func FromBytes(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest{digest.NewDigestFromBytes(digest.SHA256, sum[:])}
}

// FromHash returns the digest that h, a hash made by d.Algorithm's NewHash,
// has computed.
func FromHash(alg Algorithm, h hash.Hash) Digest {
	return Digest{digest.NewDigestFromEncoded(digest.Algorithm(alg), hex.EncodeToString(h.Sum(nil)))}
}

// Algorithm is a digest algorithm that the registry knows.
type Algorithm string

// The algorithms of the image-spec that the registry accepts. Canonical is the
// one that content is stored under.
const (
	SHA256    Algorithm = "sha256"
	SHA512    Algorithm = "sha512"
	Canonical           = SHA256
)

// ParseAlgorithm parses "sha256" or "sha512"; it returns an Error of code
// DIGEST_INVALID.
func ParseAlgorithm(s string) (Algorithm, error) {
	switch a := Algorithm(s); a {
	case SHA256, SHA512:
		return a, nil
	}
	return "", Errorf(CodeDigestInvalid, "unknown digest algorithm %q; use sha256 or sha512", s)
}

// NewHash returns a new hash of the algorithm. Both implement
// encoding.BinaryMarshaler.
func (a Algorithm) NewHash() hash.Hash {
	if a == SHA512 {
		return sha512.New()
	}
	return sha256.New()
}

// Of returns the digest of b under the algorithm.
func (a Algorithm) Of(b []byte) Digest {
	h := a.NewHash()
	h.Write(b)
	return FromHash(a, h)
}

// String returns "<algorithm>:<hex>", or "" for the zero value.
func (d Digest) String() string { return string(d.d) }

// Algorithm returns the part before the colon.
func (d Digest) Algorithm() Algorithm { return Algorithm(d.d.Algorithm()) }

// Hex returns the part after the colon.
func (d Digest) Hex() string { return d.d.Encoded() }

// IsZero reports whether d names nothing.
func (d Digest) IsZero() bool { return d.d == "" }

// MarshalText makes a Digest a string in JSON.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.d), nil }

// UnmarshalText parses as ParseDigest does.
func (d *Digest) UnmarshalText(b []byte) error {
	parsed, err := ParseDigest(string(b))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}
