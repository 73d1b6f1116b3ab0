package storage

import (
	"context"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// BlobURLs is what a store of blobs may also be: one from which clients can
// fetch content themselves. Ask for it with As.
type BlobURLs interface {
	// BlobURL returns a URL from which whoever has it can GET the content of the
	// canonical digest d, ranges included, until it expires. Whether there is such
	// content is not looked at.
	BlobURL(ctx context.Context, d oci.Digest, expires time.Duration) (string, error)
}

// LatestStates is what a store of blobs may also be: one that keeps an upload's
// state now and then, beside what it hands out.
type LatestStates interface {
	// LatestState returns the newest state that is known of the upload that a
	// state is of: that one, or a later one. ErrUploadUnknown if the upload was
	// aborted, wherever.
	LatestState(ctx context.Context, state []byte) ([]byte, error)
}

// As returns what lies in a stack of decorators, from the outermost in: a
// decorator that embeds Blobs hides what else its store can do, and has a method
// Unwrap() Blobs so that it is found all the same.
func As[T any](b Blobs) (T, bool) {
	for b != nil {
		if t, ok := b.(T); ok {
			return t, true
		}
		wrapper, ok := b.(interface{ Unwrap() Blobs })
		if !ok {
			break
		}
		b = wrapper.Unwrap()
	}
	var none T
	return none, false
}
