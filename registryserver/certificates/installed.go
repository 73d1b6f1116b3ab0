package certificates

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/registrykit/terraform-provider-registry/registryserver/auth"
	"github.com/registrykit/terraform-provider-registry/registryserver/oci"
	"github.com/registrykit/terraform-provider-registry/registryserver/storage"
)

// Installed is what the admin API shows of a certificate. It never holds a key.
type Installed struct {
	Name           string
	CertificatePEM string // with its chain
	Fingerprint    string // SHA-256 of the first certificate, in hex
	Subject        string
	Issuer         string
	SerialNumber   string // in hex
	DNSNames       []string
	IPAddresses    []string
	NotBefore      time.Time
	NotAfter       time.Time
	Problem        string // why the server does not show it to clients; "" if it does
	Revision       string // changes with every change
	CreatedAt      time.Time
	UpdatedAt      time.Time
}

// Spec is a certificate to install.
type Spec struct {
	Name           string
	CertificatePEM string // leaf first, then what signed it
	PrivateKeyPEM  string
	// May is asked about the certificate of that name that is there; MustExist
	// says that there must be one.
	May       auth.Condition
	MustExist bool
}

const maxCertificates = 100

// Put installs a certificate, or replaces the one of that name, and reports
// whether it is new. Installing what is installed changes nothing. INVALID;
// CONFLICT without keys to encrypt with; PRECONDITION_FAILED.
func (s *Store) Put(ctx context.Context, spec Spec) (Installed, bool, error) {
	if _, err := oci.ParseCertificateName(spec.Name); err != nil {
		return Installed{}, false, err
	}
	if s.Keys == nil {
		return Installed{}, false, oci.Errorf(oci.CodeConflict, "no http.secret is configured, and without one private keys cannot be kept safely: set http.secret (REGISTRY_HTTP_SECRET), to the same value on every server, restart, and install the certificate again")
	}
	cert, err := parsePair(spec.CertificatePEM, spec.PrivateKeyPEM, s.Now())
	if err != nil {
		return Installed{}, false, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return Installed{}, false, err
	}
	defer unlock()
	for try := 0; ; try++ {
		created, err := s.tryPut(ctx, spec, cert)
		if errors.Is(err, storage.ErrConflict) && try < 20 {
			continue
		}
		defer s.Changed(ctx)
		// Whatever has become of the record is in force at once.
		if refreshed := s.read(context.WithoutCancel(ctx)); err == nil && refreshed != nil {
			err = unavailable(ctx, refreshed)
		}
		if err != nil {
			return Installed{}, false, err
		}
		if !s.Served {
			s.Log.WarnContext(ctx, "a certificate was installed, and this server does not use it: it serves plain HTTP. Set http.tls.managed: true", "name", spec.Name)
		}
		in, err := s.installed(spec.Name)
		return in, created, err
	}
}

// tryPut writes the record once.
func (s *Store) tryPut(ctx context.Context, spec Spec, cert *tls.Certificate) (created bool, err error) {
	if err := s.read(ctx); err != nil {
		return false, unavailable(ctx, err)
	}
	items := s.current.Load().items
	before := items[spec.Name]
	now := s.Now().UTC()
	r := record{Version: recordVersion, Revision: rand.Text(), CreatedAt: now, UpdatedAt: now}
	was := storage.Absent
	switch {
	case before == nil && spec.MustExist:
		return false, oci.Errorf(oci.CodePreconditionFailed, "there is no certificate %s, and the request says that there is", spec.Name)
	case before == nil && len(items) >= maxCertificates:
		return false, oci.Errorf(oci.CodeConflict, "there are %d certificates, and no more are possible", maxCertificates)
	case before != nil && before.err == nil && before.record.Certificate == encodeChain(cert):
		return false, nil // also for a repeated request whose condition held the first time
	case before != nil && spec.May != nil && !spec.May(before.revision()):
		return false, hasChanged(spec.Name)
	case before != nil:
		was = before.version
		if before.record != nil {
			r.CreatedAt = before.record.CreatedAt
		}
	}
	if err := r.setPair(spec.Name, cert, s.Keys); err != nil {
		return false, err
	}
	value, err := json.Marshal(r)
	if err != nil {
		return false, err
	}
	_, err = s.Records.Put(ctx, recordKey(spec.Name), value, was)
	if err != nil && !errors.Is(err, storage.ErrConflict) {
		err = unavailable(ctx, fmt.Errorf("write certificate %s: %w", spec.Name, err))
	}
	return before == nil, err
}

