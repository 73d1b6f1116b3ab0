package certificates

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// certificateFolder is where installed certificates lie, one record each.
const certificateFolder = storage.KitRoot + "/certificates"

// wrapPurpose is what data keys are sealed for.
const wrapPurpose = "certificate data key"

// record is an installed certificate in the storage, in JSON
// (docs/storage-format.md). Its private key is encrypted with a data key of its
// own, and that is wrapped with http.secret: a change of the secret wraps the
// data key anew and leaves the rest alone.
type record struct {
	Version     int       `json:"version"`
	Revision    string    `json:"revision"`
	Certificate string    `json:"certificate_pem"`
	PrivateKey  []byte    `json:"private_key"` // PKCS #8, encrypted with the data key
	DataKey     wrapped   `json:"data_key"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

const recordVersion = 1

// wrapped is a data key under a key that is not in the storage.
type wrapped struct {
	By  string `json:"by"` // byHTTPSecret; leaves room for others
	Key []byte `json:"key"`
}

const byHTTPSecret = "http.secret"

var errForeignSecret = errors.New("its private key cannot be opened with the present http.secret; add the one that it was installed under to http.previoussecrets, or install it anew")

func recordKey(name string) string { return certificateFolder + "/" + name }

// parseRecord parses a record and its certificates, and leaves the key sealed.
func parseRecord(value []byte) (*record, []*x509.Certificate, error) {
	r := new(record)
	if err := json.Unmarshal(value, r); err != nil {
		return nil, nil, errors.New("it is not the JSON that this server writes")
	}
	if r.Version != recordVersion {
		return nil, nil, fmt.Errorf("it has format %d, and this server knows only %d; was it written by a newer one?", r.Version, recordVersion)
	}
	chain, err := parseChain(r.Certificate)
	if err != nil {
		return nil, nil, errors.New("its certificate cannot be parsed")
	}
	return r, chain, nil
}

// setPair puts a checked pair into the record, under a new data key.
func (r *record) setPair(name string, cert *tls.Certificate, keys *auth.Keyring) error {
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return err
	}
	dataKey := make([]byte, chacha20poly1305.KeySize)
	if _, err := rand.Read(dataKey); err != nil {
		return err
	}
	aead, err := chacha20poly1305.NewX(dataKey)
	if err != nil {
		return err
	}
	nonce := make([]byte, aead.NonceSize(), aead.NonceSize()+len(der)+aead.Overhead())
	if _, err := rand.Read(nonce); err != nil {
		return err
	}
	r.Certificate = encodeChain(cert)
	r.PrivateKey = aead.Seal(nonce, nonce, der, keyAAD(name, cert.Leaf))
	return r.wrap(name, dataKey, keys)
}

func (r *record) wrap(name string, dataKey []byte, keys *auth.Keyring) error {
	sealed, err := keys.Seal(wrapPurpose, dataKey, []byte(recordKey(name)))
	r.DataKey = wrapped{By: byHTTPSecret, Key: sealed}
	return err
}

// open decrypts the private key. It also returns the data key, for wrap.
func (r *record) open(name string, chain []*x509.Certificate, keys *auth.Keyring) (cert *tls.Certificate, dataKey []byte, err error) {
	if keys == nil || r.DataKey.By != byHTTPSecret {
		return nil, nil, errForeignSecret
	}
	if dataKey, err = keys.Open(wrapPurpose, r.DataKey.Key, []byte(recordKey(name))); err != nil {
		return nil, nil, errForeignSecret
	}
	aead, err := chacha20poly1305.NewX(dataKey)
	if err != nil || len(r.PrivateKey) < aead.NonceSize() {
		return nil, nil, errDamagedKey
	}
	nonce, sealed := r.PrivateKey[:aead.NonceSize()], r.PrivateKey[aead.NonceSize():]
	der, err := aead.Open(nil, nonce, sealed, keyAAD(name, chain[0]))
	if err != nil {
		return nil, nil, errDamagedKey
	}
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, nil, errDamagedKey
	}
	cert = &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert, dataKey, nil
}

var errDamagedKey = errors.New("its private key is damaged; install it anew")

// keyAAD binds a private key to its record and to its certificate.
func keyAAD(name string, leaf *x509.Certificate) []byte {
	return []byte(recordKey(name) + "\n" + fingerprint(leaf))
}

// fingerprint is the SHA-256 of a certificate, in hex.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}
