package oci

import (
	"net/http"
	"strings"
	"testing"
)

func TestWebhookURLs(t *testing.T) {
	for _, good := range []string{"http://ci:8080/hook?x=1", "https://[::1]/", "HTTPS://ci.example.com"} {
		if _, err := ParseWebhookURL(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"": "not an absolute", "ci.example.com": "not an absolute", "ftp://ci": "not an absolute", "http://": "not an absolute", "http://:80/": "not an absolute", "http://a b/": "not an absolute",
		"http://user:hunter2@ci/": "user name or password", "http://ci/#top": "fragment", "http://ci/#": "fragment", "http://ci/" + strings.Repeat("x", maxWebhookURL): "at most 2048",
	} {
		if _, err := ParseWebhookURL(bad); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%.40s: %v", bad, err)
		}
	}
}

func TestWebhookCredentials(t *testing.T) {
	for secret, good := range map[string]bool{strings.Repeat("x", 15): false, strings.Repeat("x", 16): true, strings.Repeat("x", 4096): true, strings.Repeat("x", 4097): false} {
		if err := CheckWebhookSecret(secret); (err == nil) != good || err != nil && strings.Contains(err.Error(), "xx") {
			t.Errorf("%d bytes: %v", len(secret), err)
		}
	}
	for value, good := range map[string]bool{"Bearer x": true, "a\tb": true, " ": false, "a\nb": false, "a\x7f": false, strings.Repeat("x", 4097): false} {
		if err := CheckWebhookAuthorization(value); (err == nil) != good {
			t.Errorf("%.20q: %v", value, err)
		}
	}
}

// FuzzParseWebhookURL: what is taken can be requested.
func FuzzParseWebhookURL(f *testing.F) {
	for _, s := range []string{"http://ci.example.com/hook", "https://[::1]:8443/?a=b", "http://%zz", "http://a:b@c/", "//a", "http://a/#b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := ParseWebhookURL(s); err != nil {
			return
		}
		req, err := http.NewRequest(http.MethodPost, s, http.NoBody)
		if err != nil || req.URL.Host == "" || req.URL.User != nil || req.URL.Fragment != "" {
			t.Errorf("%q: %v", s, err)
		}
	})
}
