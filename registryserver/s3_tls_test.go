package main_test

import (
	"context"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestS3TLS: a bucket over https, behind a certificate that this machine does not
// know of.
func TestS3TLS(t *testing.T) {
	t.Parallel()
	bucket := startS3(t)
	target, err := url.Parse(bucket.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
		r.Out.Host = r.In.Host // which is signed
	}})
	proxy.Config.ErrorLog = log.New(io.Discard, "", 0) // some handshakes must fail
	proxy.StartTLS()
	t.Cleanup(proxy.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: proxy.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	https := strings.Replace(bucket.config(), bucket.url, proxy.URL, 1)
	bare := strings.Replace(bucket.config(), bucket.url, strings.TrimPrefix(proxy.URL, "https://"), 1) // which is https too
	with := func(config, parameter string) string {
		return strings.Replace(config, "bucket:", parameter+", bucket:", 1)
	}
	for _, row := range []struct {
		name, config, env, want string
		ok                      bool
	}{
		{"an unknown certificate", https, "", "its certificate cannot be verified: name the certificates of its CA in AWS_CA_BUNDLE or SSL_CERT_FILE", false},
		{"SSL_CERT_FILE", https, "SSL_CERT_FILE=" + ca, "ok: ", true},
		{"AWS_CA_BUNDLE", https, "AWS_CA_BUNDLE=" + ca, "ok: ", true},
		{"host and port", bare, "AWS_CA_BUNDLE=" + ca, "ok: ", true},
		{"skipverify", with(https, "skipverify: true"), "", "ok: ", true},
		{"http where https is spoken", with(bare, "secure: false"), "", "no S3 server", false},
		{"https where http is spoken", strings.Replace(bucket.config(), "http://", "https://", 1), "", "does not speak https", false},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, buildServer(t), "config", "--check-storage", writeConfig(t, row.config))
		cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "SSL_") })
		if row.env != "" {
			cmd.Env = append(cmd.Env, row.env)
		}
		out, err := cmd.CombinedOutput()
		cancel()
		if (err == nil) != row.ok || !strings.Contains(string(out), row.want) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s: %v\n%swant one line with %q", row.name, err, out, row.want)
		}
	}
}
