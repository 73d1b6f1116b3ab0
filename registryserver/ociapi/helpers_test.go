package ociapi_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/ociapi"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/fsstore"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// newClient starts an API over a new directory. Deletes are allowed unless the
// configuration says otherwise. With users (by name, each with its policies)
// the registry is closed, and a user's password is "password of <name>".
func newClient(t *testing.T, config ociapi.Config, users ...auth.UserSpec) *client {
	t.Helper()
	store, err := fsstore.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	directory, err := auth.OpenDirectory(t.Context(), auth.DirectoryConfig{Records: store.Records(), BcryptCost: 4})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		password := "password of " + u.Username
		u.Password, u.Enabled = &password, true
		if _, err := directory.CreateUser(t.Context(), u, ""); err != nil {
			t.Fatal(err)
		}
	}
	faults := &storagetest.Faults{}
	config.Registry = registry.New(faults.Blobs(store.Blobs()), faults.Records(store.Records()), registry.Options{})
	if config.Gate, err = auth.NewGate(auth.Config{Directory: directory, AnonymousPull: config.Registry.AnonymousPull}); err != nil {
		t.Fatal(err)
	}
	if config.Keys, err = auth.NewKeyring("a secret"); err != nil {
		t.Fatal(err)
	}
	yes := true
	if config.Deletes == nil {
		config.Deletes = &yes
	}
	c := &client{t: t, directory: directory, faults: faults, clock: time.Now}
	config.Now = func() time.Time { return c.clock() }
	config.RelativeURLs = config.Host == nil
	c.api = ociapi.New(config)
	c.server = httptest.NewServer(c.api)
	t.Cleanup(c.server.Close)
	return c
}
