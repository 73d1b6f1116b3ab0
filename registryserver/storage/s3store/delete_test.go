package s3store

import (
	"context"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// PrepareDeleteAt is PrepareDelete as if it had happened that long ago: for tests
// of what S3 makes of requests that come late.
func PrepareDeleteAt(ctx context.Context, t testing.TB, b storage.Blobs, ago time.Duration, targets ...storage.Target) storage.Deletion {
	t.Helper()
	clock := &b.(blobs).clock
	clock.set(time.Now().Add(-ago))
	defer func() { clock.set(time.Now()) }()
	d, err := b.(blobs).PrepareDelete(ctx, targets)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
