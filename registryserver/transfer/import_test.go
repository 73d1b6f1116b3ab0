package transfer

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/archive"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// saved is what docker save writes of images without layers, by their names.
func saved(t *testing.T, images ...[]string) *archive.Archive {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name, content string) {
		if err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	var entries []string
	for n, names := range images {
		config := fmt.Sprintf("config%d.json", n)
		add(config, fmt.Sprintf(`{"os":"linux","architecture":"amd64","author":"%d","rootfs":{"type":"layers"}}`, n))
		quoted := []string{}
		for _, name := range names {
			quoted = append(quoted, `"`+name+`"`)
		}
		entries = append(entries, `{"Config":"`+config+`","RepoTags":[`+strings.Join(quoted, ",")+`],"Layers":[]}`)
	}
	add("manifest.json", "["+strings.Join(entries, ",")+"]")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := archive.Read(t.Context(), &b, archive.Options{TempDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

func TestImportNames(t *testing.T) {
	one := saved(t, []string{"app:1", "app:2"})
	two := saved(t, []string{"app:1"}, []string{"r.example.com:5000/team/other:1"})
	same := saved(t, []string{"app:1"}, []string{"app:2"})
	nameless := saved(t, nil)
	for _, c := range []struct {
		from                  *archive.Archive
		repository, tag, pick string
		want                  string // or what the error says
	}{
		{from: one, want: "app:1 app:2"},
		{from: one, repository: "team/app", want: "team/app:1 team/app:2"},
		{from: one, repository: "team/app", tag: "v3", want: "team/app:v3"},
		{from: two, want: "app:1 team/other:1"},
		{from: two, repository: "x", want: "several images in the archive would become x:1"},
		{from: two, repository: "x", pick: "team/other:1", want: "x:1"},
		{from: two, repository: "x", tag: "y", want: "can be only one of them"},
		{from: two, pick: "app:9", want: "it has app:1, team/other:1"},
		{from: same, repository: "x", want: "x:1 x:2"},
		{from: nameless, repository: "x", tag: "1", want: "x:1"},
		{from: nameless, repository: "x", want: "no tag; write it behind the name, as in x:TAG"},
		{from: nameless, want: "no name; write NAME:TAG"},
	} {
		r := newRegistry(t)
		i := Import{Archive: c.from, Pick: c.pick, Repository: c.repository, Place: placeIn(r), Parallel: 1}
		if c.tag != "" {
			i.Tag, _ = oci.ParseTag(c.tag)
		}
		done, err := i.Run(t.Context())
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: %v", c, err)
			}
			continue
		}
		var got []string
		for _, d := range done {
			for _, tag := range d.Tags {
				got = append(got, d.Repository+":"+tag)
				parsed, _ := oci.ParseTag(tag)
				if is, found, err := (Local{r, oci.MustRepository(d.Repository)}).Resolve(t.Context(), parsed); !found || is != d.Digest || err != nil {
					t.Errorf("%s:%s is %s, %v, want %s", d.Repository, tag, is, err, d.Digest)
				}
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
