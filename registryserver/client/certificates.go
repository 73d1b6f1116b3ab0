package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
)

// PutCertificate installs a certificate, or replaces the one of that name. The
// server encrypts the key, and refuses it without an http.secret to do so
// (CONFLICT). Unless ifRevision is empty, a certificate of that name must be
// there and have that revision, or be the same as spec, or the error is of
// code PRECONDITION_FAILED.
func (c *Client) PutCertificate(ctx context.Context, spec CertificateSpec, ifRevision string) (Certificate, error) {
	return c.putCertificate(ctx, spec, request{ifRevision: ifRevision})
}

// CreateCertificate is PutCertificate where there must be no other certificate
// of that name (PRECONDITION_FAILED).
func (c *Client) CreateCertificate(ctx context.Context, spec CertificateSpec) (Certificate, error) {
	return c.putCertificate(ctx, spec, request{ifAbsent: true})
}

func (c *Client) putCertificate(ctx context.Context, spec CertificateSpec, r request) (Certificate, error) {
	var cert Certificate
	path, err := certificatePath(spec.Name)
	if err != nil {
		return cert, err
	}
	r.method, r.path, r.body = http.MethodPut, path, spec
	err = c.do(ctx, r, &cert)
	return cert, err
}

// GetCertificate returns an installed certificate. See IsNotFound.
func (c *Client) GetCertificate(ctx context.Context, name string) (Certificate, error) {
	var cert Certificate
	path, err := certificatePath(name)
	if err != nil {
		return cert, err
	}
	err = c.do(ctx, request{method: http.MethodGet, path: path}, &cert)
	return cert, err
}

// DeleteCertificate removes an installed certificate; ifRevision is as for
// UpdateUser. See IsNotFound.
func (c *Client) DeleteCertificate(ctx context.Context, name, ifRevision string) error {
	path, err := certificatePath(name)
	if err != nil {
		return err
	}
	return c.do(ctx, request{method: http.MethodDelete, path: path, ifRevision: ifRevision}, nil)
}

// ListCertificates yields every installed certificate in the byte order of
// names. It ends at the first error.
func (c *Client) ListCertificates(ctx context.Context) iter.Seq2[Certificate, error] {
	return list[Certificate](ctx, c, "/certificates")
}

func certificatePath(s string) (string, error) {
	name, err := oci.ParseCertificateName(s)
	return "/certificates/" + url.PathEscape(name), err
}
