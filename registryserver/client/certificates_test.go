package client

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// Ensure that each call makes the request it should, and no other.
func TestCertificates(t *testing.T) {
	ctx := t.Context()
	var got string
	c, _ := newTestClient(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Method + " " + r.URL.Path + " " + r.Header.Get("If-Match") + r.Header.Get("If-None-Match")
		switch {
		case r.URL.Path == BasePath+"/certificates":
			writeJSON(w, 200, Page[Certificate]{Items: []Certificate{{Name: "main"}}})
		case r.Method == http.MethodPut:
			var spec CertificateSpec
			if err := json.NewDecoder(r.Body).Decode(&spec); err != nil || spec.PrivateKeyPEM != "key" {
				t.Errorf("%+v %v", spec, err)
			}
			writeJSON(w, 200, Certificate{Name: spec.Name})
		case r.Method == http.MethodDelete:
			w.WriteHeader(204)
		default:
			writeError(w, 404, ErrorItem{Code: oci.CodeNotFound, Message: "gone", Detail: Missing{"certificate", "main"}})
		}
	}, nil)
	spec := CertificateSpec{Name: "main", CertificatePEM: "cert", PrivateKeyPEM: "key"}
	for want, call := range map[string]func() error{
		"PUT /api/v1/certificates/main ":        func() error { _, err := c.PutCertificate(ctx, spec, ""); return err },
		`PUT /api/v1/certificates/main "r1"`:    func() error { _, err := c.PutCertificate(ctx, spec, "r1"); return err },
		"PUT /api/v1/certificates/main *":       func() error { _, err := c.CreateCertificate(ctx, spec); return err },
		`DELETE /api/v1/certificates/main "r2"`: func() error { return c.DeleteCertificate(ctx, "main", "r2") },
	} {
		if err := call(); err != nil || got != want {
			t.Errorf("%s %v, want %s", got, err, want)
		}
	}
	if _, err := c.GetCertificate(ctx, "main"); !IsNotFound(err) {
		t.Errorf("%v", err)
	}
	for cert, err := range c.ListCertificates(ctx) {
		if err != nil || cert.Name != "main" {
			t.Errorf("%v %v", cert, err)
		}
	}
	if _, err := c.GetCertificate(ctx, "../users"); oci.ErrorCode(err) != oci.CodeInvalid {
		t.Errorf("%v", err)
	}
}
