package main_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// acmeWorld is a real ACME server, its DNS, and servers of ours that get their
// certificates from it.
type acmeWorld struct {
	*testing.T
	pebble    *process
	directory string
	ca, key   string // files of the CA of Pebble's own certificate and of clients
	client1   tls.Certificate
	balancer  net.Listener // where Pebble connects to
	roots     *x509.CertPool
}

// newACMEWorld starts Pebble, whose certificates live for validity.
func newACMEWorld(t *testing.T, validity time.Duration) *acmeWorld {
	t.Helper()
	pebble, dns := tool(t, "pebble"), tool(t, "pebble-challtestsrv")
	w := &acmeWorld{T: t, ca: filepath.Join(t.TempDir(), "ca.pem"), key: filepath.Join(t.TempDir(), "ca.key")}
	w.selfSigned()
	var err error
	if w.client1, err = tls.LoadX509KeyPair(w.ca, w.key); err != nil {
		t.Fatal(err)
	}
	if w.balancer, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.balancer.Close() })

	resolver := freeAddress(t)
	w.start(exec.Command(dns, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dnsserver", resolver, "-management", freeAddress(t),
		"-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""))
	api, management := freeAddress(t), freeAddress(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": api, "managementListenAddress": management, "certificate": w.ca, "privateKey": w.key,
		"httpPort": 1, "tlsPort": w.balancer.Addr().(*net.TCPAddr).Port, "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "default", "validityPeriod": validity / time.Second}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(pebble, "-strict", "-dnsserver", resolver, "-config", writeConfig(t, string(config)))
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	w.pebble, w.directory = w.start(cmd), "https://"+api+"/dir"
	w.fetchRoot("https://" + management + "/roots/0")
	return w
}

// start starts a program that is stopped when the test ends.
func (w *acmeWorld) start(cmd *exec.Cmd) *process {
	w.Helper()
	p := &process{cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	w.Cleanup(func() {
		p.stop(w)
		if w.Failed() {
			w.Logf("%s:\n%s", filepath.Base(cmd.Path), p.output.tail())
		}
	})
	return p
}

func (w *acmeWorld) selfSigned() {
	w.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		w.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{w.ca: {Type: "CERTIFICATE", Bytes: der}, w.key: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			w.Fatal(err)
		}
	}
}

// fetchRoot waits for Pebble and reads the root of what it issues.
func (w *acmeWorld) fetchRoot(url string) {
	w.Helper()
	trusted := x509.NewCertPool()
	trusted.AddCert(w.client1.Leaf)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}}
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(20 * time.Millisecond) {
		resp, err := client.Get(url)
		if err == nil {
			root, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if w.roots = x509.NewCertPool(); err == nil && w.roots.AppendCertsFromPEM(root) {
				return
			}
		}
		if time.Now().After(deadline) {
			w.Fatalf("Pebble does not answer: %v\n%s", err, w.pebble.output.tail())
		}
	}
}

// server starts a server of ours; of its secrets, the first is the current one.
func (w *acmeWorld) server(dir string, secrets ...string) *process {
	w.Helper()
	return startServer(w, w.config(dir, secrets...), "SSL_CERT_FILE="+w.ca)
}

func (w *acmeWorld) config(dir string, secrets ...string) string {
	return filesystemConfig(dir) + fmt.Sprintf(`
auth: none
http:
  secret: %s
  previoussecrets: [%s]
  debug: {addr: %q, prometheus: {enabled: true}}
  tls:
    clientcas: [%q]
    letsencrypt: {email: ops@registry.test, hosts: [%s], directoryurl: %q, cachefile: /nowhere}
`, secrets[0], strings.Join(secrets[1:], ", "), freeAddress(w), w.ca, acmeName, w.directory)
}

// balance sends every connection to the server that is not getting the certificate.
func (w *acmeWorld) balance(a, b *process) {
	go func() {
		for {
			conn, err := w.balancer.Accept()
			if err != nil {
				return
			}
			target := a
			for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
				if strings.Contains(a.output.String(), "getting a certificate over ACME") {
					target = b
					break
				}
				if strings.Contains(b.output.String(), "getting a certificate over ACME") {
					break
				}
			}
			go forward(conn, target.Host)
		}
	}()
}

func forward(from net.Conn, address string) {
	defer from.Close()
	to, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, from)
		to.Close()
	}()
	_, _ = io.Copy(from, to)
}
