package registry_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// check returns the kinds of what a check finds.
func check(t *testing.T, r *registry.Registry, repair bool) []string {
	t.Helper()
	var kinds []string
	sum, err := r.Check(t.Context(), registry.CheckOptions{Content: true, Repair: repair}, func(f registry.Finding) {
		kinds = append(kinds, f.Kind)
		if f.Message == "" || repair && f.Kind != "blob-orphan" && f.Kind != "reference-missing" && f.Kind != "manifest-unfinished" && f.Kind != "settings-damaged" && !f.Repaired {
			t.Errorf("%+v", f)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if sum.Broken+sum.Garbage != len(kinds) {
		t.Errorf("%+v counts otherwise than %v", sum, kinds)
	}
	slices.Sort(kinds)
	return kinds
}

// Ensure that a check finds nothing in what was pushed and deleted through us,
// but garbage, and every kind of damage that is done behind our back; that a
// repair mends what it says; and that a second check then finds nothing broken.
func TestCheck(t *testing.T) {
	const repo = "docker/registry/v2/repositories/team/app"
	for name, c := range map[string]struct {
		damage func(t *testing.T, s store, p pushed)
		finds  []string
		left   []string // after a repair
	}{
		"nothing": {func(*testing.T, store, pushed) {}, nil, nil},
		"a layer's content is gone": {func(t *testing.T, s store, p pushed) {
			must(t, s.Blobs().Delete(t.Context(), p.config))
		}, []string{"layer-missing", "reference-missing", "reference-missing"}, []string{"reference-missing", "reference-missing"}},
		"a manifest's content is gone": {func(t *testing.T, s store, p pushed) {
			must(t, s.Blobs().Delete(t.Context(), p.image))
		}, []string{"manifest-missing"}, []string{}},
		"a layer's link is gone": {func(t *testing.T, s store, p pushed) {
			must(t, s.Records().Delete(t.Context(), repo+"/_layers/sha256/"+p.config.Hex()+"/link", storage.Any))
		}, []string{"blob-orphan", "reference-missing", "reference-missing"}, []string{"blob-orphan", "reference-missing", "reference-missing"}},
		"an image without a tag lacks a layer": {func(t *testing.T, s store, p pushed) {
			r := newRegistry(s)
			layer := pushBlob(t, r, app, oci.SHA256, "a layer of its own")
			put(t, r, app, imageOf(layer, ""))
			must(t, s.Records().Delete(t.Context(), repo+"/_layers/sha256/"+layer.Hex()+"/link", storage.Any))
		}, []string{"blob-orphan", "manifest-unfinished"}, []string{"blob-orphan", "manifest-unfinished"}},
		"a link is empty": {func(t *testing.T, s store, p pushed) {
			write(t, s, repo+"/_layers/sha256/"+p.config.Hex()+"/link", "")
		}, []string{"link-damaged", "reference-missing", "reference-missing"}, nil},
		"a manifest's link is gone": {func(t *testing.T, s store, p pushed) {
			must(t, s.Records().Delete(t.Context(), repo+"/_manifests/revisions/sha256/"+p.image.Hex()+"/link", storage.Any))
		}, []string{"blob-orphan", "tag-dangling"}, []string{"blob-orphan"}},
		"a tag points at nothing": {func(t *testing.T, s store, p pushed) {
			must(t, s.Records().Delete(t.Context(), repo+"/_manifests/tags/v1/current/link", storage.Any))
		}, []string{"tag-dangling"}, nil},
		"a tag's history is gone": {func(t *testing.T, s store, p pushed) {
			must(t, s.Records().Delete(t.Context(), repo+"/_manifests/tags/v1/index/sha256/"+p.image.Hex()+"/link", storage.Any))
		}, []string{"tag-history"}, nil},
		"a referrer is not listed": {func(t *testing.T, s store, p pushed) {
			must(t, s.Records().Delete(t.Context(), repo+"/_referrers/sha256/"+p.image.Hex()+"/sha256/"+p.signature.Hex()+"/descriptor", storage.Any))
		}, []string{"referrer-missing"}, nil},
		"the settings are damaged": {func(t *testing.T, s store, p pushed) {
			write(t, s, settingsOfApp, "{}")
		}, []string{"settings-damaged"}, []string{"settings-damaged"}},
		"a listed referrer is gone": {func(t *testing.T, s store, p pushed) {
			must(t, s.Records().Delete(t.Context(), repo+"/_manifests/revisions/sha256/"+p.signature.Hex()+"/link", storage.Any))
		}, []string{"blob-orphan", "referrer-dangling"}, []string{"blob-orphan"}},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryStore(t, func(t *testing.T, s store) {
				r := newRegistry(s)
				c.damage(t, s, pushAll(t, r))
				if got := check(t, r, false); !slices.Equal(got, c.finds) && len(got)+len(c.finds) > 0 {
					t.Errorf("found %v, want %v", got, c.finds)
				}
				check(t, r, true)
				if got := check(t, r, false); !slices.Equal(got, c.left) && len(got)+len(c.left) > 0 {
					t.Errorf("after a repair %v, want %v", got, c.left)
				}
			})
		})
	}
}

// Ensure that a blob whose bytes changed on the disk is found, and that after a
// repair a push brings it back.
func TestCheckDamagedBlob(t *testing.T) {
	onEveryStore(t, func(t *testing.T, s store) {
		r := newRegistry(s)
		p := pushAll(t, r)
		damaged := registry.New(flipped{s.Blobs(), p.config}, s.Records(), registry.Options{})
		var kinds []string
		_, err := damaged.Check(t.Context(), registry.CheckOptions{Content: true, Repair: true}, func(f registry.Finding) { kinds = append(kinds, f.Kind) })
		if err != nil || !slices.Contains(kinds, "blob-damaged") {
			t.Errorf("found %v, %v", kinds, err)
		}
		pushBlob(t, r, app, oci.SHA256, "{}")
		if got := check(t, r, false); len(got) > 0 {
			t.Errorf("after a push: %v", got)
		}
	})
}

// flipped serves other bytes for one blob.
type flipped struct {
	storage.Blobs
	d oci.Digest
}

func (f flipped) Open(ctx context.Context, d oci.Digest, offset int64) (io.ReadCloser, error) {
	if d == f.d {
		return io.NopCloser(strings.NewReader("[]")), nil
	}
	return f.Blobs.Open(ctx, d, offset)
}

type pushed struct{ config, image, signature oci.Digest }

func pushAll(t *testing.T, r *registry.Registry) pushed {
	t.Helper()
	p := pushed{config: pushBlob(t, r, app, oci.SHA256, "{}")}
	p.image = put(t, r, app, imageOf(p.config, ""), "v1")
	p.signature = put(t, r, app, imageOf(p.config, `,"subject":`+descriptor(p.image, 1)))
	pushBlob(t, r, other, oci.SHA512, "x")
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, s store, key, value string) {
	t.Helper()
	if _, err := s.Records().Put(t.Context(), key, []byte(value), storage.Any); err != nil {
		t.Fatal(err)
	}
}
