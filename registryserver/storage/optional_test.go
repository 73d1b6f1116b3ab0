package storage_test

import (
	"context"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

type (
	withURLs  struct{ storage.Blobs }
	decorator struct{ storage.Blobs }
	opaque    struct{ storage.Blobs }
)

func (withURLs) BlobURL(context.Context, oci.Digest, time.Duration) (string, error) { return "", nil }

func (d decorator) Unwrap() storage.Blobs { return d.Blobs }

func TestAs(t *testing.T) {
	for name, c := range map[string]struct {
		stack storage.Blobs
		found bool
	}{
		"itself":                   {withURLs{}, true},
		"below two decorators":     {decorator{decorator{withURLs{}}}, true},
		"not there":                {decorator{opaque{}}, false},
		"below one that hides it":  {decorator{opaque{withURLs{}}}, false},
		"a decorator over nothing": {decorator{}, false},
		"nothing":                  {nil, false},
	} {
		if _, found := storage.As[storage.BlobURLs](c.stack); found != c.found {
			t.Errorf("%s: found is %v", name, found)
		}
	}
}
