package adminapi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/certificates"
	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage/storagetest"
)

// certificateBodyFor returns the body of a PUT, and its key alone.
func certificateBodyFor(t *testing.T, name string) (body, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(255), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	spec := map[string]string{
		"certificate_pem": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		"private_key_pem": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})),
	}
	b, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return string(b), spec["private_key_pem"]
}

func TestCertificates(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	body, key := certificateBodyFor(t, "r.example")
	other, _ := certificateBodyFor(t, "s.example")
	w.want(404, oci.CodeNotFound, "GET", "/certificates/main", "")
	w.want(412, oci.CodePreconditionFailed, "PUT", "/certificates/main", body, `If-Match: "x"`)
	rec := w.want(201, "", "PUT", "/certificates/main", body, "If-None-Match: *")
	etag := rec.Header().Get("ETag")
	if rec.Header().Get("Location") != client.BasePath+"/certificates/main" {
		t.Errorf("%v", rec.Header())
	}
	got := decodeBody[client.Certificate](t, rec)
	if got.Name != "main" || got.Subject != "CN=r.example" || got.SerialNumber != "ff" || len(got.Fingerprint) != 64 || !got.Served || got.Problem != "" ||
		len(got.DNSNames) != 1 || len(got.IPAddresses) != 1 || got.IPAddresses[0] != "192.0.2.1" || `"`+got.Revision+`"` != etag {
		t.Errorf("%+v", got)
	}
	w.want(200, "", "PUT", "/certificates/main", body, "If-None-Match: *") // the answer was lost
	w.want(412, oci.CodePreconditionFailed, "PUT", "/certificates/main", other, "If-None-Match: *")
	w.want(412, oci.CodePreconditionFailed, "PUT", "/certificates/main", other, `If-Match: "x"`)
	w.want(304, "", "GET", "/certificates/main", "", "If-None-Match: "+etag)
	if changed := w.want(200, "", "PUT", "/certificates/main", other, "If-Match: "+etag); changed.Header().Get("ETag") == etag {
		t.Error("the revision stays")
	}
	w.want(201, "", "PUT", "/certificates/b", body)
	page := decodeBody[client.Page[client.Certificate]](t, w.want(200, "", "GET", "/certificates?limit=1", ""))
	if len(page.Items) != 1 || page.Items[0].Name != "b" || page.Next != "b" {
		t.Errorf("%+v", page)
	}
	w.want(412, oci.CodePreconditionFailed, "DELETE", "/certificates/main", "", "If-Match: "+etag)
	w.want(204, "", "DELETE", "/certificates/main", "")
	w.want(404, oci.CodeNotFound, "DELETE", "/certificates/main", "")
	if secret := key[30:60]; strings.Contains(w.logs.String(), secret) || strings.Contains(rec.Body.String(), secret) {
		t.Error("the key is logged or answered")
	}
}

func TestBadCertificates(t *testing.T) {
	w := newWorld(t, nil).withAdmin()
	body, key := certificateBodyFor(t, "r.example")
	other, _ := certificateBodyFor(t, "s.example")
	var mine, others map[string]string
	for text, into := range map[string]*map[string]string{body: &mine, other: &others} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	bad := func(want string, fields map[string]string) {
		t.Helper()
		b, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		rec := w.want(400, oci.CodeInvalid, "PUT", "/certificates/main", string(b))
		if !strings.Contains(rec.Body.String(), want) || strings.Contains(rec.Body.String(), key[30:60]) {
			t.Errorf("%s, want %s", rec.Body, want)
		}
	}
	bad("are needed", map[string]string{"certificate_pem": mine["certificate_pem"]})
	bad("does not belong", map[string]string{"certificate_pem": others["certificate_pem"], "private_key_pem": key})
	bad("not the name in the path", map[string]string{"name": "other", "certificate_pem": mine["certificate_pem"], "private_key_pem": key})
	bad("another type", map[string]string{"certificate_pem": key, "private_key_pem": key})
	w.want(400, oci.CodeInvalid, "PUT", "/certificates/Main", body)
	w.want(400, oci.CodeInvalid, "GET", "/certificates/-", "")
	w.want(400, oci.CodeInvalid, "DELETE", "/certificates/-", "")
}

// Ensure that nothing is installed without a secret that is not in the storage.
func TestCertificatesNeedASecret(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		var err error
		if c.Certificates, err = certificates.OpenStore(t.Context(), certificates.StoreConfig{Records: storagetest.NewMemory().Records()}); err != nil {
			t.Fatal(err)
		}
	}).withAdmin()
	body, _ := certificateBodyFor(t, "r.example")
	if rec := w.want(409, oci.CodeConflict, "PUT", "/certificates/main", body); !strings.Contains(rec.Body.String(), "REGISTRY_HTTP_SECRET") {
		t.Errorf("%s does not say what to do", rec.Body)
	}
	w.want(200, "", "GET", "/certificates", "")
}
