package s3store

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// entry is what a listing found: an object, or with a delimiter also a folder,
// whose key ends in "/". Keys are without the store's prefix.
type entry struct {
	key    string
	object *types.Object // nil for a folder
}

// entries yields what begins with prefix and comes after the key after, in the
// byte order of keys.
func (s *Store) entries(ctx context.Context, prefix, after, delimiter string) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		in := &s3.ListObjectsV2Input{Bucket: s.bucket, Prefix: s.key(prefix)}
		if delimiter != "" {
			in.Delimiter = aws.String(delimiter)
		}
		if after != "" {
			in.StartAfter = s.key(after)
		}
		for {
			if err := ctx.Err(); err != nil {
				yield(entry{}, err)
				return
			}
			page, err := s.api.ListObjectsV2(ctx, in)
			if err != nil {
				yield(entry{}, fmt.Errorf("list %s: %w", prefix, notCancelled(ctx, err)))
				return
			}
			for _, e := range s.merge(page) {
				if !yield(e, nil) {
					return
				}
			}
			if !aws.ToBool(page.IsTruncated) {
				return
			}
			in.ContinuationToken = page.NextContinuationToken
		}
	}
}

// merge returns the objects and folders of a page in one order.
func (s *Store) merge(page *s3.ListObjectsV2Output) []entry {
	found := make([]entry, 0, len(page.Contents)+len(page.CommonPrefixes))
	for i := range page.Contents {
		found = append(found, entry{strings.TrimPrefix(aws.ToString(page.Contents[i].Key), s.prefix), &page.Contents[i]})
	}
	for _, p := range page.CommonPrefixes {
		found = append(found, entry{key: strings.TrimPrefix(aws.ToString(p.Prefix), s.prefix)})
	}
	slices.SortStableFunc(found, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	return found
}

func (r records) List(ctx context.Context, prefix, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := storage.CheckPrefix(prefix); err != nil {
			yield("", err)
			return
		}
		if after > prefix && !strings.HasPrefix(after, prefix) {
			if err := ctx.Err(); err != nil {
				yield("", err)
			}
			return // all that begin with prefix come before
		}
		for {
			skip := ""
			for e, err := range r.entries(ctx, prefix, after, "") {
				if err != nil {
					yield("", err)
					return
				}
				if dir := reservedFolder(e.key); dir != "" {
					skip = dir
					break
				}
				if e.key > after && storage.CheckKey(e.key) == nil && !yield(e.key, nil) {
					return
				}
			}
			if skip == "" {
				return
			}
			after = skip + "/" + afterAll // go on behind what holds no records
		}
	}
}

// afterAll comes after every name that a key of this store has.
const afterAll = "~~~~"

// reservedFolder is the folder of the store's own that a key lies in.
func reservedFolder(key string) string {
	for _, dir := range reservedDirs() {
		if strings.HasPrefix(key, dir+"/") && key <= dir+"/"+afterAll {
			return dir
		}
	}
	return ""
}

// Children lists with the delimiter "/". S3 orders folders by their name with
// the "/" at its end, so that a-b/ comes before a/, and the name a before a-b:
// a name that goes on with a byte before "/" is held back until all that it
// begins with is known, which is when the listing has passed "a/".
func (r records) Children(ctx context.Context, dir, after string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		prefix := ""
		if dir != "" {
			if err := storage.CheckKey(dir); err != nil {
				yield("", err)
				return
			}
			prefix = dir + "/"
		}
		start := ""
		if after != "" {
			start = prefix + after
		}
		var held heldNames
		for e, err := range r.entries(ctx, prefix, start, "/") {
			if err != nil {
				yield("", err)
				return
			}
			key := strings.TrimPrefix(e.key, prefix)
			name := strings.TrimSuffix(key, "/")
			shown, err := r.isChild(ctx, prefix+name, name, e.object != nil)
			if err != nil {
				yield("", err)
				return
			}
			if !held.pass(key, yield) {
				return
			}
			if shown && name > after && !held.add(name, yield) {
				return
			}
		}
		held.flush(yield)
	}
}

// isChild reports whether there are records below a name, or it is one.
func (r records) isChild(ctx context.Context, path, name string, object bool) (bool, error) {
	if storage.CheckKey(name) != nil || reserved(path) {
		return false, nil
	}
	if object || !holdsReserved(path) {
		return true, nil
	}
	for _, err := range r.List(ctx, path+"/", "") {
		return err == nil, err
	}
	return false, nil
}

// holdsReserved reports whether folders of the store's own lie below path.
func holdsReserved(path string) bool {
	for _, dir := range reservedDirs() {
		if strings.HasPrefix(dir, path+"/") {
			return true
		}
	}
	return false
}

// heldNames are the names, in the order of a listing, that a shorter one may
// still have to come before. All of them begin with that shorter one, so it is
// at most the tags of one repository, or the repositories of one folder.
type heldNames struct {
	names   []string
	barrier string // the key that they wait for
}

// pass lets the names go once the listing has come to the key they wait for.
func (h *heldNames) pass(key string, yield func(string, error) bool) bool {
	if h.barrier == "" || key < h.barrier {
		return true
	}
	if key == h.barrier {
		return true // it joins them: see add
	}
	return h.flush(yield)
}

func (h *heldNames) add(name string, yield func(string, error) bool) bool {
	if h.barrier != "" {
		h.names = append(h.names, name)
		if name+"/" == h.barrier {
			return h.flush(yield)
		}
		return true
	}
	for i := 1; i < len(name); i++ {
		if name[i] < '/' {
			h.names, h.barrier = append(h.names, name), name[:i]+"/"
			return true
		}
	}
	return yield(name, nil)
}

func (h *heldNames) flush(yield func(string, error) bool) bool {
	slices.Sort(h.names)
	names := slices.Compact(h.names)
	h.names, h.barrier = nil, ""
	for _, name := range names {
		if !yield(name, nil) {
			return false
		}
	}
	return true
}
