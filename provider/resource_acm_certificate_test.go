package provider

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/google/uuid"
	"github.com/hashicorp/terraform-plugin-testing/compare"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

const acmALB = "registry_acm_certificate.alb"

// testCertificate is a certificate that a test makes, and its key.
type testCertificate struct {
	c   *x509.Certificate
	key crypto.Signer
}

// newCertificate makes a certificate, signed by an issuer or by itself.
func newCertificate(t testing.TB, key crypto.Signer, issuer *testCertificate, change func(*x509.Certificate)) testCertificate {
	t.Helper()
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<60))
	name := uuid.NewString() + ".example.com"
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), BasicConstraintsValid: true,
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.c, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return testCertificate{c, key}
}

func isCA(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }

func p256(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (c testCertificate) pem() string { return encodePEM("CERTIFICATE", c.c.Raw) }

func (c testCertificate) keyPEM() string {
	text, err := loadBalancerCertificate{key: c.key}.keyPEM()
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// alb is a certificate for a load balancer with extra arguments.
func alb(c testCertificate, extra ...string) string {
	all := strings.Join(extra, "\n  ")
	if !strings.Contains(all, "private_key_pem") {
		all += fmt.Sprintf("\n  private_key_pem = %q", c.keyPEM())
	}
	return fmt.Sprintf("resource \"registry_acm_certificate\" \"alb\" {\n  certificate_pem = %q\n  %s\n}\n", c.pem(), all)
}

// imported expects ACM to have this certificate, with this chain and tags,
// exactly once.
func (s *awsServer) imported(c testCertificate, tags map[string]string, chain ...testCertificate) statecheck.StateCheck {
	return statecheckFunc(func(req statecheck.CheckStateRequest) error {
		arn, _ := stateOf(req, acmALB)["arn"].(string)
		api := s.acm()
		manager := certificateManager{api}
		leaf, above, err := manager.get(context.Background(), arn)
		if err != nil {
			return err
		}
		want := ""
		for _, one := range chain {
			want += one.pem()
		}
		if !leaf.Equal(c.c) || string(chainPEM(above)) != want {
			return fmt.Errorf("ACM has %s and a chain of %d, want %s", nameOf(leaf), len(above), nameOf(c.c))
		}
		have, err := manager.tags(context.Background(), arn)
		if err != nil || fmt.Sprint(have) != fmt.Sprint(tags) {
			return fmt.Errorf("the tags are %v, want %v, %w", have, tags, err)
		}
		if n := s.copies(c); n != 1 {
			return fmt.Errorf("it was imported %d times", n)
		}
		return nil
	})
}

// copies is how often ACM has a certificate.
func (s *awsServer) copies(c testCertificate) int {
	n := 0
	pages := acm.NewListCertificatesPaginator(s.acm(), &acm.ListCertificatesInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		if err != nil {
			return -1
		}
		for _, one := range page.CertificateSummaryList {
			if one.DomainName != nil && *one.DomainName == c.c.Subject.CommonName {
				n++
			}
		}
	}
	return n
}

func none() map[string]string { return map[string]string{} }

func TestACMCertificateBasic(t *testing.T) {
	s, c := startAWS(t), newCertificate(t, p256(t), nil, nil)
	unitTest(t, testProvider(), resource.TestStep{
		Config: s.config("%s", alb(c)),
		ConfigPlanChecks: resource.ConfigPlanChecks{
			PreApply: []plancheck.PlanCheck{
				plancheck.ExpectResourceAction(acmALB, create), plancheck.ExpectUnknownValue(acmALB, tfjsonpath.New("arn")),
				plancheck.ExpectKnownValue(acmALB, tfjsonpath.New("fingerprint_sha256"), knownvalue.StringExact(fingerprint(c.c))),
			},
			PostApplyPostRefresh: []plancheck.PlanCheck{plancheck.ExpectEmptyPlan()},
		},
		ConfigStateChecks: []statecheck.StateCheck{
			s.imported(c, none()),
			is(acmALB, "region", knownvalue.StringExact(awsRegion)),
			is(acmALB, "validity_end_time", knownvalue.StringExact(c.c.NotAfter.UTC().Format(time.RFC3339))),
			statecheck.ExpectSensitiveValue(acmALB, tfjsonpath.New("private_key_pem")),
		},
	})
	if n := s.copies(c); n != 0 {
		t.Errorf("%d copies are left", n)
	}
}

// Every argument, changed in place under the same ARN; the region replaces.
func TestACMCertificateUpdate(t *testing.T) {
	s := startAWS(t)
	root := newCertificate(t, p256(t), nil, isCA)
	ca := newCertificate(t, p256(t), &root, isCA)
	one, two := newCertificate(t, p256(t), &ca, nil), newCertificate(t, p256(t), &ca, nil)
	chain := func(of ...testCertificate) string {
		text := ""
		for _, c := range of {
			text += c.pem()
		}
		return fmt.Sprintf("certificate_chain_pem = %q", text)
	}
	writeOnly := func(version string) string {
		return fmt.Sprintf("private_key_pem_wo = %q\n private_key_pem_wo_version = %q", two.keyPEM(), version)
	}
	same := statecheck.CompareValue(compare.ValuesSame())
	step := func(action plancheck.ResourceActionType, c testCertificate, checks []statecheck.StateCheck, extra ...string) resource.TestStep {
		return resource.TestStep{Config: s.config("%s", alb(c, extra...)), ConfigPlanChecks: expectAction(acmALB, action),
			ConfigStateChecks: append(checks, same.AddStateValue(acmALB, tfjsonpath.New("arn")))}
	}
	check := func(checks ...statecheck.StateCheck) []statecheck.StateCheck { return checks }
	windows := strings.ReplaceAll(two.pem(), "\n", "\r\n") + "  \r\n"
	unitTest(t, testProvider(),
		step(create, one, check(s.imported(one, none(), ca)), chain(ca)),
		step(update, two, check(s.imported(two, none(), ca)), chain(ca)),
		step(update, two, check(s.imported(two, none(), ca, root)), chain(ca, root)),
		step(noop, two, check(s.imported(two, none(), ca, root)), chain(two, ca, root)), // as a server sends it
		step(update, two, check(s.imported(two, map[string]string{"a": "b", "c": ""}, ca, root)), chain(ca, root), `tags = { a = "b", c = "" }`),
		step(update, two, check(s.imported(two, map[string]string{"c": "d"}, ca, root)), chain(ca, root), `tags = { c = "d" }`),
		step(update, two, check(s.imported(two, map[string]string{"c": "d"}, ca)), chain(ca), `tags = { c = "d" }`), // a new import keeps the tags
		step(update, two, nil, chain(ca), `timeouts = { delete = "1m" }`),
		step(update, two, check(statecheckFunc(func(req statecheck.CheckStateRequest) error {
			if text := fmt.Sprint(stateOf(req, acmALB)); strings.Contains(text, strings.Split(two.keyPEM(), "\n")[1]) {
				return fmt.Errorf("the state holds the key")
			}
			return nil
		})), chain(ca), writeOnly("1")),
		step(update, two, nil, chain(ca), writeOnly("2")),
		step(update, two, check(s.imported(two, none())), writeOnly("2")),
		resource.TestStep{ // other line ends are no change
			Config:           s.config("%s", strings.Replace(alb(two, writeOnly("2")), fmt.Sprintf("%q", two.pem()), fmt.Sprintf("%q", windows), 1)),
			ConfigPlanChecks: expectAction(acmALB, noop),
		},
		resource.TestStep{
			Config: s.config("%s", alb(two, writeOnly("2"), `region = "eu-west-1"`)), ConfigPlanChecks: expectAction(acmALB, plancheck.ResourceActionDestroyBeforeCreate),
			ConfigStateChecks: []statecheck.StateCheck{is(acmALB, "region", knownvalue.StringExact("eu-west-1"))},
		},
	)
}

// A registry_certificate that is issued again is imported again under the same
// ARN, in the same run.
func TestACMCertificateRenewal(t *testing.T) {
	s := startAWS(t)
	config := func(organization string) string {
		return s.config("%s", pairConfig("", fmt.Sprintf("subject = { common_name = %q, organization = %q }", "registry.example.com", organization))+`
resource "registry_acm_certificate" "alb" {
  certificate_pem            = registry_certificate.server.certificate_pem
  certificate_chain_pem      = registry_certificate.server.chain_pem
  private_key_pem_wo         = registry_certificate.server.private_key_pem
  private_key_pem_wo_version = registry_certificate.server.serial_number
}
`)
	}
	arn, shown := statecheck.CompareValue(compare.ValuesSame()), statecheck.CompareValue(compare.ValuesDiffer())
	checks := func() []statecheck.StateCheck {
		return []statecheck.StateCheck{
			arn.AddStateValue(acmALB, tfjsonpath.New("arn")), shown.AddStateValue(acmALB, tfjsonpath.New("fingerprint_sha256")),
			statecheck.CompareValuePairs(acmALB, tfjsonpath.New("fingerprint_sha256"), certificateServer, tfjsonpath.New("fingerprint_sha256"), compare.ValuesSame()),
		}
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config("one"), ConfigPlanChecks: expectAction(acmALB, create), ConfigStateChecks: checks()},
		resource.TestStep{Config: config("two"), ConfigPlanChecks: expectAction(acmALB, update), ConfigStateChecks: checks()},
	)
}

// What somebody else imports or tags shows, and is put right in place.
func TestACMCertificateDrift(t *testing.T) {
	s := startAWS(t)
	ca := newCertificate(t, p256(t), nil, isCA)
	c := newCertificate(t, p256(t), &ca, nil)
	other := newCertificate(t, p256(t), nil, nil)
	config := s.config("%s", alb(c, fmt.Sprintf("certificate_chain_pem = %q", ca.pem()), `tags = { a = "b" }`))
	arn := ""
	manager := certificateManager{s.acm()}
	remember := statecheckFunc(func(req statecheck.CheckStateRequest) error {
		arn, _ = stateOf(req, acmALB)["arn"].(string)
		return nil
	})
	steps := []resource.TestStep{{Config: config, ConfigStateChecks: []statecheck.StateCheck{remember}}}
	for what, change := range map[string]func() error{
		"certificate": func() error {
			return manager.importAgain(t.Context(), arn, loadBalancerCertificate{leaf: other.c, key: other.key})
		},
		"chain": func() error {
			return manager.importAgain(t.Context(), arn, loadBalancerCertificate{leaf: c.c, key: c.key})
		},
		"tags":       func() error { return manager.setTags(t.Context(), arn, map[string]string{"a": "c", "d": "e"}) },
		"tags, none": func() error { return manager.setTags(t.Context(), arn, nil) },
	} {
		steps = append(steps, resource.TestStep{
			PreConfig: func() {
				if err := change(); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			},
			Config: config, ConfigPlanChecks: expectAction(acmALB, update),
			ConfigStateChecks: []statecheck.StateCheck{s.imported(c, map[string]string{"a": "b"}, ca)},
		})
	}
	steps = append(steps, resource.TestStep{
		PreConfig: func() {
			if err := manager.remove(t.Context(), arn); err != nil {
				t.Fatal(err)
			}
		},
		Config: config, ConfigPlanChecks: expectAction(acmALB, create),
	})
	unitTest(t, testProvider(), steps...)
}

func TestACMCertificateImport(t *testing.T) {
	s := startAWS(t)
	ca := newCertificate(t, p256(t), nil, isCA)
	c := newCertificate(t, p256(t), &ca, nil)
	text := alb(c, fmt.Sprintf("certificate_chain_pem = %q", ca.pem()), fmt.Sprintf("private_key_pem = %q", c.keyPEM()), `tags = { a = "b" }`, `region = "eu-west-1"`)
	config := s.config("%s", text)
	id := func(address string) resource.ImportStateIdFunc {
		return resource.ImportStateIdFunc(idOf(address, "arn"))
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		resource.TestStep{
			ResourceName: acmALB, ImportState: true, ImportStateIdFunc: id(acmALB), ImportStateVerify: true,
			ImportStateVerifyIdentifierAttribute: "arn", ImportStateVerifyIgnore: []string{"private_key_pem"},
		},
		resource.TestStep{ResourceName: acmALB, ImportState: true, ImportStateId: "some-certificate", ExpectError: says("is not the ARN of a certificate")},
		resource.TestStep{
			ResourceName: acmALB, ImportState: true, ImportStateId: "arn:aws:acm:eu-west-1:123456789012:certificate/" + uuid.NewString(),
			ExpectError: says("Cannot import non-existent remote object"),
		},
	)
}

// ACM's own certificates are not to be managed as imported ones.
func TestACMCertificateImportOfAmazon(t *testing.T) {
	s := startAWS(t)
	domain := uuid.NewString() + ".example.com"
	requested, err := s.acm().RequestCertificate(t.Context(), &acm.RequestCertificateInput{DomainName: &domain})
	if err != nil {
		t.Fatal(err)
	}
	c := newCertificate(t, p256(t), nil, nil)
	unitTest(t, testProvider(), resource.TestStep{
		Config:      s.config("%s", alb(c)+fmt.Sprintf("import {\n to = %s\n id = %q\n}\n", acmALB, *requested.CertificateArn)),
		ExpectError: says("Not an imported certificate"),
	})
}

// The import block brings the certificate in; since nobody can read a key from
// ACM, it is sent once more.
func TestACMCertificateImportBlock(t *testing.T) {
	s, c := startAWS(t), newCertificate(t, p256(t), nil, nil)
	arn, err := certificateManager{s.acm()}.importNew(t.Context(), loadBalancerCertificate{leaf: c.c, key: c.key}, map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	unitTest(t, testProvider(), resource.TestStep{
		Config:           s.config("%s", alb(c, `tags = { a = "b" }`)+fmt.Sprintf("import {\n to = %s\n id = %q\n}\n", acmALB, arn)),
		ConfigPlanChecks: expectAction(acmALB, update),
		ConfigStateChecks: []statecheck.StateCheck{
			is(acmALB, "arn", knownvalue.StringExact(arn)), s.imported(c, map[string]string{"a": "b"}),
		},
	})
}

// What ACM or a load balancer would refuse is refused before, and nothing is
// sent.
func TestACMCertificateChecks(t *testing.T) {
	s := startAWS(t)
	root := newCertificate(t, p256(t), nil, isCA)
	ca := newCertificate(t, p256(t), &root, isCA)
	leaf, other := newCertificate(t, p256(t), &ca, nil), newCertificate(t, p256(t), nil, nil)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	small, odd := rsaKey(t, 1024), rsaKey(t, 2056)
	chain := func(of ...testCertificate) string {
		text := ""
		for _, c := range of {
			text += c.pem()
		}
		return fmt.Sprintf("certificate_chain_pem = %q", text)
	}
	var steps []resource.TestStep
	wrong := func(c testCertificate, complaint string, extra ...string) {
		steps = append(steps, resource.TestStep{Config: s.config("%s", alb(c, extra...)), PlanOnly: true, ExpectError: says(complaint)})
	}
	wrong(newCertificate(t, ed, nil, nil), "Its key is Ed25519, which load balancers do not take")
	wrong(newCertificate(t, p224, nil, nil), "Its key is on the curve P-224")
	wrong(newCertificate(t, small, nil, nil), "Its key is RSA with 1024 bits")
	wrong(newCertificate(t, odd, nil, nil), "Its key is RSA with 2056 bits")
	wrong(newCertificate(t, p256(t), nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), "renew it first")
	wrong(newCertificate(t, p256(t), nil, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }), "is the clock of this machine right")
	wrong(newCertificate(t, p256(t), nil, func(c *x509.Certificate) { c.DNSNames, c.Subject = nil, pkix.Name{Organization: []string{"x"}} }), "It has no name")
	wrong(leaf, "does not belong to the certificate", fmt.Sprintf("private_key_pem = %q", other.keyPEM()))
	wrong(leaf, "does not belong to the certificate", fmt.Sprintf("private_key_pem_wo = %q\n private_key_pem_wo_version = 1", other.keyPEM()))
	wrong(leaf, "is not signed by the certificate that follows it", chain(root, ca))
	wrong(leaf, "is not signed by the certificate that follows it", chain(other))
	wrong(leaf, "There is no certificate in PEM", `certificate_chain_pem = "x"`)
	wrong(leaf, "There is no private key in PEM", `private_key_pem = "x"`)
	wrong(leaf, "decrypt it first", `private_key_pem = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nTUlJ\n-----END ENCRYPTED PRIVATE KEY-----\n"`)
	wrong(leaf, "private_key_pem_wo_version", fmt.Sprintf("private_key_pem_wo = %q", leaf.keyPEM()))
	wrong(leaf, "2 attributes specified when one (and only one)", fmt.Sprintf("private_key_pem = %[1]q\n private_key_pem_wo = %[1]q\n private_key_pem_wo_version = 1", leaf.keyPEM()))
	wrong(leaf, "No attribute specified when one (and only one)", "# no private_key_pem")
	steps = append(steps, resource.TestStep{
		Config:   s.config("%s", strings.Replace(alb(leaf), fmt.Sprintf("%q", leaf.pem()), fmt.Sprintf("%q", leaf.pem()+ca.pem()), 1)),
		PlanOnly: true, ExpectError: says("the others in certificate_chain_pem"),
	})
	unitTestInOrder(t, testProvider(), steps...) // the small key needs a variable of the environment
	if n := s.count("ImportCertificate"); n > 0 {
		t.Errorf("ACM was asked %d times", n)
	}
	// What load balancers take.
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	for _, key := range []crypto.Signer{p384, p521, rsaKey(t, 2048), rsaKey(t, 3072)} {
		if err := checkLoadBalancerKey(newCertificate(t, key, nil, nil).c); err != nil {
			t.Error(err)
		}
	}
}

func rsaKey(t *testing.T, bits int) crypto.Signer {
	t.Helper()
	t.Setenv("GODEBUG", "rsa1024min=0")
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestACMCertificateUnknown(t *testing.T) {
	s := startAWS(t)
	ca := newCertificate(t, p256(t), nil, isCA)
	one, two := newCertificate(t, p256(t), &ca, nil), newCertificate(t, p256(t), &ca, nil)
	config := func(c testCertificate, run int) string {
		return s.config(`
resource "terraform_data" "later" {
  input = { certificate = %q, chain = %q, key = %q, region = %q, tag = "x%d", version = "%[5]d" }
}
locals { later = terraform_data.later.output }
resource "registry_acm_certificate" "alb" {
  certificate_pem            = local.later.certificate
  certificate_chain_pem      = local.later.chain
  private_key_pem_wo         = local.later.key
  private_key_pem_wo_version = local.later.version
  region                     = local.later.region
  tags                       = { a = local.later.tag }
}
`, c.pem(), ca.pem(), c.keyPEM(), awsRegion, run)
	}
	unitTest(t, testProvider(),
		resource.TestStep{Config: config(one, 1), ConfigPlanChecks: expectAction(acmALB, create)},
		resource.TestStep{Config: strings.Replace(config(two, 2), "local.later.region", fmt.Sprintf("%q", awsRegion), 1), ConfigPlanChecks: expectAction(acmALB, update),
			ConfigStateChecks: []statecheck.StateCheck{s.imported(two, map[string]string{"a": "x2"}, ca)}},
		resource.TestStep{ // what turns out at apply is checked, too
			Config:      strings.Replace(strings.Replace(config(one, 3), fmt.Sprintf("%q", one.keyPEM()), fmt.Sprintf("%q", two.keyPEM()), 1), "local.later.region", fmt.Sprintf("%q", awsRegion), 1),
			ExpectError: says("does not belong to the certificate"),
		},
	)
}

func TestACMCertificateFaults(t *testing.T) {
	s := startAWS(t)
	c, renewed := newCertificate(t, p256(t), nil, nil), newCertificate(t, p256(t), nil, nil)
	config, nothing := s.config("%s", alb(c)), s.config("# nothing")
	made := func(faults ...fault) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail("ImportCertificate", faults...), Config: config, ConfigPlanChecks: expectAction(acmALB, create),
			ConfigStateChecks: []statecheck.StateCheck{s.imported(c, none()), s.noneLeft()}}
	}
	inUse := refuseJSON(400, "ResourceInUseException", "Certificate is in use")
	unitTest(t, testProvider(),
		made(refuseJSON(400, "ThrottlingException", "slow down"), status(503), cut),
		resource.TestStep{PreConfig: s.fail("DeleteCertificate", inUse, status(503), lose), Config: nothing},
		made(lose), // imported by the lost request, and known as such
		resource.TestStep{PreConfig: s.fail("none"), Config: nothing},
		resource.TestStep{ // the answer never comes
			PreConfig: s.fail("ImportCertificate", func(w http.ResponseWriter, r *http.Request, server http.Handler) {
				server.ServeHTTP(httptest.NewRecorder(), r)
				<-r.Context().Done()
			}),
			Config: s.config("%s", alb(c, `timeouts = { create = "6s" }`)), ConfigStateChecks: []statecheck.StateCheck{s.imported(c, none())},
		},
		resource.TestStep{PreConfig: s.fail("DeleteCertificate", refuseJSON(400, "ResourceNotFoundException", "gone")), Config: nothing},
	)
	if n := s.copies(c); n != 1 { // the one that the last step did not delete
		t.Errorf("there are %d copies", n)
	}
	d := newCertificate(t, p256(t), nil, nil)
	config = s.config("%s", alb(d))
	unitTestInOrder(t, testProvider(),
		resource.TestStep{ // nothing was made, and nothing is in the state
			PreConfig: s.fail("ImportCertificate", refuseJSON(400, "ValidationException", "not like this")), Config: config, ExpectError: says("not like this"),
		},
		resource.TestStep{PreConfig: s.fail("ImportCertificate", refuseJSON(400, "AccessDeniedException", "no")), Config: config, ExpectError: says("The credentials lack acm:ImportCertificate")},
		resource.TestStep{PreConfig: s.fail("ImportCertificate", times(100, status(500))...), Config: s.config("%s", alb(d, `timeouts = { create = "6s" }`)), ExpectError: says("Could not import the certificate into ACM")},
		resource.TestStep{PreConfig: s.fail("none"), Config: config, ConfigPlanChecks: expectAction(acmALB, create), ConfigStateChecks: []statecheck.StateCheck{s.imported(d, none())}},
		resource.TestStep{PreConfig: s.fail("GetCertificate", times(20, status(500))...), Config: config, ExpectError: says("Could not read the certificate")},
		resource.TestStep{PreConfig: s.fail("ListTagsForCertificate", refuseJSON(400, "AccessDeniedException", "no")), Config: config, ExpectError: says("The credentials lack acm:ListTagsForCertificate")},
		resource.TestStep{
			PreConfig: s.fail("ImportCertificate", refuseJSON(400, "ValidationException", "not like this")), Config: s.config("%s", alb(renewed)), ExpectError: says("not like this"),
		},
		resource.TestStep{ // a repeated import under the same ARN is the same
			PreConfig: s.fail("ImportCertificate", status(503), lose), Config: s.config("%s", alb(renewed, `timeouts = { delete = "6s" }`)), ConfigPlanChecks: expectAction(acmALB, update),
			ConfigStateChecks: []statecheck.StateCheck{s.imported(renewed, none())},
		},
		resource.TestStep{PreConfig: s.fail("DeleteCertificate", times(100, inUse)...), Config: nothing, ExpectError: says("is in use")},
		resource.TestStep{PreConfig: s.fail("none"), Config: s.config("%s", alb(renewed)), ConfigPlanChecks: expectAction(acmALB, update)},
		resource.TestStep{Config: nothing},
	)
	if n := s.copies(d) + s.copies(renewed); n != 0 {
		t.Errorf("%d copies are left", n)
	}
}

