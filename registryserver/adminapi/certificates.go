package adminapi

import (
	"net/http"

	"github.com/registrykit/terraform-provider-registry/registryserver/certificates"
	"github.com/registrykit/terraform-provider-registry/registryserver/client"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// certificateBody is client.CertificateSpec with what is missing told from what
// is empty.
type certificateBody struct {
	Name           *string `json:"name"`
	CertificatePEM *string `json:"certificate_pem"`
	PrivateKeyPEM  *string `json:"private_key_pem"`
}

func (a *api) listCertificates(r *http.Request) (answer, error) {
	all, err := a.Certificates.All(r.Context())
	if err != nil {
		return answer{}, err
	}
	certs := make([]client.Certificate, len(all))
	for i, c := range all {
		certs[i] = wireCertificate(c)
	}
	p, err := page(r, certs, func(c client.Certificate) string { return c.Name })
	return answer{body: p, next: p.Next}, err
}

func (a *api) getCertificate(r *http.Request) (answer, error) {
	name, err := oci.ParseCertificateName(r.PathValue("certificate"))
	if err != nil {
		return answer{}, err
	}
	c, err := a.Certificates.Get(r.Context(), name)
	return answer{body: wireCertificate(c), etag: c.Revision}, err
}

func (a *api) putCertificate(r *http.Request) (answer, error) {
	name, err := oci.ParseCertificateName(r.PathValue("certificate"))
	if err != nil {
		return answer{}, err
	}
	var body certificateBody
	if err := decode(r, &body); err != nil {
		return answer{}, err
	}
	may, err := condition(r)
	switch {
	case err != nil:
		return answer{}, err
	case body.Name != nil && *body.Name != name:
		return answer{}, oci.Errorf(oci.CodeInvalid, "the field name is not the name in the path; a certificate cannot be renamed")
	case body.CertificatePEM == nil || body.PrivateKeyPEM == nil:
		return answer{}, oci.Errorf(oci.CodeInvalid, "the fields certificate_pem and private_key_pem are needed")
	}
	c, created, err := a.Certificates.Put(r.Context(), certificates.Spec{
		Name: name, CertificatePEM: *body.CertificatePEM, PrivateKeyPEM: *body.PrivateKeyPEM,
		May: may, MustExist: r.Header.Get("If-Match") != "",
	})
	ans := answer{body: wireCertificate(c), etag: c.Revision}
	if created {
		ans.status, ans.location = http.StatusCreated, "/certificates/"+escaped(name)
	}
	return ans, err
}

func (a *api) deleteCertificate(r *http.Request) (answer, error) {
	name, err := oci.ParseCertificateName(r.PathValue("certificate"))
	if err != nil {
		return answer{}, err
	}
	may, err := condition(r)
	if err != nil {
		return answer{}, err
	}
	return answer{}, a.Certificates.Delete(r.Context(), name, may)
}

func wireCertificate(c certificates.Installed) client.Certificate {
	return client.Certificate{
		Name: c.Name, CertificatePEM: c.CertificatePEM, Fingerprint: c.Fingerprint, Subject: c.Subject, Issuer: c.Issuer, SerialNumber: c.SerialNumber,
		DNSNames: c.DNSNames, IPAddresses: c.IPAddresses, NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		Served: c.Problem == "", Problem: c.Problem, Revision: c.Revision, CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt,
	}
}
