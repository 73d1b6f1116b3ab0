package main_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const acmeName = "registry.test"

// TestACME runs a real ACME server, Pebble, and two servers of ours on one
// storage behind a load balancer that always sends the ACME server to the wrong
// one. There is one certificate, both serve it, and it outlives changes of the
// secret. Clients need certificates of their own, and the ACME server does not.
func TestACME(t *testing.T) {
	w := newACMEWorld(t, 90*24*time.Hour)
	dir := t.TempDir()
	first, second := w.server(dir, "http-secret-1"), w.server(dir, "http-secret-1")
	w.balance(first, second)

	leaf := w.leaf(first)
	if other := w.leaf(second); !other.Equal(leaf) {
		t.Errorf("the servers have certificates %x and %x", leaf.SerialNumber, other.SerialNumber)
	}
	if n := strings.Count(w.pebble.output.String(), "Issued certificate serial"); n != 1 {
		t.Errorf("%d certificates were issued", n)
	}
	resp, err := w.client(first).Get("https://" + acmeName + "/v2/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
		t.Errorf("%s %s", resp.Proto, resp.Status)
	}
	w.challengeIsNoWayIn(first)
	w.metric(first, fmt.Sprintf("registry_tls_certificate_expiry_timestamp_seconds{name=%q,source=\"acme\"} %s\n", acmeName, strconv.FormatFloat(float64(leaf.NotAfter.Unix()), 'g', -1, 64)))
	first.stop(t)
	second.stop(t)
	w.sealed(dir)

	// What is there is served without the ACME server, and sealed with the new secret as it is read.
	w.pebble.stop(t)
	for _, secrets := range [][]string{{"http-secret-2", "http-secret-1"}, {"http-secret-2"}} {
		p := w.server(dir, secrets...)
		if again := w.leaf(p); !again.Equal(leaf) {
			t.Errorf("with the secrets %v another certificate is served", secrets)
		}
		p.stop(t)
	}
	w.refusesForeignSecret(dir)
}

// TestACMERenewal: of two servers, one renews the certificate in time, and the
// other takes what that one has got.
func TestACMERenewal(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for a certificate to grow old: make full")
	}
	w := newACMEWorld(t, 45*time.Second)
	dir := t.TempDir()
	first, second := w.server(dir, "http-secret"), w.server(dir, "http-secret")
	w.balance(first, second)
	leaf := w.leaf(first)
	for _, p := range []*process{first, second} {
		for w.leaf(p).Equal(leaf) {
			if time.Now().After(leaf.NotAfter) {
				t.Fatal("the certificate was not renewed")
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	// Before a warning of it would begin, and in the log of who did it; the other
	// may find it in the storage while its own order is still under way.
	both := first.output.String() + second.output.String()
	if !strings.Contains(both, "the certificate was renewed") || strings.Contains(both, "a certificate expires soon") {
		t.Errorf("the certificate was not renewed in time:\n%s\n%s", first.output.tail(), second.output.tail())
	}
	// Their timers differ by a little, so both may ask once.
	if n := strings.Count(w.pebble.output.String(), "Issued certificate serial"); n > 3 {
		t.Errorf("%d certificates were issued", n)
	}
}

func (w *acmeWorld) tlsConfig() *tls.Config {
	return &tls.Config{ServerName: acmeName, RootCAs: w.roots, Certificates: []tls.Certificate{w.client1}}
}

// leaf waits for a server's certificate, and verifies it.
func (w *acmeWorld) leaf(p *process) *x509.Certificate {
	w.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		conn, err := tls.Dial("tcp", p.Host, w.tlsConfig())
		if err == nil {
			defer conn.Close()
			return conn.ConnectionState().PeerCertificates[0]
		}
		if time.Now().After(deadline) {
			w.Fatalf("%v\n%s\n%s", err, p.output.tail(), w.pebble.output.tail())
		}
	}
}

func (w *acmeWorld) client(p *process) *http.Client {
	return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: w.tlsConfig(),
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, p.Host)
		}}}
}

// challengeIsNoWayIn: who calls itself an ACME server gets no certificate when
// there is no challenge, so client certificates cannot be passed by.
func (w *acmeWorld) challengeIsNoWayIn(p *process) {
	w.Helper()
	for _, protocols := range [][]string{{"acme-tls/1"}, {"acme-tls/1", "other"}} {
		c := &tls.Config{ServerName: acmeName, InsecureSkipVerify: true, NextProtos: protocols}
		if len(protocols) > 1 {
			c.Certificates = []tls.Certificate{w.client1}
		}
		conn, err := tls.Dial("tcp", p.Host, c)
		if err != nil {
			continue
		}
		fmt.Fprintf(conn, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n")
		if answer, _ := io.ReadAll(conn); len(answer) > 0 {
			w.Errorf("%v: a request was answered: %s", protocols, answer)
		}
		conn.Close()
	}
}

func (w *acmeWorld) metric(p *process, want string) {
	w.Helper()
	_, address, _ := strings.Cut(string(mustRead(w, p.cmd.Args[2])), `debug: {addr: "`)
	address, _, _ = strings.Cut(address, `"`)
	resp, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || !bytes.Contains(body, []byte(want)) {
		w.Errorf("the metrics lack %s (%v)", want, err)
	}
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// sealed checks that the storage holds no plain private key.
func (w *acmeWorld) sealed(dir string) {
	w.Helper()
	found := 0
	err := filepath.WalkDir(filepath.Join(dir, "registrykit", "v1", "acme"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		found++
		if bytes.Contains(mustRead(w, path), []byte("PRIVATE KEY")) {
			w.Errorf("%s holds a plain private key", path)
		}
		return nil
	})
	if err != nil || found != 2 {
		w.Errorf("%d records (%v), want the account and the certificate", found, err)
	}
}

// refusesForeignSecret: a server that cannot open the account does not begin anew, and says what to do.
func (w *acmeWorld) refusesForeignSecret(dir string) {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), buildServer(w), "serve", writeConfig(w, w.config(dir, "another-secret")))
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("add that to http.previoussecrets")) || bytes.Contains(out, []byte("another-secret")) {
		w.Errorf("%v\n%s", err, out)
	}
}
