package replication

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// documentKey is the one record of all replications.
const documentKey = storage.KitRoot + "/replications"

const documentVersion = 1

// document is that record, in JSON (docs/storage-format.md).
type document struct {
	Version      int                `json:"version"`
	Replications map[string]*record `json:"replications"` // by name
}

// record is one replication. Records are replaced whole, never edited.
type record struct {
	Revision      string    `json:"revision"`
	URL           string    `json:"url"`
	Insecure      bool      `json:"insecure,omitempty"`
	Repositories  []string  `json:"repositories,omitempty"`
	Tags          []string  `json:"tags,omitempty"`
	Enabled       bool      `json:"enabled"`
	Username      string    `json:"username,omitempty"`
	Password      []byte    `json:"password,omitempty"`          // sealed with http.secret
	PasswordSetAs string    `json:"password_revision,omitempty"` // changes whenever it is set
	CreatedAt     time.Time `json:"created_at"`
	UpdatedAt     time.Time `json:"updated_at"`
}

// sealPurpose is what passwords are sealed for.
const sealPurpose = "replication password"

func parseDocument(value []byte) (*document, error) {
	d := new(document)
	if err := json.Unmarshal(value, d); err != nil {
		return nil, errors.New("it is not the JSON that this server writes")
	}
	if d.Version != documentVersion {
		return nil, fmt.Errorf("it has format %d, and this server knows only %d; was it written by a newer one?", d.Version, documentVersion)
	}
	for name, r := range d.Replications {
		if r == nil {
			return nil, fmt.Errorf("the replication %q is empty", name)
		}
	}
	return d, nil
}

func (d *document) clone() *document {
	c := &document{Version: d.Version, Replications: maps.Clone(d.Replications)}
	if c.Replications == nil {
		c.Replications = make(map[string]*record)
	}
	return c
}

// seal binds the password to the host that it was given for: no change of the
// record sends it to another one.
func seal(keys *auth.Keyring, name, host, password string) ([]byte, error) {
	return keys.Seal(sealPurpose, []byte(password), sealedFor(name, host))
}

func (r *record) password(keys *auth.Keyring, name, host string) (string, error) {
	if len(r.Password) == 0 {
		return "", nil
	}
	if keys != nil {
		if password, err := keys.Open(sealPurpose, r.Password, sealedFor(name, host)); err == nil {
			return string(password), nil
		}
	}
	return "", errForeignSecret
}

var errForeignSecret = errors.New("its password cannot be opened with the present http.secret; add the one that it was set under to http.previoussecrets, or set the password anew")

func sealedFor(name, host string) []byte { return []byte(documentKey + "\n" + name + "\n" + host) }

// rule opens a record. What is wrong with it is its Problem.
func (r *record) rule(name string, keys *auth.Keyring) *rule {
	out := &rule{Replication: Replication{
		Name: name, URL: r.URL, Insecure: r.Insecure, Enabled: r.Enabled, Username: r.Username, HasPassword: len(r.Password) > 0,
		CredentialRevision: r.PasswordSetAs, Revision: r.Revision, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}}
	var err error
	if out.Repositories, err = parseGlobs(r.Repositories); err == nil {
		out.Tags, err = oci.ParseTagPatterns(r.Tags)
	}
	if err != nil { // which images it is for is not known: nothing is copied
		out.Problem, out.Enabled = err.Error(), false
		return out
	}
	if out.destination, err = oci.ParseDestination(r.URL, r.Insecure); err == nil {
		out.password, err = r.password(keys, name, out.destination.Host())
	}
	if err != nil {
		out.Problem = err.Error()
	}
	return out
}

func parseGlobs(texts []string) ([]oci.Glob, error) {
	var globs []oci.Glob
	for _, text := range texts {
		glob, err := oci.ParseGlob(text)
		if err != nil {
			return nil, err
		}
		globs = append(globs, glob)
	}
	return globs, nil
}
