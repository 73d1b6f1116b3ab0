package server

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// Ensure that only trusted proxies are believed about the client's address.
func TestClientAddr(t *testing.T) {
	s, _ := newTestServer(t, "http: {addr: '127.0.0.1:0', trustedproxies: [10.0.0.0/8, 'fd00::/8']}\nauth: none")
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:1234", "", "192.0.2.1"},
		{"192.0.2.1:1234", "198.51.100.7", "192.0.2.1"},
		{"10.0.0.5:1234", "198.51.100.7", "198.51.100.7"},
		{"10.0.0.5:1234", "203.0.113.9, 198.51.100.7, 10.1.1.1", "198.51.100.7"},
		{"10.0.0.5:1234", "203.0.113.9, nonsense", "10.0.0.5"},
		{"10.0.0.5:1234", "", "10.0.0.5"},
		{"[fd00::1]:1234", "2001:db8::1", "2001:db8::1"},
		{"@", "198.51.100.7", "@"},
	} {
		r := httptest.NewRequest("GET", "/v2/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := s.clientAddr(r); got != c.want {
			t.Errorf("%s for %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

// Ensure that only trusted proxies are believed about the scheme of absolute
// URLs, and that nobody is where none is configured.
func TestForwardedProto(t *testing.T) {
	for _, c := range []struct{ proxies, peer, want string }{
		{"[10.0.0.0/8]", "10.0.0.5:1234", "https://registry.example/v2/"},
		{"[10.0.0.0/8]", "192.0.2.1:1234", "http://registry.example/v2/"},
		{"[10.0.0.0/8]", "@", "http://registry.example/v2/"},
		{"[]", "10.0.0.5:1234", "http://registry.example/v2/"},
	} {
		s, _ := newTestServer(t, "http: {addr: '127.0.0.1:0', relativeurls: false, trustedproxies: "+c.proxies+"}\nauth: none")
		r := httptest.NewRequest("POST", "http://registry.example/v2/a/blobs/uploads/", nil)
		r.RemoteAddr = c.peer
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("Forwarded", "proto=https;host=evil.example")
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if got := w.Header().Get("Location"); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s with trustedproxies %s: %d %s, want %s…", c.peer, c.proxies, w.Code, got, c.want)
		}
	}
}