// Get returns a certificate. NOT_FOUND.
func (s *Store) Get(ctx context.Context, name string) (Installed, error) {
	if err := s.Refresh(ctx); err != nil {
		return Installed{}, unavailable(ctx, err)
	}
	return s.installed(name)
}

// All returns every certificate, in the byte order of names.
func (s *Store) All(ctx context.Context) ([]Installed, error) {
	if err := s.Refresh(ctx); err != nil {
		return nil, unavailable(ctx, err)
	}
	items := s.current.Load().items
	all := make([]Installed, 0, len(items))
	for _, name := range slices.Sorted(maps.Keys(items)) {
		all = append(all, items[name].installed(name, s))
	}
	return all, nil
}

// Delete removes a certificate; clients no longer see it. NOT_FOUND,
// PRECONDITION_FAILED.
func (s *Store) Delete(ctx context.Context, name string, may auth.Condition) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	for try := 0; ; try++ {
		if err := s.read(ctx); err != nil {
			return unavailable(ctx, err)
		}
		it := s.current.Load().items[name]
		switch {
		case it == nil:
			return notFound(name)
		case may != nil && !may(it.revision()):
			return hasChanged(name)
		}
		err := s.Records.Delete(ctx, recordKey(name), it.version)
		if errors.Is(err, storage.ErrConflict) && try < 20 {
			continue
		}
		defer s.Changed(ctx)
		refreshed := s.read(context.WithoutCancel(ctx))
		if err = errors.Join(err, refreshed); err != nil {
			return unavailable(ctx, fmt.Errorf("delete certificate %s: %w", name, err))
		}
		return nil
	}
}

func (s *Store) installed(name string) (Installed, error) {
	it := s.current.Load().items[name]
	if it == nil {
		return Installed{}, notFound(name)
	}
	return it.installed(name, s), nil
}

func (it *item) installed(name string, s *Store) Installed {
	in := Installed{Name: name, Revision: it.revision(), DNSNames: []string{}, IPAddresses: []string{}}
	switch {
	case it.err != nil:
		in.Problem = it.err.Error()
	case !s.Served:
		in.Problem = "the server speaks plain HTTP; set http.tls.managed: true"
	}
	if it.record == nil || len(it.chain) == 0 {
		return in
	}
	leaf := it.chain[0]
	if in.Problem == "" && s.Now().After(leaf.NotAfter) {
		in.Problem = "the certificate has expired"
	}
	in.CertificatePEM, in.CreatedAt, in.UpdatedAt = it.record.Certificate, it.record.CreatedAt, it.record.UpdatedAt
	in.Fingerprint, in.Subject, in.Issuer, in.SerialNumber = fingerprint(leaf), leaf.Subject.String(), leaf.Issuer.String(), leaf.SerialNumber.Text(16)
	in.NotBefore, in.NotAfter = leaf.NotBefore.UTC(), leaf.NotAfter.UTC()
	in.DNSNames = append(in.DNSNames, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		in.IPAddresses = append(in.IPAddresses, ip.String())
	}
	return in
}

// revision is that of the record, or of what lies there instead of one.
func (it *item) revision() string {
	if it.record == nil {
		return string(it.version)
	}
	return it.record.Revision
}

func hasChanged(name string) error {
	return oci.Errorf(oci.CodePreconditionFailed, "certificate %s has changed since it was read; read it again", name)
}

func notFound(name string) error {
	err := oci.Errorf(oci.CodeNotFound, "there is no certificate %q", name)
	err.Detail = auth.NotFound{Kind: "certificate", Name: name}
	return err
}

// unavailable hides a fault of the storage from clients, unless it is one that
// has a text for them.
func unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, storage.ErrUnavailable) {
		return err
	}
	return &oci.Error{Code: oci.CodeUnavailable, Message: "the certificates cannot be reached in the storage now; try again", Err: err}
}
