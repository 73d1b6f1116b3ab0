package s3store_test

import (
	"context"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/s3store"
)

// TestLateDelete: what was signed is refused once it has expired, so that a
// deletion which comes late deletes nothing.
func TestLateDelete(t *testing.T) {
	ctx := context.Background()
	s := open(t, config(t))
	info, err := s.Blobs.Put(ctx, []byte("put afresh"))
	must(t, err)
	may := func(context.Context) error { return nil }
	late := s3store.PrepareDeleteAt(ctx, t, s.Blobs, 2*time.Minute, storage.Target{Blob: info.Digest})
	if !late.Expires().Before(time.Now()) {
		t.Errorf("it expires at %s", late.Expires())
	}
	if err := late.Do(ctx, may); err == nil {
		t.Errorf("a deletion that has expired was done")
	}
	if _, err := s.Blobs.Stat(ctx, info.Digest); err != nil {
		t.Errorf("the blob is gone: %v", err)
	}
	now := s3store.PrepareDeleteAt(ctx, t, s.Blobs, 0, storage.Target{Blob: info.Digest})
	must(t, now.Do(ctx, may))
	if _, err := s.Blobs.Stat(ctx, info.Digest); err == nil {
		t.Errorf("the blob is there")
	}
}
