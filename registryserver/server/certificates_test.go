package server

import (
	"context"
	"crypto/tls"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/registrykit/terraform-provider-registry/registryserver/certificates"
)

// installPair installs a new certificate for localhost, with a common name to
// know it by.
func installPair(t *testing.T, s *Server, commonName string) certificates.Installed {
	t.Helper()
	dir := t.TempDir()
	writeCertificate(t, dir+"/c", dir+"/k", commonName)
	var texts [2]string
	for i, path := range []string{dir + "/c", dir + "/k"} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(content)
	}
	in, _, err := s.installed.Put(t.Context(), certificates.Spec{Name: "main", CertificatePEM: texts[0], PrivateKeyPEM: texts[1]})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// Ensure that an installed certificate comes before the one in the files, for
// its names only, and that the metrics know both.
func TestInstalledBeforeFiles(t *testing.T) {
	dir := t.TempDir()
	writeCertificate(t, dir+"/c", dir+"/k", "file")
	s, log := newTestServer(t, "http: {addr: '127.0.0.1:0', secret: hush, tls: {certificate: "+dir+"/c, key: "+dir+"/k}}\nauth: none")
	if in := installPair(t, s, "installed"); in.Problem != "" {
		t.Error(in.Problem)
	}
	ctx, stop := context.WithCancel(t.Context())
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for name, want := range map[string]string{"localhost": "installed", "r.example": "file", "": "file"} {
		conn, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{ServerName: name, InsecureSkipVerify: true})
		if err != nil {
			t.Fatalf("%v\n%s", err, log)
		}
		if got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName; got != want {
			t.Errorf("%q sees %s, want %s", name, got, want)
		}
		conn.Close()
	}
	if n, err := testutil.GatherAndCount(s.metrics.registry, "registry_tls_certificate_expiry_timestamp_seconds"); n != 2 || err != nil {
		t.Errorf("%d %v", n, err)
	}
}

// Ensure that a server without TLS says that it does not use what is installed.
func TestInstalledWithoutTLS(t *testing.T) {
	s, log := newTestServer(t, "http: {addr: '127.0.0.1:0', secret: hush}\nauth: none")
	if in := installPair(t, s, "installed"); !strings.Contains(in.Problem, "http.tls.managed") {
		t.Errorf("%+v", in)
	}
	if !strings.Contains(log.String(), "http.tls.managed") {
		t.Error("the log does not say so")
	}
}
