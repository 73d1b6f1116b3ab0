package provider

import (
	"context"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// newCA issues a CA that is valid for so long.
func newCA(t *testing.T, now time.Time, validity time.Duration) *issued {
	t.Helper()
	spec := certificateSpec{
		subject: subject{commonName: "CA"}, key: keySpec{algorithm: algorithmECDSA, curve: "P256"},
		ca: true, uses: defaultUses(true, algorithmECDSA), validity: validity,
	}
	made, err := spec.issue(nil, now)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// issuerOf makes the issuer argument of a CA.
func issuerOf(ca *issued) types.Object {
	text := types.StringType
	return types.ObjectValueMust(
		map[string]attr.Type{"certificate_pem": text, "private_key_pem": text, "private_key_pem_wo": text},
		map[string]attr.Value{"certificate_pem": types.StringValue(ca.chainPEM), "private_key_pem": types.StringValue(ca.keyPEM), "private_key_pem_wo": types.StringNull()},
	)
}

// A certificate lies within the life of its issuer, whatever the clock says.
func TestIssueWithinIssuer(t *testing.T) {
	begin := time.Now()
	var diags diag.Diagnostics
	ca := (&certificateModel{Issuer: issuerOf(newCA(t, begin, 1000*time.Hour))}).authority(t.Context(), &diags)
	if diags.HasError() {
		t.Fatal(diags)
	}
	leaf := certificateSpec{
		dnsNames: []string{"a.example"}, key: keySpec{algorithm: algorithmED25519}, uses: defaultUses(false, algorithmED25519), validity: 100 * time.Hour,
	}
	for _, c := range []struct {
		at        time.Duration
		early     time.Duration
		length    time.Duration // from now on
		complaint string
	}{
		{at: 0, length: 100 * time.Hour},
		{at: 950 * time.Hour, length: 50 * time.Hour},
		{at: 950 * time.Hour, early: 49 * time.Hour, length: 50 * time.Hour},
		{at: 950 * time.Hour, early: 50 * time.Hour, complaint: "would be due for renewal at once"},
		{at: -30 * time.Minute, length: 100 * time.Hour},
		{at: -2 * time.Hour, complaint: "is valid only from"},
		{at: 1000 * time.Hour, complaint: "ended on"},
	} {
		leaf.early = c.early
		now := begin.Add(c.at)
		made, err := leaf.issue(ca, now)
		check(t, c.at.String(), err, c.complaint)
		if err != nil {
			continue
		}
		if got := made.certificate.NotAfter.Sub(now).Round(time.Minute); got != c.length {
			t.Errorf("at %s: it lasts %s, want %s", c.at, got, c.length)
		}
		if made.certificate.NotBefore.Before(ca.issuer().NotBefore) {
			t.Errorf("at %s: it begins %s, before its issuer", c.at, made.certificate.NotBefore)
		}
	}
}

// A warning says what a certificate loses by ending with its issuer, unless
// that is next to nothing, as where both are made in one run.
func TestIssueWarnsOfShortLife(t *testing.T) {
	begin := time.Now()
	issuer := issuerOf(newCA(t, begin, 100*time.Hour))
	for after, warns := range map[time.Duration]bool{time.Minute: false, 59 * time.Minute: false, 2 * time.Hour: true} {
		r := &certificateResource{now: func() time.Time { return begin.Add(after) }}
		spec := certificateSpec{dnsNames: []string{"a.example"}, key: keySpec{algorithm: algorithmED25519}, uses: []string{"server_auth"}, validity: 100 * time.Hour}
		var m certificateModel
		var diags diag.Diagnostics
		r.issue(t.Context(), &m, certificateModel{Issuer: issuer}, spec, &diags)
		if diags.HasError() || (diags.WarningsCount() == 1) != warns {
			t.Errorf("after %s: %v", after, diags)
		}
	}
}

// The plan is made twice. The hour that strikes in between changes nothing,
// since only Read looks at the clock.
func TestRenewalIsDecidedOnce(t *testing.T) {
	now := time.Now()
	r := &certificateResource{now: func() time.Time { return now }}
	state := certificateModel{ValidityEndTime: types.StringValue(now.Add(-time.Hour).Format(time.RFC3339))}
	notes := privateNotes{}
	var diags diag.Diagnostics
	spec, _ := state.spec(t.Context(), &diags)
	if r.reissue(t.Context(), spec, state, notes, &diags) {
		t.Error("renewed although Read has not seen that it is time")
	}
	note(t.Context(), notes, true, &diags)
	if !r.reissue(t.Context(), spec, state, notes, &diags) || diags.HasError() {
		t.Errorf("not renewed although Read has seen that it is time, %v", diags)
	}
}

// privateNotes is private state in memory.
type privateNotes map[string][]byte

func (p privateNotes) GetKey(_ context.Context, key string) ([]byte, diag.Diagnostics) {
	return p[key], nil
}

func (p privateNotes) SetKey(_ context.Context, key string, value []byte) diag.Diagnostics {
	p[key] = value
	return nil
}
