package main_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/errgroup"
)

const (
	benchClients = 8
	benchRounds  = 20
	benchRound   = 300 * time.Millisecond
	// leastRatio is what an authenticated request must be worth: bcrypt runs once per credential, not once per request.
	leastRatio = 0.8

	benchUser     = "bench"
	benchPassword = "correct horse battery staple"
)

// BenchmarkAuthentication compares requests with a password to anonymous ones, on ours and, beside it, on distribution 3. Passwords are kept
// as bcrypt hashes of cost 10. Run it with -benchtime=1x: it keeps its own time, so that the two kinds of request can take short turns on a
// machine that does other things as well.
func BenchmarkAuthentication(b *testing.B) {
	if raceDetector() {
		b.Skip("a figure under the race detector says nothing")
	}
	// A managed user closes the storage that it is kept in, also for a server without users in its configuration: so there are two roots.
	open, htpasswd := benchConfig(b, b.TempDir())
	managed, _ := benchConfig(b, b.TempDir())

	distribution := func(tb testing.TB) string { return tool(tb, "distribution") }
	for _, run := range []struct {
		name   string
		binary func(testing.TB) string
		config string
		env    []string
		least  float64
	}{
		{"registryserver/managed", buildServer, managed, []string{"REGISTRY_ADMIN_USERNAME=" + benchUser, "REGISTRY_ADMIN_PASSWORD=" + benchPassword}, leastRatio},
		{"registryserver/htpasswd", buildServer, htpasswd, nil, leastRatio},
		{"distribution-3/htpasswd", distribution, htpasswd, nil, 0},
	} {
		b.Run(run.name, func(b *testing.B) {
			binary := run.binary(b)
			anonymous, authenticated := startRegistry(b, binary, open), startRegistry(b, binary, run.config, run.env...)
			authenticated.login(benchUser, benchPassword)
			pushImage(b, anonymous)
			pushImage(b, authenticated)
			for _, path := range []string{"/v2/", "/v2/bench/manifests/latest"} {
				b.Run("GET "+path, func(b *testing.B) {
					var without, with float64
					for range benchRounds {
						without += requestRate(b, anonymous.URL+path) / benchRounds
						with += requestRate(b, authenticated.URL+path) / benchRounds
					}
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(without, "anonymous/s")
					b.ReportMetric(with, "authenticated/s")
					b.ReportMetric(with/without, "ratio")
					if with/without < run.least {
						b.Errorf("%.0f authenticated and %.0f anonymous requests/s: a ratio of %.2f, less than %.2f", with, without, with/without, run.least)
					}
				})
			}
		})
	}
}

// benchConfig returns the same registry without and with an htpasswd file. Neither writes an access log, which would be most of what is measured.
func benchConfig(b *testing.B, root string) (open, htpasswd string) {
	b.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(benchPassword), 10)
	if err != nil {
		b.Fatal(err)
	}
	file := filepath.Join(b.TempDir(), "htpasswd")
	if err := os.WriteFile(file, fmt.Appendf(nil, "%s:%s\n", benchUser, hash), 0o600); err != nil {
		b.Fatal(err)
	}
	open = filesystemConfig(root) + "log:\n  level: error\n  accesslog:\n    disabled: true\n"
	return open, open + fmt.Sprintf("auth:\n  htpasswd:\n    realm: bench\n    path: %q\n", file)
}

// pushImage stores the smallest image there is: an empty config and no layers.
func pushImage(b *testing.B, p *process) {
	b.Helper()
	const mediaType = "application/vnd.oci.image.manifest.v1+json"
	config := []byte("{}")
	pushBlob(b, p, "bench", sha256Digest(config), config)
	pushManifest(b, p, "bench", "latest", mediaType, fmt.Appendf(nil,
		`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[]}`,
		mediaType, sha256Digest(config)))
}

// requestRate lets parallel clients send GET requests for one round, and returns how many were answered per second. A request that has begun
// is waited for: where a password takes a tenth of a second, cutting it off would leave nothing to count.
func requestRate(b *testing.B, url string) float64 {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: benchClients}}
	defer client.CloseIdleConnections()
	var answered atomic.Int64
	var clients errgroup.Group
	start := time.Now()
	for range benchClients {
		clients.Go(func() error {
			for time.Since(start) < benchRound {
				if err := get(b.Context(), client, url); err != nil {
					return err
				}
				answered.Add(1)
			}
			return nil
		})
	}
	if err := clients.Wait(); err != nil {
		b.Fatal(err)
	}
	return float64(answered.Load()) / time.Since(start).Seconds()
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, resp.Status)
	}
	return nil
}
