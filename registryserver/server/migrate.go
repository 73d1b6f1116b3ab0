package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/registrykit/terraform-provider-registry/registryserver/migrate"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

// Migrate brings all that the storage of one configuration keeps to that of
// another. A server may serve from the first; none from the second.
func Migrate(ctx context.Context, from, to *Config, o migrate.Options) (*migrate.Report, error) {
	if o.Final && !from.Storage.ReadOnly {
		return nil, errors.New("the last pass needs a storage that nobody writes to: set storage.maintenance.readonly.enabled to true in the old configuration, restart its servers with it (or stop them), and run the same command again")
	}
	if from.Storage.where() == to.Storage.where() {
		return nil, fmt.Errorf("both configurations have the same storage, %s", from.Storage.where())
	}
	old, err := openStore(ctx, from.Storage, slog.Default())
	if err != nil {
		return nil, fmt.Errorf("the old storage: %w", err)
	}
	defer old.Close()
	if err := keysCanMove(ctx, from, to, old, o); err != nil {
		return nil, err
	}
	next, err := openStore(ctx, to.Storage, slog.Default())
	if err != nil {
		return nil, fmt.Errorf("the new storage: %w", err)
	}
	defer next.Close()
	o.Enter = registry.New(next.Blobs(), next.Records(), registryOptions(to, nil)).Enter
	return migrate.Run(ctx,
		migrate.Store{Blobs: old.Blobs(), Records: old.Records(), Name: from.Storage.where()},
		migrate.Store{Blobs: next.Blobs(), Records: next.Records(), Name: to.Storage.where()}, o)
}

// where names a storage, unlike Place so that no two have one name.
func (c StorageConfig) where() string {
	if c.S3 != nil {
		return "s3 " + c.S3.RegionEndpoint + " " + c.S3.Bucket + " " + c.S3.RootDirectory
	}
	if absolute, err := filepath.Abs(c.Filesystem.RootDirectory); err == nil {
		return "filesystem " + absolute
	}
	return "filesystem " + c.Filesystem.RootDirectory
}

// keysCanMove refuses private keys that the new servers could not open: they are
// encrypted under http.secret, which is in no storage.
func keysCanMove(ctx context.Context, from, to *Config, old store, o migrate.Options) error {
	if o.WithoutKeys || from.HTTP.Secret != "" && (to.HTTP.Secret == from.HTTP.Secret || slices.Contains(to.HTTP.PreviousSecrets, from.HTTP.Secret)) {
		return nil
	}
	has, err := migrate.Keys(ctx, old.Records())
	if err != nil || !has {
		return err
	}
	return errors.New("the old storage has certificates or keys of ACME, which its http.secret protects: put that secret into the old configuration's http.secret, and into the new one's http.secret or http.previoussecrets; or leave them behind with --without-keys, and install the certificates anew")
}
