package auth

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

const secretCheckKey = storage.KitRoot + "/secrets/check"

// secretCheck is the record of what the server that started last has for
// secrets: fingerprints from which they cannot be had, slow to try guesses at.
type secretCheck struct {
	Version int    `json:"version"`
	Salt    string `json:"salt"`
	// Current seals, and all of Accepted open.
	Current  string   `json:"current"`
	Accepted []string `json:"accepted"`
}

const (
	fingerprintSize  = 16
	fingerprintSalt  = 16
	fingerprintTries = 100_000
)

// CheckShared compares the secrets with those of the server that started last
// on the same storage, and leaves a record of its own there. It reports whether
// each opens what the other seals; the first server agrees with itself.
func (k *Keyring) CheckShared(ctx context.Context, records storage.Records) (agree bool, err error) {
	for try := 0; ; try++ {
		rec, err := records.Get(ctx, secretCheckKey)
		var last secretCheck
		switch {
		case errors.Is(err, storage.ErrNotFound):
			rec.Version = storage.Absent
		case err != nil:
			return false, fmt.Errorf("compare secrets: %w", err)
		case json.Unmarshal(rec.Value, &last) != nil:
			last = secretCheck{} // it is written anew
		}
		mine, err := k.secretCheck(last.Salt)
		if err != nil {
			return false, fmt.Errorf("compare secrets: %w", err)
		}
		agree = last.Version != 1 || slices.Contains(mine.Accepted, last.Current) && slices.Contains(last.Accepted, mine.Current)
		value, err := json.Marshal(mine)
		if err != nil || string(value) == string(rec.Value) {
			return agree, err
		}
		_, err = records.Put(ctx, secretCheckKey, value, rec.Version)
		switch {
		case err == nil:
			return agree, nil
		case !errors.Is(err, storage.ErrConflict) || try > 5:
			return false, fmt.Errorf("compare secrets: %w", err)
		}
	}
}

// secretCheck is the record of this keyring, with a salt that is there or a new
// one.
func (k *Keyring) secretCheck(salted string) (secretCheck, error) {
	salt, err := hex.DecodeString(salted)
	if err != nil || len(salt) != fingerprintSalt {
		salt = make([]byte, fingerprintSalt)
		if _, err := rand.Read(salt); err != nil {
			return secretCheck{}, err
		}
	}
	check := secretCheck{Version: 1, Salt: hex.EncodeToString(salt)}
	k.mu.RLock()
	secrets := k.secrets
	k.mu.RUnlock()
	for _, s := range secrets {
		sum, err := pbkdf2.Key(sha256.New, s.text, append([]byte("registrykit/v1 secret check"), salt...), fingerprintTries, fingerprintSize)
		if err != nil {
			return secretCheck{}, err
		}
		check.Accepted = append(check.Accepted, hex.EncodeToString(sum))
	}
	check.Current = check.Accepted[0]
	slices.Sort(check.Accepted)
	check.Accepted = slices.Compact(check.Accepted)
	return check, nil
}
