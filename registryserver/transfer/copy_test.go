package transfer

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

func tags(t *testing.T, texts string) []oci.Tag {
	t.Helper()
	var all []oci.Tag
	for _, text := range strings.Fields(texts) {
		tag, err := oci.ParseTag(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tag)
	}
	return all
}

func TestFilterTags(t *testing.T) {
	const all = "latest v1 1.2.0 v1.10.0 v1.9.1 v2.0.0-rc.1 2024-01-01 nightly"
	for _, c := range []struct {
		take, leave string
		newest      int
		want        string
	}{
		{want: "1.2.0 2024-01-01 latest nightly v1 v1.10.0 v1.9.1 v2.0.0-rc.1"},
		{take: "v1*", want: "v1 v1.10.0 v1.9.1"},
		{take: "v1* latest", leave: "*.1", want: "latest v1 v1.10.0"},
		{newest: 2, want: "v1.10.0 v2.0.0-rc.1"},
		{newest: 2, leave: "*-rc*", want: "v1.10.0 v1.9.1"},
		{newest: 100, take: "nightly", want: ""},
	} {
		f := Filter{Newest: c.newest}
		for list, texts := range map[*[]oci.TagPattern]string{&f.Tags: c.take, &f.NotTags: c.leave} {
			for _, text := range strings.Fields(texts) {
				p, err := oci.ParseTagPattern(text)
				if err != nil {
					t.Fatal(err)
				}
				*list = append(*list, p)
			}
		}
		var got []string
		for _, tag := range f.take(tags(t, all)) {
			got = append(got, tag.String())
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestCompanions(t *testing.T) {
	d := oci.FromBytes(nil)
	base := fallbackTag(d).String()
	images, others := split(tags(t, "v1 sha256-short sha256-"+strings.Repeat("g", 64)+" "+base+" "+base+".sig "+base+".att"))
	if len(images) != 3 || len(others) != 3 {
		t.Errorf("images %v, others %v", images, others)
	}
	for _, other := range others {
		if !belongs(other, map[string]bool{base: true}) || belongs(other, map[string]bool{"sha256-" + strings.Repeat("0", 64): true}) {
			t.Errorf("%s", other)
		}
	}
}

func TestWriteTerraform(t *testing.T) {
	r := &Report{Source: "old.example.com", Repositories: []RepositoryReport{
		{Name: "a/b", Target: "a/b", Tags: []TagReport{{Tag: "v1", Digest: digest("x"), Result: Copied}, {Tag: "bad", Result: Failed}}},
		{Name: "a-b", Target: "a.b", Tags: []TagReport{{Tag: "v1", Digest: digest("y"), Result: Unchanged}}},
		{Name: "empty", Target: "empty"},
		{Name: "7zip", Target: "7zip", Tags: []TagReport{{Tag: "1", Digest: digest("z"), Result: Kept}}},
	}}
	var b strings.Builder
	if err := r.WriteTerraform(&b, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"import {\n  to = registry_repository.a_b\n  id = \"a/b\"\n}", "resource \"registry_repository\" \"a_b_2\" {\n  name = \"a.b\"\n}",
		"resource \"registry_repository\" \"_7zip\"", "to = registry_tag.a_b_v1\n  id = \"a/b:v1\"",
		"  repository = \"a/b\"\n  tag        = \"v1\"\n  digest     = \"" + digest("x") + "\"\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("it lacks %s\n%s", want, b.String())
		}
	}
	for _, not := range []string{"empty", "bad", `"7zip:1"`} {
		if strings.Contains(b.String(), not) {
			t.Errorf("it has %s\n%s", not, b.String())
		}
	}
}

// Where a registry redirects to for a blob, nobody learns the login.
func TestRedirectsBearNoLogin(t *testing.T) {
	content := "what a layer is made of"
	bucket := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the bucket got the login")
		}
		_, _ = w.Write([]byte(content))
	}))
	defer bucket.Close()
	asked := 0
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, ok := r.BasicAuth(); !ok || user != "me" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if asked++; strings.Contains(r.URL.Path, "/blobs/") {
			// Another name of this machine is another host.
			http.Redirect(w, r, strings.Replace(bucket.URL, "127.0.0.1", "localhost", 1), http.StatusTemporaryRedirect)
		}
	}))
	defer registry.Close()
	remote, err := NewRemote(mustAddress(t, registry.URL), Access{Username: "me", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	repository, err := remote.Repository(t.Context(), "app", false)
	if err != nil {
		t.Fatal(err)
	}
	r, size, err := repository.Open(t.Context(), oci.FromBytes([]byte(content)), 0)
	if err != nil || size != int64(len(content)) || asked == 0 {
		t.Fatalf("%d bytes, %v, asked %d times", size, err, asked)
	}
	_ = r.Close()
}
