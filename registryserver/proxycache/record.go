package proxycache

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// documentKey is the one record of all caches: looking for changes then takes
// one request.
const documentKey = storage.KitRoot + "/proxy-caches"

const documentVersion = 1

// document is that record, in JSON (docs/storage-format.md).
type document struct {
	Version int                `json:"version"`
	Caches  map[string]*record `json:"caches"` // by prefix
}

// record is one cache. Records are replaced whole, never edited.
type record struct {
	Revision        string    `json:"revision"`
	URL             string    `json:"url"`
	Username        string    `json:"username,omitempty"`
	Password        []byte    `json:"password,omitempty"`          // sealed with http.secret
	PasswordSetAs   string    `json:"password_revision,omitempty"` // changes whenever it is set
	RevalidateAfter int64     `json:"revalidate_after"`            // seconds
	MaxSize         int64     `json:"max_size,omitempty"`          // bytes; none is no bound
	CreatedAt       time.Time `json:"created_at"`
	UpdatedAt       time.Time `json:"updated_at"`
}

// sealPurpose is what passwords are sealed for.
const sealPurpose = "proxy cache password"

func parseDocument(value []byte) (*document, error) {
	d := new(document)
	if err := json.Unmarshal(value, d); err != nil {
		return nil, errors.New("it is not the JSON that this server writes")
	}
	if d.Version != documentVersion {
		return nil, fmt.Errorf("it has format %d, and this server knows only %d; was it written by a newer one?", d.Version, documentVersion)
	}
	for prefix, r := range d.Caches {
		if r == nil {
			return nil, fmt.Errorf("the cache %q is empty", prefix)
		}
		if _, err := oci.ParseProxyPrefix(prefix); err != nil {
			return nil, err
		}
		if _, err := oci.ParseUpstream(r.URL); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// seal binds the password to the host that it was given for: no change of the
// record sends it to another one.
func seal(keys *auth.Keyring, prefix, url, password string) ([]byte, error) {
	aad, err := sealedFor(prefix, url)
	if err != nil {
		return nil, err
	}
	return keys.Seal(sealPurpose, []byte(password), aad)
}

func (r *record) password(keys *auth.Keyring, prefix string) (string, error) {
	if len(r.Password) == 0 {
		return "", nil
	}
	aad, err := sealedFor(prefix, r.URL)
	if err != nil {
		return "", err
	}
	if keys != nil {
		if password, err := keys.Open(sealPurpose, r.Password, aad); err == nil {
			return string(password), nil
		}
	}
	return "", errForeignSecret
}

var errForeignSecret = errors.New("its password cannot be opened with the present http.secret; add the one that it was set under to http.previoussecrets, or set the password anew")

func sealedFor(prefix, url string) ([]byte, error) {
	u, err := oci.ParseUpstream(url)
	return []byte(documentKey + "\n" + prefix + "\n" + u.Host()), err
}
