package events

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// webhooksKey is the record of all webhooks, in JSON (docs/storage-format.md).
const webhooksKey = storage.KitRoot + "/webhooks"

const documentVersion = 1

// document is the record. Secrets in it are sealed with http.secret.
type document struct {
	Version  int                `json:"version"`
	Webhooks map[string]*record `json:"webhooks"`
}

type record struct {
	Description   string   `json:"description,omitempty"`
	URL           string   `json:"url"`
	Format        Format   `json:"format"`
	Repositories  []string `json:"repositories,omitempty"`
	Actions       []Action `json:"actions"`
	Blobs         bool     `json:"blobs,omitempty"`
	Enabled       bool     `json:"enabled"`
	Secret        []byte   `json:"secret,omitempty"`
	Authorization []byte   `json:"authorization,omitempty"`
	// SecretRevision changes whenever one of the two does.
	SecretRevision string    `json:"secret_revision,omitempty"`
	CreateKey      string    `json:"create_key,omitempty"` // of the request that made it
	Revision       string    `json:"revision"`
	CreatedAt      time.Time `json:"created_at"`
	UpdatedAt      time.Time `json:"updated_at"`
}

// What secrets are sealed for.
const (
	secretPurpose        = "webhook secret"
	authorizationPurpose = "webhook authorization"
)

var errForeignSecret = errors.New("its secrets cannot be opened with the present http.secret; add the one that they were stored under to http.previoussecrets, or set them anew")

func parseDocument(value []byte) (document, error) {
	doc := document{Version: documentVersion}
	if value != nil {
		if err := json.Unmarshal(value, &doc); err != nil {
			return doc, fmt.Errorf("the record %s is not the JSON that this server writes: %w", webhooksKey, err)
		}
		if doc.Version != documentVersion {
			return doc, fmt.Errorf("the record %s has format %d, and this server knows only %d; was it written by a newer one?", webhooksKey, doc.Version, documentVersion)
		}
	}
	if doc.Webhooks == nil {
		doc.Webhooks = make(map[string]*record)
	}
	for name, r := range doc.Webhooks {
		if r == nil {
			return doc, fmt.Errorf("the record %s has nothing for the webhook %q", webhooksKey, name)
		}
	}
	return doc, nil
}

// set changes a record to what spec says.
func (r *record) set(spec Spec, keys *auth.Keyring) error {
	r.Description, r.URL, r.Format, r.Actions, r.Blobs, r.Enabled = spec.Description, spec.URL, spec.Format, spec.Actions, spec.Blobs, spec.Enabled
	r.Repositories = nil
	for _, glob := range spec.Repositories {
		r.Repositories = append(r.Repositories, glob.String())
	}
	if err := seal(keys, secretPurpose, spec.Name, spec.Secret, &r.Secret); err != nil {
		return err
	}
	if err := seal(keys, authorizationPurpose, spec.Name, spec.Authorization, &r.Authorization); err != nil {
		return err
	}
	switch {
	case len(r.Secret) == 0 && len(r.Authorization) == 0:
		r.SecretRevision = ""
	case spec.Secret != nil || spec.Authorization != nil:
		r.SecretRevision = rand.Text()
	}
	return nil
}

// receiver opens a record. What is wrong with it is its Problem.
func (r *record) receiver(name string, keys *auth.Keyring) *receiver {
	out := &receiver{Webhook: Webhook{
		Name: name, Description: r.Description, URL: r.URL, Format: r.Format, Actions: r.Actions, Blobs: r.Blobs, Enabled: r.Enabled,
		HasSecret: len(r.Secret) > 0, HasAuthorization: len(r.Authorization) > 0,
		SecretRevision: r.SecretRevision, Revision: r.Revision, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}}
	for _, text := range r.Repositories {
		glob, err := oci.ParseGlob(text)
		if err != nil {
			out.Problem = err.Error()
			return out
		}
		out.Repositories = append(out.Repositories, glob)
	}
	var err error
	if out.secret, err = unseal(keys, secretPurpose, name, r.Secret); err == nil {
		out.authorization, err = unseal(keys, authorizationPurpose, name, r.Authorization)
	}
	if err != nil {
		out.Problem = err.Error()
	}
	return out
}

func unseal(keys *auth.Keyring, purpose, name string, sealed []byte) (string, error) {
	switch {
	case len(sealed) == 0:
		return "", nil
	case keys == nil:
		return "", errForeignSecret
	}
	plain, err := keys.Open(purpose, sealed, []byte(name))
	if err != nil {
		return "", errForeignSecret
	}
	return string(plain), nil
}

// seal puts a secret into a field: nil keeps what is there, "" removes it.
func seal(keys *auth.Keyring, purpose, name string, plain *string, field *[]byte) error {
	switch {
	case plain == nil:
		return nil
	case *plain == "":
		*field = nil
		return nil
	case keys == nil:
		return oci.Errorf(oci.CodeConflict, "no http.secret is configured, and without one the secrets of webhooks cannot be kept safely: set http.secret (REGISTRY_HTTP_SECRET), to the same value on every server, restart, and try again")
	}
	sealed, err := keys.Seal(purpose, []byte(*plain), []byte(name))
	*field = sealed
	return err
}
