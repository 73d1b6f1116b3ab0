package main_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	layerSize   = 16 << 20
	layerCount  = 12 // layers that one load pushes or pulls
	smallImages = 60
	manyTags    = 2000
)

// load is something that clients do again and again. run does it once, as the
// n-th; size is how many bytes of content that moves, or 0 where the number of
// requests is what counts.
type load struct {
	name     string
	times    int
	parallel int
	size     int64
	run      func(b *testing.B, p *process, n int)
}

// BenchmarkLoad puts the same loads on ours and on distribution 3, on the same
// disk, in turn, and reports what each cost the server: CPU seconds per GB, or
// CPU milliseconds per operation, wall time, and peak memory.
func BenchmarkLoad(b *testing.B) {
	if raceDetector() {
		b.Skip("a figure under the race detector says nothing")
	}
	layers := make([][]byte, layerCount)
	for i := range layers {
		layers[i] = make([]byte, layerSize)
		if _, err := rand.Read(layers[i]); err != nil {
			b.Fatal(err)
		}
	}
	config := func() string {
		return filesystemConfig(b.TempDir()) + "log:\n  level: error\n  accesslog:\n    disabled: true\n"
	}
	type server struct {
		name   string
		binary string
		p      *process
	}
	servers := []*server{{name: "registryserver", binary: buildServer(b)}, {name: "distribution-3", binary: tool(b, "distribution")}}
	for _, s := range servers {
		s.p = startRegistry(b, s.binary, config())
	}
	for _, l := range loads(layers) {
		for _, s := range servers {
			b.Run(l.name+"/"+s.name, func(b *testing.B) { l.measure(b, s.p) })
		}
	}
	// Peak memory wants a server that has done nothing else.
	for _, s := range servers {
		b.Run("4 parallel pushes of 16 MiB/"+s.name, func(b *testing.B) {
			p := startRegistry(b, s.binary, config())
			parallel := load{times: len(layers), parallel: 4, size: layerSize, run: func(b *testing.B, p *process, n int) { patchBlob(b, p, "bench/patch", layers[n]) }}
			parallel.measure(b, p)
			b.ReportMetric(float64(p.peakMemory(b))/(1<<20), "peak-MiB")
		})
	}
}

func loads(layers [][]byte) []load {
	var digests []string
	for _, layer := range layers {
		digests = append(digests, sha256Digest(layer))
	}
	return []load{
		{"push 16 MiB, POST+PATCH+PUT", len(layers), 1, layerSize, func(b *testing.B, p *process, n int) { patchBlob(b, p, "bench/patch", layers[n]) }},
		{"push 16 MiB, POST+PUT", len(layers), 1, layerSize, func(b *testing.B, p *process, n int) {
			layers[n][0]++ // another digest than above
			pushBlob(b, p, "bench/put", sha256Digest(layers[n]), layers[n])
			layers[n][0]--
		}},
		{"pull 16 MiB", 4 * len(layers), 1, layerSize, func(b *testing.B, p *process, n int) {
			mustGet(b, p, "/v2/bench/patch/blobs/"+digests[n%len(digests)])
		}},
		{"small image push", smallImages, 1, 0, func(b *testing.B, p *process, n int) { pushTiny(b, p, n) }},
		{"manifest GET by tag", 4000, 1, 0, func(b *testing.B, p *process, n int) { mustGet(b, p, "/v2/bench/tiny/manifests/t0") }},
		{"small image pull", 1000, 1, 0, func(b *testing.B, p *process, n int) {
			layer, config := tiny(n % smallImages)
			mustGet(b, p, fmt.Sprintf("/v2/bench/tiny/manifests/t%d", n%smallImages))
			mustGet(b, p, "/v2/bench/tiny/blobs/"+sha256Digest(config))
			mustGet(b, p, "/v2/bench/tiny/blobs/"+sha256Digest(layer))
		}},
		{"push of one more manifest and tag", manyTags, 1, 0, func(b *testing.B, p *process, n int) {
			layer, config := tiny(0)
			manifest := tinyManifest(config, layer) // each tag has one of its own, as in real life
			manifest = fmt.Appendf(manifest[:len(manifest)-1], `,"annotations":{"n":"%d"}}`, n)
			pushManifest(b, p, "bench/tiny", fmt.Sprintf("many-%04d", n), tinyType, manifest)
		}},
		{fmt.Sprintf("list %d tags", manyTags), 20, 1, 0, func(b *testing.B, p *process, n int) { mustGet(b, p, "/v2/bench/tiny/tags/list") }},
	}
}

func (l load) measure(b *testing.B, p *process) {
	cpu, start := p.cpu(b), time.Now()
	var clients errgroup.Group
	clients.SetLimit(l.parallel)
	for n := range l.times {
		clients.Go(func() error { l.run(b, p, n); return nil })
	}
	if err := clients.Wait(); err != nil {
		b.Fatal(err)
	}
	wall, used := time.Since(start), p.cpu(b)-cpu
	b.ReportMetric(0, "ns/op")
	if l.size > 0 {
		gb := float64(l.size) * float64(l.times) / 1e9
		b.ReportMetric(used.Seconds()/gb, "cpu-s/GB")
		b.ReportMetric(wall.Seconds()/gb, "wall-s/GB")
		return
	}
	b.ReportMetric(used.Seconds()*1000/float64(l.times), "cpu-ms")
	b.ReportMetric(wall.Seconds()*1000/float64(l.times), "wall-ms")
}

const tinyType = "application/vnd.oci.image.manifest.v1+json"

// tiny is the n-th small image: a layer of 4 KiB and a config.
func tiny(n int) (layer, config []byte) {
	return bytes.Repeat(fmt.Appendf(nil, "%08d", n), 512), fmt.Appendf(nil, `{"n":%d}`, n)
}

func tinyManifest(config, layer []byte) []byte {
	return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/x","digest":%q,"size":%d},"layers":[{"mediaType":"application/x","digest":%q,"size":%d}]}`,
		tinyType, sha256Digest(config), len(config), sha256Digest(layer), len(layer))
}

// pushTiny does what clients do: look for the layer, push it and the config,
// and then the manifest.
func pushTiny(b *testing.B, p *process, n int) {
	layer, config := tiny(n)
	resp, _ := do(b, http.MethodHead, p.URL+"/v2/bench/tiny/blobs/"+sha256Digest(layer), nil)
	if resp.StatusCode != http.StatusNotFound {
		b.Fatalf("the layer is there already: %s", resp.Status)
	}
	pushBlob(b, p, "bench/tiny", sha256Digest(layer), layer)
	pushBlob(b, p, "bench/tiny", sha256Digest(config), config)
	pushManifest(b, p, "bench/tiny", fmt.Sprintf("t%d", n), tinyType, tinyManifest(config, layer))
}

func mustGet(b *testing.B, p *process, path string) {
	resp, body := do(b, http.MethodGet, p.URL+path, nil, "Accept", tinyType)
	if resp.StatusCode != http.StatusOK {
		b.Fatalf("GET %s: %s\n%s", path, resp.Status, body)
	}
}

// cpu is the processor time that the server has used so far.
func (p *process) cpu(b *testing.B) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		b.Skipf("the processor time of another process cannot be read here: %v", err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var ticks int64
	for _, field := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / 100 // USER_HZ is 100 on every Linux
}

// peakMemory is the largest resident set that the server has had, in bytes.
func (p *process) peakMemory(b *testing.B) int64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		b.Skipf("the memory of another process cannot be read here: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "VmHWM:" {
			kib, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib << 10
		}
	}
	b.Fatal("no VmHWM")
	return 0
}
