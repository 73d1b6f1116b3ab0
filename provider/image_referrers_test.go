package provider

import (
	"net/url"
	"testing"
)

func TestNextPage(t *testing.T) {
	at, err := url.Parse("https://r.example/v2/a/referrers/sha256:1?n=5")
	if err != nil {
		t.Fatal(err)
	}
	for link, want := range map[string]string{
		"": "",
		`</v2/a/referrers/sha256:1?last=x>; rel="next"`: "https://r.example/v2/a/referrers/sha256:1?last=x",
		`<?last=y>; rel=next`:                           "https://r.example/v2/a/referrers/sha256:1?last=y",
		`<https://r.example/x>; rel="next"`:             "https://r.example/x",
		`<http://u:p@r.example/x>; rel="next"`:          "https://r.example/x",
		`</x>; rel="prev"`:                              "",
		"</x>":                                          "",
	} {
		got, err := nextPage(at, link)
		if err != nil || (got == nil) != (want == "") || got != nil && got.String() != want {
			t.Errorf("%s: %v, %v; want %s", link, got, err, want)
		}
	}
	for _, link := range []string{`<https://other.example/x>; rel="next"`, `<//other.example/x>; rel="next"`, `<%zz>; rel="next"`} {
		if got, err := nextPage(at, link); err == nil {
			t.Errorf("%s: no error, but %v", link, got)
		}
	}
}

// Whatever a server answers, the next page is on that server.
func FuzzNextPage(f *testing.F) {
	for _, seed := range []string{`</v2/a?last=x>; rel="next"`, `<https://other/>; rel="next"`, "<>; rel=next", `<//u@h>; rel=next`, "<http:opaque>; rel=next"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, link string) {
		at := &url.URL{Scheme: "https", Host: "r.example", Path: "/v2/a/referrers/x"}
		next, err := nextPage(at, link)
		if err == nil && next != nil && (next.Host != at.Host || next.Scheme != "https" || next.User != nil) {
			t.Errorf("%q leads to %s", link, next)
		}
	})
}
