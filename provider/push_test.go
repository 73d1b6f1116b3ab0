package provider

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// behindTheBack are the options of who does something behind Terraform's back.
func behindTheBack() []remote.Option {
	return []remote.Option{
		remote.WithAuth(&authn.Basic{Username: "admin", Password: adminPassword}),
		remote.WithTransport(asOther{http.DefaultTransport}),
	}
}

// asOther has the user agent that newServer's faults are not for.
type asOther struct{ http.RoundTripper }

func (o asOther) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "behind-the-back")
	return o.RoundTripper.RoundTrip(r)
}

// host is what image names of this server begin with.
func (s *testServer) host() string { return s.url[len("http://"):] }

// pushIndex pushes an empty index, another one for each note, and returns its
// digest.
func (s *testServer) pushIndex(t *testing.T, repository, note string, tags ...string) string {
	t.Helper()
	body := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"manifests":[],"annotations":{"note":%q}}`, oci.MediaTypeImageIndex, note)
	for _, reference := range append(tags, oci.FromBytes(body).String()) {
		s.put(t, repository, reference, body)
	}
	return oci.FromBytes(body).String()
}

// put puts an index.
func (s *testServer) put(t *testing.T, repository, reference string, body []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.url+"/v2/"+repository+"/manifests/"+reference, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", adminPassword)
	req.Header.Set("Content-Type", oci.MediaTypeImageIndex)
	resp, err := asOther{http.DefaultTransport}.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("push %s:%s: %d %s", repository, reference, resp.StatusCode, answer)
	}
}

// push pushes an image or index and returns its digest.
func (s *testServer) push(t *testing.T, what remote.Taggable, repositoryAndTag string) string {
	t.Helper()
	ref, err := name.ParseReference(s.host() + "/" + repositoryAndTag)
	if err != nil {
		t.Fatal(err)
	}
	switch what := what.(type) {
	case v1.Image:
		err = remote.Write(ref, what, behindTheBack()...)
	case v1.ImageIndex:
		err = remote.WriteIndex(ref, what, behindTheBack()...)
	}
	if err != nil {
		t.Fatal(err)
	}
	raw, err := what.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	return oci.FromBytes(raw).String()
}
