package server

import (
	"context"
	"io"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// operations observes the operations of a store: in the metrics, and in the
// trace of the request that they are for.
type operations struct {
	metrics *metrics
	tracing *tracing
	driver  string
}

func (s *Server) operations(driver string) operations {
	return operations{metrics: s.metrics, tracing: s.tracing, driver: driver}
}

// observed runs one operation. Actions have distribution's names.
func observed[T any](ctx context.Context, o operations, action string, run func(context.Context) (T, error)) (T, error) {
	start := time.Now()
	ctx, traced := o.tracing.operation(ctx, o.driver, action)
	got, err := run(ctx)
	o.metrics.storage.WithLabelValues(o.driver, action).Observe(time.Since(start).Seconds())
	traced(err)
	return got, err
}

// measuredBlobs and measuredRecords observe the operations of a store.
type measuredBlobs struct {
	storage.Blobs
	operations
}

func (b measuredBlobs) Stat(ctx context.Context, d oci.Digest) (storage.BlobInfo, error) {
	return observed(ctx, b.operations, "Stat", func(ctx context.Context) (storage.BlobInfo, error) { return b.Blobs.Stat(ctx, d) })
}

func (b measuredBlobs) Open(ctx context.Context, d oci.Digest, offset int64) (io.ReadCloser, error) {
	return observed(ctx, b.operations, "Reader", func(ctx context.Context) (io.ReadCloser, error) { return b.Blobs.Open(ctx, d, offset) })
}

func (b measuredBlobs) Put(ctx context.Context, content []byte) (storage.BlobInfo, error) {
	return observed(ctx, b.operations, "PutContent", func(ctx context.Context) (storage.BlobInfo, error) { return b.Blobs.Put(ctx, content) })
}

// Unwrap is for storage.As.
func (b measuredBlobs) Unwrap() storage.Blobs { return b.Blobs }

type measuredRecords struct {
	storage.Records
	operations
}

func (rs measuredRecords) Get(ctx context.Context, key string) (storage.Record, error) {
	return observed(ctx, rs.operations, "GetContent", func(ctx context.Context) (storage.Record, error) { return rs.Records.Get(ctx, key) })
}

func (rs measuredRecords) Put(ctx context.Context, key string, value []byte, was storage.Version) (storage.Version, error) {
	return observed(ctx, rs.operations, "PutContent", func(ctx context.Context) (storage.Version, error) { return rs.Records.Put(ctx, key, value, was) })
}

func (rs measuredRecords) Delete(ctx context.Context, key string, was storage.Version) error {
	_, err := observed(ctx, rs.operations, "Delete", func(ctx context.Context) (struct{}, error) { return struct{}{}, rs.Records.Delete(ctx, key, was) })
	return err
}
