package main_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// s3Delay is added to every request to S3, as a network would.
const s3Delay = 20 * time.Millisecond

// BenchmarkS3 puts the same loads on ours and on distribution 3, each on a bucket
// of its own behind the same kind of proxy, in turn. With a delay at each
// request, what counts is how many of them a client waits for.
func BenchmarkS3(b *testing.B) {
	if raceDetector() {
		b.Skip("a figure under the race detector says nothing")
	}
	servers := []s3Peer{{"registryserver", buildServer(b)}, {"distribution-3", tool(b, "distribution")}}
	layers := make([][]byte, 5)
	digests := make([]string, len(layers))
	for i := range layers {
		layers[i] = noise(b, 32<<20)
		digests[i] = sha256Digest(layers[i])
	}
	for _, l := range []struct {
		name  string
		times int
		run   func(b *testing.B, p *process, n int)
	}{
		{"a whole small image, 20 ms a request", 10, pushTiny},
		{"32 MiB, POST+PATCH+PUT, 20 ms a request", len(layers), func(b *testing.B, p *process, n int) { patchDigest(b, p, "bench/patch", digests[n], layers[n]) }},
		{"32 MiB, POST+PUT, 20 ms a request", len(layers), func(b *testing.B, p *process, n int) { pushBlob(b, p, "bench/put", digests[n], layers[n]) }},
		{"manifest GET by tag, 20 ms a request", 20, func(b *testing.B, p *process, _ int) { mustGet(b, p, "/v2/bench/tiny/manifests/t0") }},
	} {
		for _, s := range servers {
			b.Run(l.name+"/"+s.name, func(b *testing.B) {
				bucket, p := s.start(b)
				pushTiny(b, p, 1000) // so that the server has seen a repository
				if strings.HasPrefix(l.name, "manifest") {
					pushTiny(b, p, 0)
				}
				bucket.wait(s3Delay)
				requests := 0
				start := time.Now()
				for n := range l.times {
					requests += len(bucket.count(func() { l.run(b, p, n) }))
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(time.Since(start).Seconds()*1000/float64(l.times), "wall-ms")
				b.ReportMetric(float64(requests)/float64(l.times), "s3-requests")
			})
		}
	}
	for _, l := range []struct {
		name     string
		parallel int
		size     int
	}{{"peak memory, 4 parallel pushes of 32 MiB", 4, 32 << 20}, {"peak memory, 100 parallel pushes of 64 MiB", 100, 64 << 20}} {
		for _, s := range servers {
			b.Run(l.name+"/"+s.name, func(b *testing.B) { s.measurePeak(b, l.parallel, l.size) })
		}
	}
	for _, s := range servers {
		b.Run("push of 8 MiB beside 50 stalled uploads/"+s.name, func(b *testing.B) { s.measureStalled(b) })
	}
}

// s3Peer is a registry under measurement.
type s3Peer struct{ name, binary string }

func (s s3Peer) start(b *testing.B) (*s3Proxy, *process) {
	b.Helper()
	bucket := countS3(b)
	config := strings.Replace(bucket.config(), "disable: true", "disable: false", 1)
	return bucket, startRegistry(b, s.binary, config+"log:\n  level: error\n  accesslog:\n    disabled: true\n")
}

// wait adds a delay to each request from now on.
func (p *s3Proxy) wait(delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = delay
}

func noise(b *testing.B, size int) []byte {
	b.Helper()
	content := make([]byte, size)
	if _, err := rand.Read(content); err != nil {
		b.Fatal(err)
	}
	return content
}

// measurePeak reports the largest resident set of a server that has done nothing
// else. Contents differ in their first bytes only, so as not to fill the memory
// of the test.
func (s s3Peer) measurePeak(b *testing.B, parallel, size int) {
	_, p := s.start(b)
	content := noise(b, size)
	var clients errgroup.Group
	start := time.Now()
	for range parallel {
		head := noise(b, 64)
		clients.Go(func() error {
			mine := io.MultiReader(bytes.NewReader(head), bytes.NewReader(content[len(head):]))
			sum := sha256.New()
			sum.Write(head)
			sum.Write(content[len(head):])
			return pushReader(p, mine, int64(size), fmt.Sprintf("sha256:%x", sum.Sum(nil)))
		})
	}
	if err := clients.Wait(); err != nil {
		b.Error(err)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(p.peakMemory(b))/(1<<20), "peak-MiB")
	b.ReportMetric(time.Since(start).Seconds(), "wall-s")
}

// pushReader pushes docker-style what it reads.
func pushReader(p *process, content io.Reader, size int64, digest string) error {
	send := func(method, to string, body io.Reader, size int64, want int) (*url.URL, error) {
		req, err := http.NewRequest(method, to, body)
		if err != nil {
			return nil, err
		}
		req.ContentLength = size
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != want {
			return nil, fmt.Errorf("%s: %s", method, resp.Status)
		}
		return resp.Location()
	}
	location, err := send(http.MethodPost, p.URL+"/v2/bench/memory/blobs/uploads/", nil, 0, http.StatusAccepted)
	if err == nil {
		location, err = send(http.MethodPatch, location.String(), content, size, http.StatusAccepted)
	}
	if err != nil {
		return err
	}
	query := location.Query()
	query.Set("digest", digest)
	location.RawQuery = query.Encode()
	_, err = send(http.MethodPut, location.String(), nil, 0, http.StatusCreated)
	return err
}

// measureStalled compares pushes beside clients that have begun an upload and
// send nothing more to pushes without.
func (s s3Peer) measureStalled(b *testing.B) {
	_, p := s.start(b)
	push := func() time.Duration {
		content := noise(b, 8<<20)
		start := time.Now()
		patchBlob(b, p, "bench/stalled", content)
		return time.Since(start)
	}
	average := func() (sum time.Duration) {
		const times = 10
		for range times {
			sum += push() / times
		}
		return sum
	}
	push()
	alone := average()
	for range 50 {
		body, stall := io.Pipe()
		b.Cleanup(func() { _ = stall.Close() })
		resp, _ := do(b, http.MethodPost, p.URL+"/v2/bench/stalled/blobs/uploads/", nil)
		location, err := resp.Location()
		if err != nil {
			b.Fatal(err)
		}
		req, err := http.NewRequestWithContext(b.Context(), http.MethodPatch, location.String(), body)
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			if resp, err := (&http.Transport{}).RoundTrip(req); err == nil {
				_ = resp.Body.Close()
			}
		}()
		if _, err := stall.Write(make([]byte, 1<<20)); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(3 * time.Second) // by now they have stalled
	beside := average()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(alone.Seconds()*1000, "alone-ms")
	b.ReportMetric(beside.Seconds()*1000, "beside-ms")
	b.ReportMetric(beside.Seconds()/alone.Seconds(), "ratio")
}
