package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/archive"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/registry"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]string{
		"registry.example.com/team/app:v1":         "https registry.example.com/team/app:v1",
		"registry.example.com:5000":                "https registry.example.com:5000",
		"https://registry.example.com/":            "https registry.example.com",
		"http://10.0.0.1:5000/app":                 "http 10.0.0.1:5000/app",
		"localhost/app":                            "http localhost/app",
		"127.0.0.1:5000/a/b@" + digest("x"):        "http 127.0.0.1:5000/a/b@" + digest("x"),
		"[::1]:5000/a:b":                           "http [::1]:5000/a:b",
		"docker.io/nginx:1":                        "https index.docker.io/library/nginx:1",
		"docker.io/team/app":                       "https index.docker.io/team/app",
		"1.dkr.ecr.eu-central-1.amazonaws.com/app": "https 1.dkr.ecr.eu-central-1.amazonaws.com/app",
	} {
		a, err := ParseAddress(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		scheme := "https"
		if a.plain {
			scheme = "http"
		}
		if got := scheme + " " + a.String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "app", "team/app:v1", "ftp://a.b/c", "a.b/C", "a.b/c:", "a.b/c@sha256:1", "u:p@a.b/c", "https://", "https://a b/c"} {
		if a, err := ParseAddress(text); err == nil {
			t.Errorf("%q: no error, but %s", text, a)
		}
	}
}

// Whatever is an address is the same when it is parsed again.
func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"r.io/a:b", "http://localhost:5000/a@" + digest("x"), "docker.io/nginx", "[::1]:1/a", "://", "a.b:c:d/e"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			return
		}
		scheme := "https://"
		if a.plain {
			scheme = "http://"
		}
		again, err := ParseAddress(scheme + a.String())
		if err != nil || again.String() != a.String() {
			t.Errorf("%q is %s, and that %s, %v", text, a, again, err)
		}
	})
}

func digest(text string) string { return oci.FromBytes([]byte(text)).String() }

func TestRetryAfter(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-3": 0, "99999999999999999999": 0, "100000": maxWait, "soon": 0,
		now.Add(30 * time.Second).Format(http.TimeFormat): 30 * time.Second, now.Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

// A registry that asks to wait is waited for; a body that cannot be sent again is
// not.
func TestPatient(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 3 {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}))
	defer server.Close()
	var waited []time.Duration
	c := http.Client{Transport: patient{base: http.DefaultTransport, sleep: func(_ context.Context, d time.Duration) error { waited = append(waited, d); return nil }}}
	resp, err := c.Post(server.URL, "text/plain", strings.NewReader("again and again"))
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if string(body) != "again and again" || len(waited) != 2 || waited[0] != 7*time.Second {
		t.Errorf("%q after %v", body, waited)
	}
	asked.Store(0)
	resp, err = c.Post(server.URL, "text/plain", io.MultiReader(strings.NewReader("once")))
	if err != nil || resp.StatusCode != http.StatusTooManyRequests {
		t.Errorf("%v, %v", resp, err)
	}
	// Credentials never travel in the clear by themselves.
	request, _ := http.NewRequest(http.MethodGet, "http://registry.example.com/v2/", nil)
	if _, err := c.Transport.RoundTrip(request); !errors.Is(err, errNoTLS) {
		t.Errorf("%v", err)
	}
}

func TestNextPageStaysOnTheServer(t *testing.T) {
	at := (&Remote{address: mustAddress(t, "https://r.example.com")}).address.URL()
	at.Path = "/v2/_catalog"
	for link, want := range map[string]string{
		"": "", `</v2/_catalog?last=a>; rel="next"`: "https://r.example.com/v2/_catalog?last=a",
		`<http://r.example.com/v2/_catalog?last=b>; rel=next`:     "https://r.example.com/v2/_catalog?last=b",
		`<https://elsewhere.example.com/v2/_catalog>; rel="next"`: "error",
	} {
		next, err := nextPage(at, link)
		got := ""
		if err != nil {
			got = "error"
		} else if next != nil {
			got = next.String()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", link, got, want)
		}
	}
}

func mustAddress(t *testing.T, text string) Address {
	t.Helper()
	a, err := ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// source keeps content by digest, and lets reading it fail.
type source struct {
	content map[oci.Digest][]byte
	cut     atomic.Int32 // how often a blob ends early
	opened  atomic.Int32
}

func (s *source) add(content string) oci.Descriptor {
	d := oci.FromBytes([]byte(content))
	s.content[d] = []byte(content)
	return oci.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: int64(len(content))}
}

func (s *source) Manifest(_ context.Context, d oci.Digest) ([]byte, error) { return s.content[d], nil }

