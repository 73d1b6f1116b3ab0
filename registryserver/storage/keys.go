package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrInvalidKey says that a key breaks the rules of Records. Only a programming
// error leads here: names are parsed before keys are made of them.
var ErrInvalidKey = errors.New("invalid key")

// The limits of keys: what any file system and any bucket can hold below a
// root of reasonable length. The longest key of the layout has 581 bytes.
const (
	MaxKeyLength     = 900
	MaxKeyPartLength = 255
)

// CheckKey reports whether a key follows the rules of Records. ErrInvalidKey.
func CheckKey(key string) error {
	if len(key) > MaxKeyLength {
		return fmt.Errorf("%w: %d bytes are more than %d", ErrInvalidKey, len(key), MaxKeyLength)
	}
	for part := range strings.SplitSeq(key, "/") {
		switch {
		case part == "" || part == "." || part == "..":
			return fmt.Errorf("%w: %q has an empty part, or one that is %q or %q", ErrInvalidKey, key, ".", "..")
		case len(part) > MaxKeyPartLength:
			return fmt.Errorf("%w: a part of %d bytes is longer than %d", ErrInvalidKey, len(part), MaxKeyPartLength)
		}
	}
	return checkPrintable(key)
}

// CheckPrefix reports whether a prefix can begin a key: what comes before its
// last '/' must be a key, what comes after it the beginning of a part.
// ErrInvalidKey.
func CheckPrefix(prefix string) error {
	folder, rest := "", prefix
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		folder, rest = prefix[:i], prefix[i+1:]
		if err := CheckKey(folder); err != nil {
			return err
		}
	}
	if len(prefix) > MaxKeyLength {
		return fmt.Errorf("%w: a prefix of %d bytes is longer than %d", ErrInvalidKey, len(prefix), MaxKeyLength)
	}
	return checkPrintable(rest)
}

func checkPrintable(s string) error {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return fmt.Errorf("%w: %q has a byte that is not printable ASCII", ErrInvalidKey, s)
		}
	}
	return nil
}

// VersionOf returns the version that names a content by its hash, for stores
// that have no versions of their own.
func VersionOf(value []byte) Version {
	sum := sha256.Sum256(value)
	return Version(hex.EncodeToString(sum[:16]))
}