// No key, and no secret of AWS, is in plan, state or the most talkative log.
func TestAWSSecretsNotInLogs(t *testing.T) {
	s, c := startAWS(t), newCertificate(t, p256(t), nil, nil)
	log := logEverything(t)
	values := variables(map[string]string{"key": c.keyPEM(), "secret": awsSecretKey})
	text := `
variable "key" { ephemeral = true }
variable "secret" { ephemeral = true }
` + strings.Replace(s.provider(""), fmt.Sprintf("%q", awsSecretKey), "var.secret", 1) + alb(c, "private_key_pem_wo = var.key", "private_key_pem_wo_version = 1")
	unitTestInOrder(t, testProvider(),
		resource.TestStep{PreConfig: s.fail("ImportCertificate", refuseJSON(400, "ValidationException", "not like this")), Config: text, ConfigVariables: values, ExpectError: says("not like this")},
		resource.TestStep{PreConfig: s.fail("none"), Config: text, ConfigVariables: values, ConfigStateChecks: []statecheck.StateCheck{s.imported(c, none())}},
	)
	log.lacks(t, awsSecretKey, strings.Split(c.keyPEM(), "\n")[1])
}

func FuzzChain(f *testing.F) {
	root := newCertificate(f, p256(f), nil, isCA)
	leaf := newCertificate(f, p256(f), &root, nil)
	f.Add(root.pem())
	f.Add(leaf.pem() + "\r\n" + root.pem())
	f.Add("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----")
	f.Fuzz(func(t *testing.T, text string) {
		if normal := normalPEM(text); normalPEM(normal) != normal {
			t.Errorf("%q is not normal", normal)
		}
		chain, err := parseChain(text, leaf.c)
		if err == nil && len(linked(leaf.c, chain)) != len(chain) {
			t.Error("a broken chain was accepted")
		}
		_, _ = parseLeaf(text)
	})
}
