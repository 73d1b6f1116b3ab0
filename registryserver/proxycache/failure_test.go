package proxycache

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// The address that a redirect led to may be a secret: no error shows it.
func TestErrorsHaveNoURL(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer server.Close()
	_, err := http.Get(server.URL + "/blob?signature=secret")
	if err == nil || !strings.Contains(err.Error(), "signature=secret") {
		t.Fatalf("there is nothing to hide: %v", err)
	}
	upstream, bad := oci.ParseUpstream(server.URL)
	if bad != nil {
		t.Fatal(bad)
	}
	f := classify(&route{upstream: upstream}, blobUnknown(oci.MustRepository("a"), oci.FromBytes(nil)), err, withoutURL(err))
	if !f.down || f.kind != "unreachable" || strings.Contains(f.Error(), "signature") {
		t.Errorf("%+v", f)
	}
	if got := withoutURL(&url.Error{Op: "Get", URL: "https://cdn.example/x?y", Err: context.Canceled}); !errors.Is(got, context.Canceled) || strings.Contains(got.Error(), "?") {
		t.Error(got)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-3": 0, "99999999999999999999": 0, "100000": maxRetryAfter, "soon": 0,
		now.Add(30 * time.Second).Format(http.TimeFormat): 30 * time.Second, now.Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

// What Docker Hub says of its limits is kept for the metrics.
func TestLimits(t *testing.T) {
	r := &remote{prefix: "hub", host: "a", stats: newStats(), now: time.Now}
	for _, header := range []http.Header{
		{"Ratelimit-Limit": {"100;w=21600"}, "Ratelimit-Remaining": {"76;w=21600"}}, {"Ratelimit-Limit": {"nonsense"}}, {},
	} {
		r.observe(&http.Response{StatusCode: http.StatusOK, Header: header})
	}
	c := &Cache{stats: r.stats}
	if got := c.Limits(); len(got) != 1 || got[0].Limit != 100 || got[0].Remaining != 76 {
		t.Errorf("%+v", got)
	}
}
