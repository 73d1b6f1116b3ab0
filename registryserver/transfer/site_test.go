package transfer

import (
	"net/url"
	"testing"
)

func TestMayLogin(t *testing.T) {
	for _, x := range []struct {
		registry string
		plain    bool
		to       string
		want     bool
	}{
		{"registry-1.docker.io", false, "https://auth.docker.io/token", true},
		{"registry-1.docker.io", false, "http://auth.docker.io/token", false},
		{"registry-1.docker.io", false, "http://registry-1.docker.io/v2/", false},
		{"registry-1.docker.io", false, "https://docker.com/token", false},
		{"registry.example.com:5000", true, "http://registry.example.com:5000/token", true},
		{"registry.example.com:5000", true, "https://auth.example.com/token", true},
		{"127.0.0.1:5000", true, "http://127.0.0.1:5001/token", false},
	} {
		to, err := url.Parse(x.to)
		if err != nil {
			t.Fatal(err)
		}
		if got := MayLogin(x.registry, x.plain, to); got != x.want {
			t.Errorf("%s (%v), to %s: %v", x.registry, x.plain, x.to, got)
		}
	}
}
