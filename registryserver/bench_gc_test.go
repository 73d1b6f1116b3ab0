package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// gcBlobs is how many blobs BenchmarkGarbageCollect has; GC_BENCH_BLOBS is another
// number.
func gcBlobs(tb testing.TB) int {
	text := os.Getenv("GC_BENCH_BLOBS")
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 10 || n%10 != 0 {
		tb.Fatalf("GC_BENCH_BLOBS=%q is no number of blobs that 10 divides", text)
	}
	return n
}

// seedGarbage writes a storage of images with a layer each of their own, of which
// every tenth blob is garbage, without any server: 10,000 manifests for 100,000
// blobs.
func seedGarbage(tb testing.TB, root string, blobs int) {
	tb.Helper()
	dir := filepath.Join(root, "docker/registry/v2")
	write := func(path, content string) {
		path = filepath.Join(dir, path)
		err := os.MkdirAll(filepath.Dir(path), 0o777)
		if err == nil {
			err = os.WriteFile(path, []byte(content), 0o666)
		}
		if err != nil {
			tb.Error(err)
		}
	}
	put := func(content string) string {
		hex := strings.TrimPrefix(sha256Digest([]byte(content)), "sha256:")
		write("blobs/sha256/"+hex[:2]+"/"+hex+"/data", content)
		return hex
	}
	image := func(n int) {
		repo := fmt.Sprintf("repositories/team%d/app", n%50)
		link := func(kind, hex string) { write(repo+"/"+kind+"/sha256/"+hex+"/link", "sha256:"+hex) }
		config := put(fmt.Sprintf(`{"n":%d}`, n))
		link("_layers", config)
		var layers []string
		for l := range 7 {
			hex := put(fmt.Sprintf("layer %d of image %d", l, n))
			link("_layers", hex)
			layers = append(layers, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:%s","size":20}`, hex))
		}
		lost := put(fmt.Sprintf("garbage %d", n))
		link("_layers", lost)
		manifest := put(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%s","size":9},"layers":[%s]}`, tinyType, config, strings.Join(layers, ",")))
		link("_manifests/revisions", manifest)
		write(fmt.Sprintf("%s/_manifests/tags/v%d/current/link", repo, n), "sha256:"+manifest)
		write(fmt.Sprintf("%s/_manifests/tags/v%d/index/sha256/%s/link", repo, n, manifest), "sha256:"+manifest)
	}
	// Most of the time is that of the file system: several at once take less of it.
	var group errgroup.Group
	group.SetLimit(8)
	for n := range blobs / 10 {
		group.Go(func() error { image(n); return nil })
	}
	_ = group.Wait()
}

// BenchmarkGarbageCollect collects the garbage of 100,000 blobs on a disk: ours in
// two runs, of which the second deletes, and that of distribution in one, with no
// server beside it.
func BenchmarkGarbageCollect(b *testing.B) {
	size := gcBlobs(b)
	for _, who := range []string{"registryserver", "distribution"} {
		b.Run(who, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				root := b.TempDir()
				seedGarbage(b, root, size)
				file := writeConfig(b, filesystemConfig(root))
				b.StartTimer()
				run := func(name, binary string, args ...string) {
					cmd := exec.Command(binary, append(args, file)...)
					cmd.Env = append(os.Environ(), "REGISTRY_GC_GRACE=0s", "OTEL_TRACES_EXPORTER=none")
					began := time.Now()
					if out, err := cmd.CombinedOutput(); err != nil {
						b.Fatalf("%v\n%s", err, out)
					}
					used := cmd.ProcessState.SysUsage().(*syscall.Rusage)
					b.ReportMetric(time.Since(began).Seconds(), name+"-s")
					b.ReportMetric(float64(used.Maxrss)/1024, name+"-MiB")
				}
				if who == "distribution" {
					run("run", tool(b, "distribution"), "garbage-collect", "--quiet")
				} else {
					binary := buildServer(b)
					run("mark", binary, "exclusive")
					run("first", binary, "garbage-collect", "--quiet")
					run("second", binary, "garbage-collect", "--quiet")
					run("third", binary, "garbage-collect", "--quiet")
				}
				b.StopTimer()
				left := 0
				blobs, _ := filepath.Glob(filepath.Join(root, "docker/registry/v2/blobs/sha256/*/*/data"))
				if left = len(blobs); left != size-size/10 {
					b.Errorf("%d blobs are left", left)
				}
				b.StartTimer()
			}
		})
	}
}
