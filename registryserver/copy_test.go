package main_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/registrykit/terraform-provider-registry/registryserver/transfer"
)

// TestCopy moves everything from each registry that ours replaces, and from and to ours: images, indexes, signatures in both forms.
func TestCopy(t *testing.T) {
	ours := func(t *testing.T) *process {
		return startServer(t, filesystemConfig(t.TempDir()), "REGISTRY_CATALOG_MAXENTRIES=2", "REGISTRY_TAGS_MAXTAGS=2")
	}
	theirs := func(tool_ string) func(t *testing.T) *process {
		return func(t *testing.T) *process {
			return startRegistry(t, tool(t, tool_), filesystemConfig(t.TempDir()))
		}
	}
	for _, c := range []struct {
		name     string
		from, to func(*testing.T) *process
	}{
		{"distribution-2.8 to ours", theirs("docker-registry"), ours},
		{"distribution-3 to ours", theirs("distribution"), ours},
		{"ours to ours", ours, ours},
		{"ours to distribution-3", ours, theirs("distribution")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			from, to, s := c.from(t), c.to(t), newShelf(t)
			pushShelf(t, from, s)
			signed, signature := pushSigned(t, from)

			r := copyAll(t, from, to)
			if !r.Complete || len(r.Failures) > 0 || r.Sums.BlobsMounted == 0 {
				t.Errorf("%+v", r)
			}
			for repo, tags := range s.tags {
				for tag, artifact := range tags {
					checkArtifact(t, to, repo+":"+tag, artifact)
				}
			}
			checkArtifact(t, to, "signed@"+digestOf(t, signature), signature)
			checkArtifact(t, to, "signed:"+cosignTag(t, signed), signature)
			checkReferrers(t, to, signed, signature)

			again := copyAll(t, from, to)
			if again.Sums.BlobsCopied+again.Sums.ManifestsCopied > 0 || again.Tags != r.Tags {
				t.Errorf("the second time: %+v", again.Sums)
			}
			for _, repository := range again.Repositories {
				for _, tag := range repository.Tags {
					if tag.Result != transfer.Unchanged {
						t.Errorf("the second time %s:%s is %s", repository.Name, tag.Tag, tag.Result)
					}
				}
			}
		})
	}
	t.Run("zot", func(t *testing.T) { t.Skip("zot is not among the tools that .ci/tool installs") })
}

// pushSigned pushes an image with a signature: one that refers to it, and one in a tag as cosign makes it.
func pushSigned(t *testing.T, p *process) (subject, signature v1.Image) {
	t.Helper()
	subject = ociImage(t, 50)
	hash, err := subject.Digest()
	if err != nil {
		t.Fatal(err)
	}
	size, err := subject.Size()
	if err != nil {
		t.Fatal(err)
	}
	signature, _ = mutate.Subject(ociImage(t, 51), v1.Descriptor{MediaType: types.OCIManifestSchema1, Digest: hash, Size: size}).(v1.Image)
	push(t, p, "signed", "v1", subject)
	push(t, p, "signed", "signature", signature)
	push(t, p, "signed", cosignTag(t, subject), signature)
	return subject, signature
}

func cosignTag(t *testing.T, subject artifact) string {
	return strings.Replace(digestOf(t, subject), ":", "-", 1) + ".sig"
}