func (s *source) Open(_ context.Context, d oci.Digest, offset int64) (io.ReadCloser, int64, error) {
	s.opened.Add(1)
	content, ok := s.content[d]
	if !ok {
		return nil, 0, errors.New("it is gone")
	}
	var r io.Reader = bytes.NewReader(content[offset:])
	if s.cut.Add(-1) >= 0 {
		r = io.MultiReader(io.LimitReader(r, 5), failing{})
	}
	return io.NopCloser(r), int64(len(content)), nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func newSource(t *testing.T) (*source, oci.Digest) {
	t.Helper()
	s := &source{content: map[oci.Digest][]byte{}}
	config, layer := s.add("{}"), s.add("what a layer is made of")
	text := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeImageManifest + `","config":` + described(config) + `,"layers":[` + described(layer) + `,` + described(layer) + `]}`
	return s, s.add(text).Digest
}

func described(d oci.Descriptor) string {
	return `{"mediaType":"` + d.MediaType + `","digest":"` + d.Digest.String() + `","size":` + strconv.FormatInt(d.Size, 10) + `}`
}

func newPlace(r *registry.Registry, name string) Place {
	return Place{Target: Local{Registry: r, Repository: oci.MustRepository(name)}, Name: name}
}

func placeIn(r *registry.Registry) func(context.Context, string) (Place, error) {
	return func(_ context.Context, name string) (Place, error) { return newPlace(r, name), nil }
}

func newRegistry(*testing.T) *registry.Registry {
	m := storagetest.NewMemory()
	return registry.New(m.Blobs(), m.Records(), registry.Options{})
}

var _ archive.Source = (*source)(nil)

// A blob whose connection breaks goes on where it was; one that changed is
// refused; what is there is not read again, and what another repository has is
// mounted.
func TestCopier(t *testing.T) {
	from, d := newSource(t)
	r := newRegistry(t)
	c := NewCopier(2, nil)
	from.cut.Store(3)
	if err := c.Manifest(t.Context(), from, newPlace(r, "a"), d); err != nil {
		t.Fatal(err)
	}
	if s := c.progress.Sums(); s.BlobsCopied != 2 || s.ManifestsCopied != 1 || s.Bytes != int64(len("{}")+len("what a layer is made of")) {
		t.Errorf("%+v", s)
	}
	opened := from.opened.Load()
	for _, name := range []string{"a", "b"} {
		if err := c.Manifest(t.Context(), from, newPlace(r, name), d); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.progress.Sums(); s.BlobsMounted != 2 || s.ManifestsPresent != 1 || from.opened.Load() != opened {
		t.Errorf("%+v, %d blobs opened, not %d", s, from.opened.Load(), opened)
	}

	damaged, d := newSource(t)
	for digest, content := range damaged.content {
		if strings.HasPrefix(string(content), "what") {
			damaged.content[digest] = []byte("what a layer is made oF")
		}
	}
	err := NewCopier(2, nil).Manifest(t.Context(), damaged, newPlace(newRegistry(t), "a"), d)
	if !errors.Is(err, errDamaged) {
		t.Errorf("%v", err)
	}
}

// Several images at once send a blob that they share once.
func TestCopierSendsASharedBlobOnce(t *testing.T) {
	from, d := newSource(t)
	r := newRegistry(t)
	c := NewCopier(8, nil)
	done := make(chan error)
	for range 10 {
		go func() { done <- c.Manifest(t.Context(), from, newPlace(r, "a"), d) }()
	}
	for range 10 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if s := c.progress.Sums(); s.BlobsCopied != 2 || from.opened.Load() != 2 || len(c.locks) != 0 {
		t.Errorf("%+v, %d opened, %d locks", s, from.opened.Load(), len(c.locks))
	}
}

// An export goes on where a connection broke, and fails where the source is
// damaged.
func TestExportGoesOn(t *testing.T) {
	from, d := newSource(t)
	from.cut.Store(3)
	var b bytes.Buffer
	if _, err := Export(t.Context(), &b, from, d, "", []string{"app:1"}); err != nil {
		t.Fatal(err)
	}
	a, err := archive.Read(t.Context(), &b, archive.Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if root, _, err := a.Prepare(t.Context(), a.Images()[0]); err != nil || root.Digest != d {
		t.Errorf("%s, %v, want %s", root.Digest, err, d)
	}
	for digest, content := range from.content {
		if strings.HasPrefix(string(content), "what") {
			from.content[digest] = []byte("what a layer is made oF")
		}
	}
	if _, err := Export(t.Context(), io.Discard, from, d, "", nil); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("%v", err)
	}
}
