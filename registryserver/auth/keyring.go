package auth

import (
	"bytes"
	"context"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Keyring seals small values that leave the server and come back, such as the
// state of an upload in its URL. Its first secret seals; any of them opens, so
// that secrets can be exchanged without a break: a new one is first added as a
// previous one everywhere, then made the current one, then the old one removed.
// For each purpose the keys differ: what was sealed for one does not open for
// another. It is safe for concurrent use.
//
// A sealed value is 1 byte format (1), 4 bytes key id, 24 bytes nonce, and
// the ciphertext of XChaCha20-Poly1305 with its 16 bytes tag. Keys are
// HKDF-SHA256 of the secret with info "registrykit/v1 seal <purpose>", key ids
// the same with info "registrykit/v1 key id".
type Keyring struct {
	mu      sync.RWMutex
	secrets []secret            // the current one first
	keys    map[string][]sealer // by purpose, in the order of secrets
}

// sealer is the key of a purpose, of one secret.
type sealer struct {
	cipher.AEAD
	id [keyIDSize]byte
}

type secret struct {
	text string
	id   [keyIDSize]byte
}

const (
	sealFormat = 1
	keyIDSize  = 4
	sealHeader = 1 + keyIDSize
	// SealOverhead is how much longer a sealed value is than the plain one.
	SealOverhead = sealHeader + chacha20poly1305.NonceSizeX + chacha20poly1305.Overhead
)

// errSealed is all that Open says: the sealed value comes from a stranger.
var errSealed = errors.New("the value was not sealed with a key of this registry for this purpose")

// NewKeyring returns a keyring that seals with current and opens what current
// or one of the previous secrets sealed.
func NewKeyring(current string, previous ...string) (*Keyring, error) {
	k := &Keyring{keys: make(map[string][]sealer)}
	for i, text := range append([]string{current}, previous...) {
		if text == "" {
			return nil, fmt.Errorf("secret %d of the key ring is empty", i+1)
		}
		s, err := newSecret(text)
		if err != nil {
			return nil, err
		}
		k.secrets = append(k.secrets, s)
	}
	return k, nil
}

func newSecret(text string) (secret, error) {
	id, err := hkdf.Key(sha256.New, []byte(text), nil, "registrykit/v1 key id", keyIDSize)
	if err != nil {
		return secret{}, fmt.Errorf("derive key id: %w", err)
	}
	return secret{text, [keyIDSize]byte(id)}, nil
}

// Accept lets the keyring open what another secret sealed, as if it had been a
// previous one from the start. It reports whether that is new.
func (k *Keyring) Accept(text string) (bool, error) {
	if text == "" {
		return false, errors.New("a secret of the key ring is empty")
	}
	s, err := newSecret(text)
	if err != nil {
		return false, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if slices.Contains(k.secrets, s) {
		return false, nil
	}
	k.secrets = append(slices.Clip(k.secrets), s)
	clear(k.keys)
	return true, nil
}

// Seal encrypts plaintext and binds it to the purpose, a constant of the
// caller, and to aad, which must be the same for Open.
func (k *Keyring) Seal(purpose string, plaintext, aad []byte) ([]byte, error) {
	keys, err := k.forPurpose(purpose)
	if err != nil {
		return nil, err
	}
	out := make([]byte, sealHeader+chacha20poly1305.NonceSizeX, SealOverhead+len(plaintext))
	out[0] = sealFormat
	copy(out[1:], keys[0].id[:])
	nonce := out[sealHeader:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return keys[0].Seal(out, nonce, plaintext, aad), nil
}

// Open returns what was sealed for the purpose with aad.
func (k *Keyring) Open(purpose string, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < SealOverhead || sealed[0] != sealFormat {
		return nil, errSealed
	}
	keys, err := k.forPurpose(purpose)
	if err != nil {
		return nil, err
	}
	id, nonce := sealed[1:sealHeader], sealed[sealHeader:sealHeader+chacha20poly1305.NonceSizeX]
	for _, key := range keys {
		if !bytes.Equal(id, key.id[:]) {
			continue
		}
		if plain, err := key.Open(nil, nonce, sealed[sealHeader+len(nonce):], aad); err == nil {
			return plain, nil
		}
	}
	return nil, errSealed
}

// SealedWithCurrent reports whether a value says that it was sealed with the
// current secret. Only Open proves it.
func (k *Keyring) SealedWithCurrent(sealed []byte) bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(sealed) >= SealOverhead && sealed[0] == sealFormat && bytes.Equal(sealed[1:sealHeader], k.secrets[0].id[:])
}

// forPurpose returns the keys of a purpose, deriving them once.
func (k *Keyring) forPurpose(purpose string) ([]sealer, error) {
	k.mu.RLock()
	keys, ok := k.keys[purpose]
	k.mu.RUnlock()
	if ok {
		return keys, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	keys = nil
	for _, s := range k.secrets {
		key, err := hkdf.Key(sha256.New, []byte(s.text), nil, "registrykit/v1 seal "+purpose, chacha20poly1305.KeySize)
		if err != nil {
			return nil, fmt.Errorf("derive key: %w", err)
		}
		aead, err := chacha20poly1305.NewX(key)
		if err != nil {
			return nil, err
		}
		keys = append(keys, sealer{aead, s.id})
	}
	k.keys[purpose] = keys
	return keys, nil
}

const secretKey = storage.KitRoot + "/secrets/http"

// storedSecret is that record.
type storedSecret struct {
	Version int    `json:"version"`
	Secret  string `json:"secret"`
}

// LoadOrCreateSecret returns the HTTP secret that is kept in the store, for a
// server where none is configured. Of several servers that start at once, one
// makes it and all return the same. Whoever reads the store can read it: use it
// for upload sessions only.
func LoadOrCreateSecret(ctx context.Context, records storage.Records) (string, error) {
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return "", err
	}
	mine := storedSecret{1, base64.RawURLEncoding.EncodeToString(fresh)}
	value, err := json.Marshal(mine)
	if err != nil {
		return "", err
	}
	for try := 0; ; try++ {
		existing, err := LoadSecret(ctx, records)
		if existing != "" || err != nil {
			return existing, err
		}
		_, err = records.Put(ctx, secretKey, value, storage.Absent)
		switch {
		case err == nil:
			return mine.Secret, nil
		case !errors.Is(err, storage.ErrConflict) || try > 2:
			return "", fmt.Errorf("keep the HTTP secret: %w", err)
		}
	}
}

// LoadSecret returns the HTTP secret that is kept in the store, or "" if there is
// none.
func LoadSecret(ctx context.Context, records storage.Records) (string, error) {
	existing, err := records.Get(ctx, secretKey)
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the HTTP secret: %w", err)
	}
	var found storedSecret
	if json.Unmarshal(existing.Value, &found) != nil || found.Version != 1 || found.Secret == "" {
		return "", fmt.Errorf("the HTTP secret in the storage (%s) is damaged; remove that record, or set http.secret", secretKey)
	}
	return found.Secret, nil
}