// checkReferrers fails the test unless the registry, by its API or by a tag, says what refers to the subject.
func checkReferrers(t *testing.T, p *process, subject, signature artifact) {
	t.Helper()
	hash, err := subject.Digest()
	if err != nil {
		t.Fatal(err)
	}
	referrers, err := remote.Referrers(reference(t, p, "signed").Context().Digest(hash.String()), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	list, err := referrers.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(list.Manifests, func(d v1.Descriptor) bool { return d.Digest.String() == digestOf(t, signature) }) {
		t.Errorf("the referrers are %+v; want %s", list.Manifests, digestOf(t, signature))
	}
}

// copyAll copies everything, and returns the report.
func copyAll(t *testing.T, from, to *process, more ...string) *transfer.Report {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.json")
	command{}.ok(t, append([]string{"copy", "--all", "--report", file, "http://" + from.Host, "http://" + to.Host}, more...)...)
	return readCopyReport(t, file)
}

func readCopyReport(t *testing.T, file string) *transfer.Report {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r := new(transfer.Report)
	if err := json.Unmarshal(content, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCopySelection(t *testing.T) {
	t.Parallel()
	from, s := startServer(t, filesystemConfig(t.TempDir())), newShelf(t)
	pushShelf(t, from, s)
	signed, signature := pushSigned(t, from)
	c, src := command{}, "http://"+from.Host
	target := func(t *testing.T) (*process, string) {
		to := startServer(t, filesystemConfig(t.TempDir()))
		return to, "http://" + to.Host
	}
	t.Run("one image", func(t *testing.T) {
		to, dst := target(t)
		c.ok(t, "copy", src+"/app:v1", dst)
		c.ok(t, "copy", src+"/app:v1", dst+"/renamed:other")
		c.ok(t, "copy", src+"/app@"+digestOf(t, s.tags["app"]["v10"]), dst+"/by/digest:x")
		checkArtifact(t, to, "app:v1", s.tags["app"]["v1"])
		checkArtifact(t, to, "renamed:other", s.tags["app"]["v1"])
		checkArtifact(t, to, "by/digest:x", s.tags["app"]["v10"])
		if got := status(t, to, http.MethodGet, "app", "latest"); got != http.StatusNotFound {
			t.Errorf("app:latest is there too: %d", got)
		}
	})
	t.Run("patterns", func(t *testing.T) {
		to, dst := target(t)
		c.ok(t, "copy", "--repository", "app/*", "--repository", "signed", "--tag", "v1*", "--prefix", "old", src, dst)
		checkArtifact(t, to, "old/app/sub_repo:v1", s.tags["app/sub_repo"]["v1"])
		checkArtifact(t, to, "old/signed:v1", signed)
		// What belongs to an image comes with it, whatever the tags are called.
		checkArtifact(t, to, "old/signed:"+cosignTag(t, signed), signature)
		if _, body := do(t, http.MethodGet, to.URL+"/v2/_catalog", nil); string(body) != `{"repositories":["old/app/sub_repo","old/signed"]}` {
			t.Errorf("the catalog is %s", body)
		}
	})
	t.Run("a tag that points elsewhere", func(t *testing.T) {
		to, dst := target(t)
		push(t, to, "app", "v1", image(t, 99))
		c.ok(t, "copy", "--keep", src+"/app", dst)
		checkArtifact(t, to, "app:v1", image(t, 99))
		checkArtifact(t, to, "app:v10", s.tags["app"]["v10"])
		c.ok(t, "copy", src+"/app", dst)
		checkArtifact(t, to, "app:v1", s.tags["app"]["v1"])
	})
	t.Run("refused", func(t *testing.T) {
		_, dst := target(t)
		c.refused(t, "say what to copy", "copy", src, dst)
		c.refused(t, "put --prefix", "copy", "--all", src, dst+"/x")
		c.refused(t, "leave --all", "copy", "--all", src+"/app", dst)
		c.refused(t, "are the same", "copy", "--all", src, src)
		c.refused(t, "no such tag", "copy", src+"/app:nothing", dst)
		c.refused(t, "invalid repository glob", "copy", "--repository", "A", src, dst)
	})
}

// tap is a proxy before a registry. It sees every request, and may answer it instead.
type tap struct {
	*httptest.Server
	mu    sync.Mutex
	auth  []string
	first func(w http.ResponseWriter, r *http.Request) (answered bool)
}

func newTap(t *testing.T, p *process, first func(w http.ResponseWriter, r *http.Request) bool) *tap {
	t.Helper()
	tap := &tap{first: first}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: p.Host})
		r.Out.Host = r.In.Host
	}}
	tap.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tap.mu.Lock()
		if header := r.Header.Get("Authorization"); header != "" {
			tap.auth = append(tap.auth, header)
		}
		tap.mu.Unlock()
		if tap.first == nil || !tap.first(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(tap.Close)
	return tap
}

// logins are the Authorization headers that have come so far.
func (t *tap) logins() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.auth)
}

