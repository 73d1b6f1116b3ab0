package provider

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/statecheck"
)

// checkCertificates holds the certificate of leaf, signed by ca or by itself,
// to what clients do with it: openssl verify, and a TLS handshake for each of
// its names.
type checkCertificates struct{ ca, leaf string }

func (c checkCertificates) CheckState(_ context.Context, req statecheck.CheckStateRequest, resp *statecheck.CheckStateResponse) {
	text := func(address, name string) string { s, _ := stateOf(req, address)[name].(string); return s }
	resp.Error = errors.Join(
		openSSLVerify(text(c.ca, "certificate_pem"), text(c.leaf, "certificate_pem")),
		handshakes(text(c.ca, "certificate_pem"), text(c.leaf, "chain_pem"), text(c.leaf, "private_key_pem")),
	)
}

func openSSLVerify(ca, leaf string) error {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "certificates")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	caFile, leafFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "leaf.pem")
	if err := errors.Join(os.WriteFile(caFile, []byte(ca), 0o600), os.WriteFile(leafFile, []byte(leaf), 0o600)); err != nil {
		return err
	}
	out, err := exec.Command(openssl, "verify", "-no_check_time", "-x509_strict", "-CAfile", caFile, leafFile).CombinedOutput()
	if err != nil {
		return fmt.Errorf("openssl verify: %w: %s", err, out)
	}
	return nil
}

// handshakes lets a client that trusts ca connect to a server by every name of
// its certificate.
func handshakes(ca, chain, key string) error {
	pair, err := tls.X509KeyPair([]byte(chain), []byte(key))
	if err != nil {
		return err
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(ca))
	names := leaf.DNSNames
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	for _, name := range names {
		if name[0] == '*' {
			name = "any" + name[1:]
		}
		here, there := net.Pipe()
		server := tls.Server(there, &tls.Config{Certificates: []tls.Certificate{pair}})
		go func() { _ = server.Handshake() }()
		client := tls.Client(here, &tls.Config{RootCAs: roots, ServerName: name, Time: func() time.Time { return leaf.NotAfter }})
		if err := client.Handshake(); err != nil {
			return fmt.Errorf("handshake for %s: %w", name, err)
		}
		_, _ = client.Close(), server.Close()
	}
	return nil
}

// openSSLFiles makes CAs and certificates with openssl, as our users have them,
// and returns a function from name to path.
func openSSLFiles(t *testing.T) func(name string) string {
	t.Helper()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		command := exec.Command(openssl, args...)
		command.Dir = dir
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	selfSigned := func(name, subject string, more ...string) {
		run(append([]string{"req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
			"-keyout", name + ".key", "-out", name + ".pem", "-days", "730", "-subj", subject}, more...)...)
	}
	run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "730", "-subj", "/C=DE/O=Example/CN=Example Root")
	run("rsa", "-in", "ca.key", "-traditional", "-out", "ca-pkcs1.key")
	run("pkey", "-in", "ca.key", "-aes256", "-passout", "pass:secret", "-out", "ca-encrypted.key")
	run("rsa", "-in", "ca.key", "-traditional", "-aes256", "-passout", "pass:secret", "-out", "ca-encrypted-pkcs1.key")
	run("ecparam", "-name", "prime256v1", "-genkey", "-out", "ec.key") // with EC PARAMETERS before the key
	run("req", "-x509", "-key", "ec.key", "-out", "ec.pem", "-days", "730", "-subj", "/CN=Example EC Root")
	selfSigned("leaf", "/CN=leaf", "-addext", "basicConstraints=CA:FALSE")
	selfSigned("zero", "/CN=No Further CA", "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0")
	selfSigned("named", "/CN=Only Example Org", "-addext", "nameConstraints=critical,permitted;DNS:example.org")
	selfSigned("useless", "/CN=Signs Nothing", "-addext", "keyUsage=digitalSignature")
	return func(name string) string { return filepath.Join(dir, name) }
}

// stateOf returns the attributes of a resource.
func stateOf(req statecheck.CheckStateRequest, address string) map[string]any {
	for _, r := range req.State.Values.RootModule.Resources {
		if r.Address == address {
			return r.AttributeValues
		}
	}
	return nil
}

// checkChain expects the chain of a certificate to have so many certificates,
// to end with the PEM, and the certificate to end when another one does.
type checkChain struct {
	address string
	length  int
	last    string // PEM; "" for any
	endsAs  string // address; "" for none
}

func (c checkChain) CheckState(_ context.Context, req statecheck.CheckStateRequest, resp *statecheck.CheckStateResponse) {
	values := stateOf(req, c.address)
	text, _ := values["chain_pem"].(string)
	chain, err := parseCertificates(text)
	switch {
	case err != nil:
		resp.Error = err
	case len(chain) != c.length:
		resp.Error = fmt.Errorf("the chain has %d certificates, want %d", len(chain), c.length)
	case c.last != "" && !strings.HasSuffix(text, c.last):
		resp.Error = fmt.Errorf("the chain does not end with the issuer")
	case c.endsAs != "" && values["validity_end_time"] != stateOf(req, c.endsAs)["validity_end_time"]:
		resp.Error = fmt.Errorf("it ends on %v, the issuer on %v", values["validity_end_time"], stateOf(req, c.endsAs)["validity_end_time"])
	}
}
