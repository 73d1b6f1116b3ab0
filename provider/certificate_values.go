package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-framework/types/basetypes"
)

// The defaults of a key.
const (
	defaultAlgorithm = algorithmECDSA
	defaultBits      = 2048
	defaultCurve     = "P256"
)

// values reads Terraform values and remembers whether one of them was unknown;
// unknown and null ones read as zero.
type values struct {
	ctx     context.Context
	diags   *diag.Diagnostics
	unknown bool
}

func (v *values) text(s types.String) string {
	v.unknown = v.unknown || s.IsUnknown()
	return s.ValueString()
}

func (v *values) number(n types.Int64) int64 {
	v.unknown = v.unknown || n.IsUnknown()
	return n.ValueInt64()
}

func (v *values) set(s types.Set) []string {
	v.unknown = v.unknown || s.IsUnknown()
	var out []string
	for _, element := range s.Elements() {
		if text, ok := element.(types.String); ok {
			v.unknown = v.unknown || text.IsUnknown()
			out = append(out, text.ValueString())
		}
	}
	slices.Sort(out)
	return out
}

// object reads an object into a struct, which stays as it is where the object
// is null or unknown.
func (v *values) object(o types.Object, into any) {
	v.unknown = v.unknown || o.IsUnknown()
	if !o.IsNull() && !o.IsUnknown() {
		v.diags.Append(o.As(v.ctx, into, basetypes.ObjectAsOptions{})...)
	}
}

// setOf makes a set, or an unknown one.
func (v *values) setOf(elements []string, unknown bool) types.Set {
	if unknown {
		return types.SetUnknown(types.StringType)
	}
	if elements == nil {
		elements = []string{}
	}
	s, diags := types.SetValueFrom(v.ctx, types.StringType, elements)
	v.diags.Append(diags...)
	return s
}

// spec returns what the certificate is to be, and whether all of it is known.
func (m *certificateModel) spec(ctx context.Context, diags *diag.Diagnostics) (certificateSpec, bool) {
	v := values{ctx: ctx, diags: diags, unknown: m.IsCACertificate.IsUnknown()}
	s := certificateSpec{
		subject:  m.subject(&v),
		dnsNames: v.set(m.DNSNames),
		key:      m.key(&v),
		validity: time.Duration(v.number(m.ValidityPeriodHours)) * time.Hour,
		early:    time.Duration(v.number(m.EarlyRenewalHours)) * time.Hour,
		ca:       m.IsCACertificate.ValueBool(),
		uses:     v.set(m.AllowedUses),
	}
	for _, ip := range v.set(m.IPAddresses) {
		if addr, err := netip.ParseAddr(ip); err == nil {
			s.ips = append(s.ips, addr.String())
		}
	}
	slices.Sort(s.ips)
	s.ips = slices.Compact(s.ips)
	issuer, _ := m.issuer(ctx, diags)
	if text := v.text(issuer.CertificatePEM); text != "" {
		s.issuer = chainID(text)
	}
	return s, !v.unknown && !m.Issuer.IsUnknown()
}

// chainID tells chains of certificates apart whatever their PEM looks like.
func chainID(text string) string {
	chain, err := parseCertificates(text)
	if err != nil {
		return text // reported where it is used
	}
	sum := sha256.New()
	for _, c := range chain {
		sum.Write(c.Raw)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func (m *certificateModel) subject(v *values) subject {
	var s subjectModel
	v.object(m.Subject, &s)
	return subject{
		commonName:         v.text(s.CommonName),
		organization:       v.text(s.Organization),
		organizationalUnit: v.text(s.OrganizationalUnit),
		locality:           v.text(s.Locality),
		province:           v.text(s.Province),
		country:            v.text(s.Country),
	}
}

func (m *certificateModel) key(v *values) keySpec {
	var k keyModel
	v.object(m.Key, &k)
	spec := keySpec{algorithm: v.text(k.Algorithm), bits: v.number(k.RSABits), curve: v.text(k.ECDSACurve)}
	if spec.algorithm == "" {
		spec.algorithm = defaultAlgorithm
	}
	if spec.algorithm == algorithmRSA && spec.bits == 0 {
		spec.bits = defaultBits
	}
	if spec.algorithm == algorithmECDSA && spec.curve == "" {
		spec.curve = defaultCurve
	}
	return spec
}

// issuer returns the issuer and whether it is known; it is zero for a
// self-signed certificate.
func (m *certificateModel) issuer(ctx context.Context, diags *diag.Diagnostics) (issuerModel, bool) {
	v := values{ctx: ctx, diags: diags}
	var issuer issuerModel
	v.object(m.Issuer, &issuer)
	return issuer, !v.unknown && !issuer.CertificatePEM.IsUnknown()
}

// privateKey returns the key of the issuer and where it is written.
func (i issuerModel) privateKey() (types.String, path.Path) {
	at := path.Root("issuer")
	if !i.PrivateKeyPEMWO.IsNull() {
		return i.PrivateKeyPEMWO, at.AtName("private_key_pem_wo")
	}
	return i.PrivateKeyPEM, at.AtName("private_key_pem")
}

// authority parses the issuer of a configuration, where all of it is known;
// nil stands for a self-signed certificate.
func (m *certificateModel) authority(ctx context.Context, diags *diag.Diagnostics) *authority {
	issuer, _ := m.issuer(ctx, diags)
	if m.Issuer.IsNull() {
		return nil
	}
	chain, err := parseIssuer(issuer.CertificatePEM.ValueString())
	if err != nil {
		diags.AddAttributeError(path.Root("issuer").AtName("certificate_pem"), "Invalid issuer", sentence(err))
		return nil
	}
	text, at := issuer.privateKey()
	key, err := parsePrivateKey(text.ValueString())
	if err == nil {
		err = checkKey(chain[0], key)
	}
	if err != nil {
		diags.AddAttributeError(at, "Invalid private key of the issuer", sentence(err))
		return nil
	}
	return &authority{chain: chain, key: key}
}
