package server

import (
	"context"
	"io"
	"log/slog"

	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
)

// OpenImages opens the images in the storage of a configuration, for a program
// that is no server. Servers may run on the storage meanwhile.
func OpenImages(ctx context.Context, c *Config) (*registry.Registry, io.Closer, error) {
	store, err := openStore(ctx, c.Storage, slog.Default())
	if err != nil {
		return nil, nil, err
	}
	return registry.New(store.Blobs(), store.Records(), registryOptions(c, nil)), store, nil
}
