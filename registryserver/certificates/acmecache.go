package certificates

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/crypto/acme/autocert"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// acmePurpose is what private keys of ACME are sealed for.
const acmePurpose = "acme"

// acmeCache is autocert's cache in the storage (docs/storage-format.md). Each
// ACME server has a folder of its own, so that a try with Let's Encrypt's
// staging server leaves nothing behind that would be served later.
type acmeCache struct {
	records storage.Records
	keys    *auth.Keyring // nil: values are plain
	folder  string        // with a slash at its end
	log     *slog.Logger
	now     func() time.Time
}

func newACMECache(c ACMEConfig) *acmeCache {
	sum := sha256.Sum256([]byte(c.DirectoryURL))
	return &acmeCache{
		records: c.Records, keys: c.Keys, log: c.Log, now: time.Now,
		folder: storage.KitRoot + "/acme/" + hex.EncodeToString(sum[:8]) + "/",
	}
}

// Get returns a value, or autocert.ErrCacheMiss. One that is not sealed as it
// would be today is sealed anew.
func (c *acmeCache) Get(ctx context.Context, name string) ([]byte, error) {
	key := c.folder + name
	rec, err := c.records.Get(ctx, key)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, autocert.ErrCacheMiss
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	plain := rec.Value
	if !bytes.HasPrefix(rec.Value, []byte("-----BEGIN ")) {
		if plain, err = c.open(key, rec.Value); err != nil {
			return nil, err
		}
	}
	if c.keys != nil && !c.keys.SealedWithCurrent(rec.Value) {
		if err := c.put(ctx, key, plain, rec.Version); err != nil && !errors.Is(err, storage.ErrConflict) {
			c.log.WarnContext(ctx, "a private key of ACME could not be sealed with the present http.secret; keep the previous one", "record", key, "error", err)
		}
	}
	return plain, nil
}

func (c *acmeCache) open(key string, sealed []byte) ([]byte, error) {
	err := errors.New("no http.secret is configured")
	if c.keys != nil {
		var plain []byte
		if plain, err = c.keys.Open(acmePurpose, sealed, []byte(key)); err == nil {
			return plain, nil
		}
	}
	return nil, fmt.Errorf("the record %s was sealed with another http.secret; add that to http.previoussecrets, or remove the record to begin anew: %w", key, err)
}

// Put keeps a value.
func (c *acmeCache) Put(ctx context.Context, name string, value []byte) error {
	return c.put(ctx, c.folder+name, value, storage.Any)
}

func (c *acmeCache) put(ctx context.Context, key string, value []byte, was storage.Version) error {
	if c.keys != nil {
		var err error
		if value, err = c.keys.Seal(acmePurpose, value, []byte(key)); err != nil {
			return err
		}
	}
	_, err := c.records.Put(ctx, key, value, was)
	return err
}

// Delete removes a value.
func (c *acmeCache) Delete(ctx context.Context, name string) error {
	return c.records.Delete(ctx, c.folder+name, storage.Any)
}

// accountKey returns the key of the account. Of several servers that start at
// once, one makes it and all return the same.
func (c *acmeCache) accountKey(ctx context.Context) (crypto.Signer, error) {
	const name = "account"
	for try := 0; ; try++ {
		value, err := c.Get(ctx, name)
		if err == nil {
			block, _ := pem.Decode(value)
			if block == nil {
				return nil, fmt.Errorf("the key of the ACME account (%s%s) is damaged; remove that record to make a new account", c.folder, name)
			}
			return x509.ParseECPrivateKey(block.Bytes)
		}
		if !errors.Is(err, autocert.ErrCacheMiss) {
			return nil, err
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			return nil, err
		}
		err = c.put(ctx, c.folder+name, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), storage.Absent)
		switch {
		case err == nil:
			return key, nil
		case !errors.Is(err, storage.ErrConflict) || try > 2:
			return nil, fmt.Errorf("keep the key of the ACME account: %w", err)
		}
	}
}

// leaf returns the certificate of the host, or nil.
func (c *acmeCache) leaf(ctx context.Context, host string) *x509.Certificate {
	value, err := c.Get(ctx, host)
	for err == nil {
		var block *pem.Block
		if block, value = pem.Decode(value); block == nil {
			return nil
		}
		if block.Type == "CERTIFICATE" {
			leaf, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil
			}
			return leaf
		}
	}
	return nil
}

// lease says that a server is getting a certificate.
type lease struct {
	Version int       `json:"version"`
	Owner   string    `json:"owner"`
	Until   time.Time `json:"until"`
}

const (
	// leaseTime is far longer than getting a certificate takes, and bounds how
	// long others wait for a server that ended meanwhile.
	leaseTime = 2 * time.Minute
	leasePoll = 500 * time.Millisecond
)

// inTurn calls get while no other server is getting a certificate for the host,
// or once one is there that is enough. It is a courtesy, and not a lock: two certificates do
// no harm but count against the limits of the ACME server.
func (a *ACME) inTurn(ctx context.Context, host string, enough func(*x509.Certificate) bool, get func() error) error {
	c := a.cache
	there := func() bool {
		leaf := c.leaf(ctx, host)
		return leaf != nil && enough(leaf)
	}
	key, owner := c.folder+"leases/"+host, rand.Text()
	for {
		if there() {
			return get()
		}
		version, err := c.takeLease(ctx, key, owner)
		switch {
		case err == nil:
			defer func() { _ = c.records.Delete(context.WithoutCancel(ctx), key, version) }()
			if there() {
				return get()
			}
			a.log.InfoContext(ctx, "getting a certificate over ACME", "host", host)
			return get()
		case !errors.Is(err, storage.ErrConflict):
			return fmt.Errorf("take turns with other servers: %w", err)
		}
		select {
		case <-time.After(leasePoll):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// takeLease takes a lease that nobody has, or whose time is over.
// storage.ErrConflict.
func (c *acmeCache) takeLease(ctx context.Context, key, owner string) (storage.Version, error) {
	was := storage.Absent
	rec, err := c.records.Get(ctx, key)
	switch {
	case err == nil:
		var held lease
		if json.Unmarshal(rec.Value, &held) == nil && c.now().Before(held.Until) && held.Until.Before(c.now().Add(2*leaseTime)) {
			return "", storage.ErrConflict
		}
		was = rec.Version
	case !errors.Is(err, storage.ErrNotFound):
		return "", err
	}
	value, err := json.Marshal(lease{1, owner, c.now().Add(leaseTime).UTC()})
	if err != nil {
		return "", err
	}
	return c.records.Put(ctx, key, value, was)
}
