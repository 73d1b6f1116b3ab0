package registry

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// sharedKey is the name of a fact in the shared cache, or "" where it can have
// none: facts of one epoch are no facts of another.
func (f *facts) sharedKey(seen Epoch, kind, key string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.shared == nil || f.latest.ID == "" || seen != f.known || !f.usable() {
		return ""
	}
	return f.latest.ID + "." + strconv.FormatInt(int64(seen), 10) + ":" + kind + ":" + key
}

// sharedLink is link for what other instances have seen.
func (f *facts) sharedLink(ctx context.Context, seen Epoch, key string) (oci.Digest, bool) {
	name := f.sharedKey(seen, "link", key)
	if name == "" {
		return oci.Digest{}, false
	}
	value, ok := f.shared.Get(ctx, name)
	if !ok {
		return oci.Digest{}, false
	}
	d, err := oci.ParseDigest(string(value))
	if err == nil {
		f.found.Add(1)
	}
	return d, err == nil
}

// sharedBlob is blob for what other instances have seen.
func (f *facts) sharedBlob(ctx context.Context, seen Epoch, d oci.Digest) (storage.BlobInfo, bool) {
	name := f.sharedKey(seen, "blob", d.String())
	if name == "" {
		return storage.BlobInfo{}, false
	}
	value, ok := f.shared.Get(ctx, name)
	if !ok {
		return storage.BlobInfo{}, false
	}
	info := storage.BlobInfo{Digest: d}
	size, modTime, _ := strings.Cut(string(value), " ")
	var err1, err2 error
	info.Size, err1 = strconv.ParseInt(size, 10, 64)
	info.ModTime, err2 = time.Parse(time.RFC3339Nano, modTime)
	if ok = err1 == nil && err2 == nil && info.Size >= 0; ok {
		f.found.Add(1)
	}
	return info, ok
}

// shareLink and shareBlob tell other instances.
func (f *facts) shareLink(seen Epoch, key string, d oci.Digest) {
	if name := f.sharedKey(seen, "link", key); name != "" && !d.IsZero() {
		f.shared.Put(name, []byte(d.String()))
	}
}

func (f *facts) shareBlob(seen Epoch, info storage.BlobInfo) {
	if name := f.sharedKey(seen, "blob", info.Digest.String()); name != "" {
		f.shared.Put(name, fmt.Appendf(nil, "%d %s", info.Size, info.ModTime.UTC().Format(time.RFC3339Nano)))
	}
}
