package server

import (
	"strings"
	"testing"
)

// TestPathStyle: as in distribution 2.8, an endpoint means the path style, unless
// something else is written.
func TestPathStyle(t *testing.T) {
	for _, c := range []struct {
		more string
		want bool
	}{
		{"region: eu-central-1", false},
		{"region: eu-central-1, forcepathstyle: true", true},
		{"regionendpoint: minio:9000", true},
		{"regionendpoint: minio:9000, forcepathstyle: true", true},
		{"regionendpoint: minio:9000, forcepathstyle: false", false},
	} {
		config, warnings, err := LoadConfig([]byte("version: 0.1\nstorage: {s3: {bucket: b, "+c.more+"}}\n"), nil)
		if err != nil || len(warnings) > 0 {
			t.Fatalf("%s: %v %v", c.more, err, warnings)
		}
		if got := config.Storage.S3.store(nil).ForcePathStyle; got != c.want {
			t.Errorf("%s: path style %v, want %v", c.more, got, c.want)
		}
	}
}

func TestRedirectEndpoint(t *testing.T) {
	for endpoint, ok := range map[string]bool{
		"https://images.example.com":        true,
		"https://images.example.com:8443/":  true,
		"http://localhost":                  true,
		"images.example.com":                false,
		"https://images.example.com/images": false,
		"https://images.example.com?x=y":    false,
		"ftp://images.example.com":          false,
	} {
		config, _, err := LoadConfig([]byte("version: 0.1\nstorage: {s3: {bucket: b, region: r, redirectendpoint: \""+endpoint+"\"}}\n"), nil)
		switch {
		case !ok && (err == nil || !strings.Contains(err.Error(), "storage.s3.redirectendpoint")):
			t.Errorf("%s: %v", endpoint, err)
		case ok && (err != nil || config.Storage.S3.store(nil).RedirectEndpoint != endpoint):
			t.Errorf("%s: %v", endpoint, err)
		}
	}
}
