package oci

import "testing"

func TestParseUpstream(t *testing.T) {
	for text, want := range map[string][2]string{
		"https://registry-1.docker.io":   {"https://registry-1.docker.io", "library/nginx"},
		"https://docker.io/":             {"https://registry-1.docker.io", "library/nginx"},
		"https://INDEX.docker.io":        {"https://registry-1.docker.io", "library/nginx"},
		"https://quay.io":                {"https://quay.io", "nginx"},
		"https://harbor.example/hub/":    {"https://harbor.example/hub", "hub/nginx"},
		"http://127.0.0.1:5000":          {"http://127.0.0.1:5000", "nginx"},
		"https://[2001:db8::1]:5000/a/b": {"https://[2001:db8::1]:5000/a/b", "a/b/nginx"},
	} {
		u, err := ParseUpstream(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		name, err := u.Repository("nginx")
		if u.String() != want[0] || name.String() != want[1] || err != nil {
			t.Errorf("%s is %s with %s, %v; want %v", text, u, name, err, want)
		}
	}
	for _, text := range []string{"", "docker.io", "ftp://a.b", "https://", "https://user:word@a.b", "https://a b", "https://a.b/C", "https://a.b/c?d", "https://a.b#c", "https://a.b:port", "https:///x"} {
		if u, err := ParseUpstream(text); ErrorCode(err) != CodeInvalid {
			t.Errorf("%q: %s, %v", text, u, err)
		}
	}
	for text, safe := range map[string]bool{"https://a.b": true, "http://localhost:1": true, "http://127.0.0.1": true, "http://[::1]:5": true, "http://a.b": false, "http://10.0.0.1": false} {
		if u, err := ParseUpstream(text); err != nil || (u.MayLogin() == nil) != safe {
			t.Errorf("a login at %s: %v, %v", text, u.MayLogin(), err)
		}
	}
}

// FuzzParseUpstream: what parses is the same when it is parsed again.
func FuzzParseUpstream(f *testing.F) {
	for _, seed := range []string{"https://registry-1.docker.io", "http://[::1]:5000/a/b", "https://a.b/C", "://", "https://a:b@c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseUpstream(text)
		if err != nil {
			return
		}
		if again, err := ParseUpstream(u.String()); err != nil || again != u {
			t.Errorf("%q is %s, and that %s, %v", text, u, again, err)
		}
	})
}

func TestParseDestination(t *testing.T) {
	for _, c := range []struct {
		url      string
		insecure bool
		want     string // "" for none
	}{
		{"https://DR.example/mirror/", false, "https://dr.example/mirror"},
		{"http://127.0.0.1:5000", false, "http://127.0.0.1:5000"},
		{"http://localhost:5000", false, "http://localhost:5000"},
		{"http://dr.example", true, "http://dr.example"},
		{"http://dr.example", false, ""},
		{"dr.example", true, ""},
		{"https://me:pw@dr.example", true, ""},
	} {
		u, err := ParseDestination(c.url, c.insecure)
		if (err == nil) != (c.want != "") || err == nil && u.String() != c.want {
			t.Errorf("%s, %t: %v, %v; want %s", c.url, c.insecure, u, err, c.want)
		}
	}
}

func FuzzParseDestination(f *testing.F) {
	f.Add("https://dr.example/mirror", false)
	f.Add("http://[::1]:5000", true)
	f.Fuzz(func(t *testing.T, text string, insecure bool) {
		u, err := ParseDestination(text, insecure)
		if err != nil {
			return
		}
		if again, err := ParseDestination(u.String(), insecure); err != nil || again != u {
			t.Errorf("%q is %q, and that %v, %v", text, u, again, err)
		}
	})
}