// The login of each side goes to that side alone.
func TestCopySendsEachLoginToItsOwnHost(t *testing.T) {
	t.Parallel()
	const sourcePassword = "the password of the source"
	from := startServer(t, filesystemConfig(t.TempDir()), "REGISTRY_ADMIN_USERNAME=reader", "REGISTRY_ADMIN_PASSWORD="+sourcePassword)
	to := startServer(t, filesystemConfig(t.TempDir()), adminEnv...)
	f := newFixtures(t, filepath.Join(t.TempDir(), "fixtures"))
	command{env: []string{"REGISTRYSERVER_USERNAME=reader", "REGISTRYSERVER_PASSWORD=" + sourcePassword}}.ok(t, "import", f.imageArchive, from.Host+"/app:v1")
	source, destination := newTap(t, from, nil), newTap(t, to, nil)
	c := command{env: []string{
		"REGISTRYSERVER_SOURCE_USERNAME=reader", "REGISTRYSERVER_SOURCE_PASSWORD=" + sourcePassword,
		"REGISTRYSERVER_DEST_USERNAME=" + adminUser, "REGISTRYSERVER_DEST_PASSWORD=" + adminPassword,
	}}
	c.ok(t, "copy", "--all", source.URL, destination.URL)
	for _, x := range []struct {
		tap  *tap
		user string
	}{{source, "reader"}, {destination, adminUser}} {
		logins := x.tap.logins()
		if len(logins) == 0 {
			t.Errorf("nobody logged in as %s", x.user)
		}
		for _, header := range logins {
			r := http.Request{Header: http.Header{"Authorization": {header}}}
			if user, _, ok := r.BasicAuth(); ok && user != x.user {
				t.Errorf("%s was sent where %s belongs", user, x.user)
			}
		}
	}
	c.refused(t, "wrong user name or password", "copy", "--all", destination.URL, source.URL+"/")
}

// A registry that limits its clients is waited for.
func TestCopyWaitsForRateLimits(t *testing.T) {
	t.Parallel()
	from, to, s := startServer(t, filesystemConfig(t.TempDir())), startServer(t, filesystemConfig(t.TempDir())), newShelf(t)
	pushShelf(t, from, s)
	var refused atomic.Int32
	source := newTap(t, from, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/manifests/") && refused.Add(1)%4 == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
		return false
	})
	command{}.ok(t, "copy", source.URL+"/multi", "http://"+to.Host)
	for tag, artifact := range s.tags["multi"] {
		checkArtifact(t, to, "multi:"+tag, artifact)
	}
	if refused.Load() < 4 {
		t.Errorf("only %d requests", refused.Load())
	}
}

// What is missing at the source fails by its name, and nothing else with it. What was interrupted goes on where it was.
func TestCopyFailsByNameAndGoesOn(t *testing.T) {
	t.Parallel()
	from, to, s := startServer(t, filesystemConfig(t.TempDir())), startServer(t, filesystemConfig(t.TempDir())), newShelf(t)
	pushShelf(t, from, s)
	layers, err := s.tags["app"]["v10"].(v1.Image).Layers()
	if err != nil {
		t.Fatal(err)
	}
	gone, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.json")
	broken := newTap(t, from, func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/blobs/"+gone.String()) {
			w.WriteHeader(http.StatusNotFound)
			return true
		}
		return false
	})
	command{}.refused(t, "failed: app:v10: blob "+gone.String(), "copy", "--all", "--report", file, broken.URL, "http://"+to.Host)
	if r := readCopyReport(t, file); r.Complete || len(r.Failures) != 1 || r.Failures[0].Tag != "v10" || r.Failures[0].Repository != "app" {
		t.Errorf("%+v", r.Failures)
	}
	checkArtifact(t, to, "app:v1", s.tags["app"]["v1"])

	// Interrupted in the middle of a blob.
	other := startServer(t, filesystemConfig(t.TempDir()))
	var blobs atomic.Int32
	reached := make(chan struct{})
	stopped := newTap(t, from, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") && blobs.Add(1) == 4 {
			close(reached)
			<-r.Context().Done()
			return true
		}
		return false
	})
	cmd := exec.CommandContext(t.Context(), buildServer(t), "copy", "--all", "--parallel", "1", "--report", file, stopped.URL, "http://"+other.Host)
	var out lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-reached:
	case err := <-ended:
		t.Fatalf("it ended before it came to the blob: %v\n%s", err, out.String())
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(out.String(), "the same command goes on where it ended") {
		t.Fatalf("%v: %s", err, out.String())
	}
	before := readCopyReport(t, file)
	if before.Complete || before.Sums.BlobsCopied == 0 {
		t.Errorf("%+v", before)
	}
	after := copyAll(t, from, other)
	whole := copyAll(t, from, startServer(t, filesystemConfig(t.TempDir())))
	if got, want := before.Sums.BlobsCopied+after.Sums.BlobsCopied, whole.Sums.BlobsCopied; !after.Complete || got != want {
		t.Errorf("%d blobs before and %d after it was interrupted; want %d together", before.Sums.BlobsCopied, after.Sums.BlobsCopied, want)
	}
	for tag, artifact := range s.tags["multi"] {
		checkArtifact(t, other, "multi:"+tag, artifact)
	}
}
