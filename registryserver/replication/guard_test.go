package replication

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
)

type sender func(*http.Request) (*http.Response, error)

func (s sender) RoundTrip(r *http.Request) (*http.Response, error) { return s(r) }

// What may hold the login goes to the destination's own site, and not in the clear.
func TestLoginStaysWithTheDestination(t *testing.T) {
	sent := sender(func(*http.Request) (*http.Response, error) { return httptest.NewRecorder().Result(), nil })
	g := guard{base: sent, host: "registry.example.com"}
	for _, x := range []struct {
		method, to string
		login      bool
		want       error
	}{
		{"GET", "https://auth.example.com/token", true, nil},
		{"GET", "http://auth.example.com/token", true, errForeignHost},
		{"GET", "http://registry.example.com/v2/", true, errForeignHost},
		{"GET", "https://elsewhere.example/token", true, errForeignHost},
		{"POST", "https://elsewhere.example/token", false, errForeignHost},
		{"POST", "http://registry.example.com/token", false, errForeignHost},
		{"PUT", "https://bucket.s3.amazonaws.com/blob", false, nil},
		{"GET", "https://elsewhere.example/blob", false, nil},
	} {
		req := httptest.NewRequestWithContext(t.Context(), x.method, x.to, nil)
		if x.login {
			req.SetBasicAuth("me", "secret")
		}
		resp, err := g.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, x.want) {
			t.Errorf("%s %s: %v", x.method, x.to, err)
		}
	}
}
