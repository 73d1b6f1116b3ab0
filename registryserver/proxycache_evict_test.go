package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	adminclient "github.com/registrykit/terraform-provider-registry/registryserver/client"
)

// TestProxyCacheEvicts: a cache that was filled beyond its bound loses what was
// pulled longest ago, and nothing else; what stays is whole and served without the
// upstream, and what went comes again.
func TestProxyCacheEvicts(t *testing.T) {
	t.Parallel()
	t.Run("disk", func(t *testing.T) {
		t.Parallel()
		testProxyCacheEvicts(t, filesystemConfig(t.TempDir()))
	})
	t.Run("S3", func(t *testing.T) {
		if testing.Short() {
			t.Skip("long: each collection that deletes tags in a bucket waits until late requests have expired")
		}
		t.Parallel()
		testProxyCacheEvicts(t, startS3(t).config())
	})
}

func testProxyCacheEvicts(t *testing.T, config string) {
	up, p := startUpstream(t), cachingServer(t, config, noGrace...)
	cacheOf(t, p, adminclient.ProxyCacheSpec{Prefix: "hub", UpstreamURL: up.URL, MaxSizeBytes: 250_000})
	if out, err := runWith(t, config, nil, "exclusive"); err != nil {
		t.Fatalf("exclusive: %v %s", err, out)
	}
	var manifests, layers [][]byte
	for n := range 3 {
		layers = append(layers, hubNoise(70+n, 100_000))
		manifests = append(manifests, up.publish(t, "app", fmt.Sprintf("v%d", n), layers[n]))
	}
	pull := func(n int) {
		t.Helper()
		pulls(t, p, fmt.Sprintf("hub/app/manifests/v%d", n), manifests[n])
		pulls(t, p, "hub/app/blobs/"+sha256Digest(layers[n]), layers[n])
	}
	for _, n := range []int{0, 1, 2, 0} {
		pull(n)
		time.Sleep(1100 * time.Millisecond) // a store may know times to the second
	}
	content := []byte("of our own")
	pushBlob(t, p, "hubs/app", sha256Digest(content), content)
	pushManifest(t, p, "hubs/app", "v1", tinyType, layeredManifest(content))

	const why = "the pull-through cache hub may have 250000 bytes, and this was used longest ago"
	for run, want := range []string{"deleted: tag hub/app v1 (0 bytes): " + why, "deleted: manifest hub/app " + sha256Digest(manifests[1]) + " (0 bytes): " + why} {
		out, err := runWith(t, config, noGrace, "garbage-collect")
		if err != nil || !strings.Contains(out, want) || strings.Contains(out, "hub/app v0") || strings.Contains(out, "hub/app v2") || strings.Contains(out, "hubs/app") {
			t.Errorf("collection %d: %v\n%s", run+1, err, out)
		}
	}
	up.breaks(func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusBadGateway); return true })
	pull(0)
	pull(2)
	refuses(t, p, "hub/app/manifests/v1", http.StatusServiceUnavailable, "UNAVAILABLE")
	refuses(t, p, "hub/app/blobs/"+sha256Digest(layers[1]), http.StatusServiceUnavailable, "UNAVAILABLE")
	if out, err := runWith(t, config, nil, "fsck"); err != nil || strings.Contains(out, "broken ") {
		t.Errorf("fsck: %v\n%s", err, out)
	}
	up.breaks(nil)
	evicted := "GET /v2/app/blobs/" + sha256Digest(layers[1])
	before := up.count(evicted)
	pull(1)
	if n := up.count(evicted) - before; n != 1 {
		t.Errorf("what was evicted was fetched again %d times, want 1", n)
	}
	if n := up.count("GET /v2/app/blobs/" + sha256Digest(layers[2])); n != 1 {
		t.Errorf("what stayed was fetched %d times", n)
	}
	if out, err := runWith(t, config, nil, "fsck"); err != nil || strings.Contains(out, "broken ") {
		t.Errorf("fsck: %v\n%s", err, out)
	}
}
