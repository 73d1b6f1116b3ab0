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
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestInstalledCertificates has two servers on one storage that get all their
// certificates through the admin API: the first one over the connection that
// only its fingerprint vouches for, and each in force without a restart.
func TestInstalledCertificates(t *testing.T) {
	dir := t.TempDir()
	config := filesystemConfig(dir) + "http: {secret: the-http-secret, tls: {managed: true}}\nadmin: {username: root, password: correct-horse}\n"
	first, second := startServer(t, config), startServer(t, config)
	if got := shown(t, first, "r.example"); got.Subject.CommonName != "registryserver without a certificate" ||
		!strings.Contains(first.output.String(), "no certificate is installed yet") {
		t.Errorf("shown %s\n%s", got.Subject, first.output.tail())
	}
	for i, name := range []string{"r.example", "*.example", "r.example"} {
		want := install(t, first, fmt.Sprintf("cert%d", i%2), name)
		if got := shown(t, first, strings.Replace(name, "*", "other", 1)); !got.Equal(want) {
			t.Errorf("shown %s right after %s was installed", got.Subject, name)
		}
		begun := time.Now()
		for got := shown(t, second, strings.Replace(name, "*", "other", 1)); !got.Equal(want); got = shown(t, second, name) {
			if time.Since(begun) > 7*time.Second { // 5 s, and a slow machine
				t.Fatalf("the other server shows %s", got.Subject)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	if got := shown(t, first, "unknown.test"); strings.Contains(got.Subject.CommonName, "without") {
		t.Error("the self-signed certificate is still shown")
	}
	content := string(mustRead(t, dir+"/registrykit/v1/certificates/cert0"))
	if strings.Contains(content, "PRIVATE") || strings.Contains(first.output.String()+second.output.String(), "PRIVATE") {
		t.Error("a private key lies open")
	}
}

// shown returns the certificate that a client sees for a name.
func shown(t *testing.T, p *process, name string) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", p.Host, &tls.Config{ServerName: name, InsecureSkipVerify: true})
	if err != nil {
		t.Fatalf("%v\n%s", err, p.output.tail())
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// install makes a certificate and installs it.
func install(t *testing.T, p *process, under, name string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(map[string]string{
		"certificate_pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		"private_key_pem": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})),
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "https://"+p.Host+"/api/v1/certificates/"+under, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth("root", "correct-horse")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		t.Fatal(resp.Status)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
