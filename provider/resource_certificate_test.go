package provider

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/compare"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

const (
	certificateCA     = "registry_certificate.ca"
	certificateServer = "registry_certificate.server"
)

// serverConfig is a self-signed certificate with extra arguments, which may
// stand in for the defaults here.
func serverConfig(extra ...string) string {
	all := strings.Join(extra, "\n  ")
	for name, value := range map[string]string{
		"subject":               `{ common_name = "registry.example.com" }`,
		"validity_period_hours": "17520",
	} {
		if !regexp.MustCompile(`(?m)^\s*` + name + ` `).MatchString(all) {
			all += fmt.Sprintf("\n  %s = %s", name, value)
		}
	}
	return "resource \"registry_certificate\" \"server\" {\n  " + all + "\n}\n"
}

// pairConfig is a CA and a certificate that it signs.
func pairConfig(ca, server string) string {
	return fmt.Sprintf(`
resource "registry_certificate" "ca" {
  subject               = { common_name = "Example CA" }
  is_ca_certificate     = true
  validity_period_hours = 87600
  %s
}
`, ca) + serverConfig(`issuer = {
    certificate_pem = registry_certificate.ca.certificate_pem
    private_key_pem = registry_certificate.ca.private_key_pem
  }`, server)
}

func is(address, attribute string, value knownvalue.Check) statecheck.StateCheck {
	return statecheck.ExpectKnownValue(address, tfjsonpath.New(attribute), value)
}

func texts(values ...string) knownvalue.Check {
	checks := []knownvalue.Check{}
	for _, v := range values {
		checks = append(checks, knownvalue.StringExact(v))
	}
	return knownvalue.SetExact(checks)
}

func TestCertificateSelfSigned(t *testing.T) {
	clock := newClock()
	p := testProvider()
	p.now = clock.now
	begin := clock.now().UTC().Truncate(time.Second)
	unitTest(t, p, resource.TestStep{
		Config:           serverConfig(),
		ConfigPlanChecks: expectAction(certificateServer, plancheck.ResourceActionCreate),
		ConfigStateChecks: []statecheck.StateCheck{
			is(certificateServer, "dns_names", texts("registry.example.com")),
			is(certificateServer, "ip_addresses", texts()),
			is(certificateServer, "allowed_uses", texts("digital_signature", "server_auth")),
			is(certificateServer, "is_ca_certificate", knownvalue.Bool(false)),
			is(certificateServer, "early_renewal_hours", knownvalue.Int64Exact(0)),
			is(certificateServer, "fingerprint_sha256", knownvalue.StringRegexp(regexp.MustCompile(`^[0-9a-f]{64}$`))),
			is(certificateServer, "serial_number", knownvalue.StringRegexp(regexp.MustCompile(`^[0-9a-f]{32,}$`))),
			is(certificateServer, "validity_start_time", knownvalue.StringExact(begin.Add(-time.Hour).Format(time.RFC3339))),
			is(certificateServer, "validity_end_time", knownvalue.StringExact(begin.Add(17520*time.Hour).Format(time.RFC3339))),
			is(certificateServer, "renewal_time", knownvalue.StringExact(begin.Add(17520*time.Hour).Format(time.RFC3339))),
			statecheck.ExpectSensitiveValue(certificateServer, tfjsonpath.New("private_key_pem")),
			checkCertificates{certificateServer, certificateServer},
		},
	})
}

// A request for openssl's whole questionnaire, with RSA.
func TestCertificateLikeOpenSSL(t *testing.T) {
	unitTest(t, testProvider(), resource.TestStep{
		Config: serverConfig(`subject = {
    country             = "DE"
    province            = "Berlin"
    locality            = "Berlin"
    organization        = "Example"
    organizational_unit = "IT"
    common_name         = "10.0.0.5"
  }
  dns_names = ["localhost", "*.registry.example.com"]
  key = { algorithm = "RSA" }`),
		ConfigStateChecks: []statecheck.StateCheck{
			is(certificateServer, "dns_names", texts("*.registry.example.com", "localhost")),
			is(certificateServer, "ip_addresses", texts("10.0.0.5")),
			is(certificateServer, "allowed_uses", texts("digital_signature", "key_encipherment", "server_auth")),
			checkCertificates{certificateServer, certificateServer},
		},
		ConfigPlanChecks: expectAction(certificateServer, plancheck.ResourceActionCreate),
	})
}

func TestCertificateSignedByCA(t *testing.T) {
	for _, key := range []string{
		`key = { algorithm = "ECDSA" }`,
		`key = { algorithm = "ECDSA", ecdsa_curve = "P384" }`,
		`key = { ecdsa_curve = "P521" }`,
		`key = { algorithm = "ED25519" }`,
		`key = { algorithm = "RSA", rsa_bits = 3072 }`,
	} {
		t.Run(key, func(t *testing.T) {
			unitTest(t, testProvider(), resource.TestStep{
				Config: pairConfig(key, key),
				ConfigStateChecks: []statecheck.StateCheck{
					is(certificateCA, "dns_names", texts()),
					is(certificateCA, "allowed_uses", texts("cert_signing", "crl_signing")),
					checkCertificates{certificateCA, certificateServer},
				},
				ConfigPlanChecks: expectAction(certificateServer, plancheck.ResourceActionCreate),
			})
		})
	}
}

// Every change issues another certificate in place, but for early_renewal_hours.
func TestCertificateUpdateInPlace(t *testing.T) {
	differ := statecheck.CompareValue(compare.ValuesDiffer())
	issuer := pairConfig("", "")
	step := func(config string) resource.TestStep {
		return resource.TestStep{
			Config:            config,
			ConfigPlanChecks:  expectAction(certificateServer, plancheck.ResourceActionUpdate),
			ConfigStateChecks: []statecheck.StateCheck{differ.AddStateValue(certificateServer, tfjsonpath.New("fingerprint_sha256"))},
		}
	}
	first := step(serverConfig())
	first.ConfigPlanChecks = expectAction(certificateServer, plancheck.ResourceActionCreate)
	steps := []resource.TestStep{first}
	for _, part := range []string{"organization", "organizational_unit", "locality", "province"} {
		steps = append(steps, step(serverConfig(fmt.Sprintf(`subject = { common_name = "registry.example.com", %s = "Example" }`, part))))
	}
	steps = append(steps,
		step(serverConfig(`subject = { common_name = "other.example.com", country = "DE" }`)),
		step(serverConfig(`dns_names = ["a.example.com"]`)),
		step(serverConfig(`dns_names = []`, `ip_addresses = ["::1"]`)),
		step(serverConfig(`key = { ecdsa_curve = "P384" }`)),
		step(serverConfig(`key = { algorithm = "ED25519" }`)),
		step(serverConfig(`validity_period_hours = 17521`)),
		step(serverConfig(`allowed_uses = ["digital_signature", "server_auth", "client_auth"]`)),
		step(serverConfig(`is_ca_certificate = true`)),
		step(issuer),
	)
	unitTest(t, testProvider(), steps...)
}

// What changes nothing in the certificate leaves it alone.
func TestCertificateKept(t *testing.T) {
	same := statecheck.CompareValue(compare.ValuesSame())
	keep := func(config string, action plancheck.ResourceActionType) resource.TestStep {
		return resource.TestStep{
			Config:            config,
			ConfigPlanChecks:  expectAction(certificateServer, action),
			ConfigStateChecks: []statecheck.StateCheck{same.AddStateValue(certificateServer, tfjsonpath.New("private_key_pem"))},
		}
	}
	spaced := strings.ReplaceAll(pairConfig("", ""), "registry_certificate.ca.certificate_pem", `"\n${replace(registry_certificate.ca.certificate_pem, "\n", "\r\n")}\n"`)
	unitTest(t, testProvider(),
		keep(pairConfig("", ""), plancheck.ResourceActionCreate),
		keep(pairConfig("", "early_renewal_hours = 24"), plancheck.ResourceActionUpdate),
		keep(pairConfig("", `dns_names = ["registry.example.com"]`), plancheck.ResourceActionUpdate),
		keep(pairConfig("", `key = { algorithm = "ECDSA", ecdsa_curve = "P256" }`), plancheck.ResourceActionUpdate),
		keep(spaced, plancheck.ResourceActionUpdate),
		keep(spaced, plancheck.ResourceActionNoop),
	)
}

// Renewal is an update in place, a new key included, and what a renewed CA has
// signed follows in the same run.
func TestCertificateRenewal(t *testing.T) {
	clock := newClock()
	p := testProvider()
	p.now = clock.now
	config := pairConfig("early_renewal_hours = 8800", "validity_period_hours = 8760\n  early_renewal_hours = 720")
	server, ca := statecheck.CompareValue(compare.ValuesDiffer()), statecheck.CompareValue(compare.ValuesDiffer())
	step := func(before func(), onServer, onCA plancheck.ResourceActionType, checks ...statecheck.StateCheck) resource.TestStep {
		plans := expectAction(certificateServer, onServer)
		plans.PreApply = append(plans.PreApply, plancheck.ExpectResourceAction(certificateCA, onCA))
		return resource.TestStep{PreConfig: before, Config: config, ConfigPlanChecks: plans,
			ConfigStateChecks: append(checks, checkCertificates{certificateCA, certificateServer})}
	}
	const create, update, noop = plancheck.ResourceActionCreate, plancheck.ResourceActionUpdate, plancheck.ResourceActionNoop
	key := tfjsonpath.New("private_key_pem")
	unitTest(t, p,
		step(nil, create, create, server.AddStateValue(certificateServer, key), ca.AddStateValue(certificateCA, key)),
		step(clock.advance(8039*time.Hour), noop, noop),
		step(clock.advance(time.Hour), update, noop, server.AddStateValue(certificateServer, key)),
		step(clock.advance(80000*time.Hour), update, update, server.AddStateValue(certificateServer, key), ca.AddStateValue(certificateCA, key)),
	)
}

// Values that are known only after apply.
func TestCertificateUnknownInputs(t *testing.T) {
	config := `
resource "terraform_data" "name" { input = "%[1]s" }
resource "terraform_data" "ca" { input = %[2]s }
` + serverConfig(`subject = { common_name = terraform_data.name.output, organization = terraform_data.name.output }`,
		`dns_names = ["*.example.com", terraform_data.name.output]`,
		`is_ca_certificate = terraform_data.ca.output`) + `
resource "registry_certificate" "whole" {
  subject               = terraform_data.subject.output
  key                   = terraform_data.key.output
  validity_period_hours = 24
}
resource "terraform_data" "subject" {
  input = { common_name = "%[1]s", organization = "o", organizational_unit = "u", locality = "l", province = "p", country = "DE" }
}
resource "terraform_data" "key" {
  input = { algorithm = "RSA", rsa_bits = 2048, ecdsa_curve = tostring(null) }
}`
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: fmt.Sprintf(config, "a.example.com", "false"),
			ConfigStateChecks: []statecheck.StateCheck{
				is(certificateServer, "dns_names", texts("*.example.com", "a.example.com")),
				is(certificateServer, "allowed_uses", texts("digital_signature", "server_auth")),
				is("registry_certificate.whole", "dns_names", texts("a.example.com")),
				is("registry_certificate.whole", "allowed_uses", texts("digital_signature", "key_encipherment", "server_auth")),
				checkCertificates{certificateServer, certificateServer},
			},
			ConfigPlanChecks: expectAction(certificateServer, plancheck.ResourceActionCreate),
		},
		resource.TestStep{
			Config:            fmt.Sprintf(config, "b.example.com", "true"),
			ConfigStateChecks: []statecheck.StateCheck{is(certificateServer, "allowed_uses", texts("cert_signing", "crl_signing"))},
			ConfigPlanChecks:  expectAction(certificateServer, plancheck.ResourceActionUpdate),
		},
		resource.TestStep{
			Config:      fmt.Sprintf(config, "not a host", "false"),
			ExpectError: says(`Invalid DNS name "not a host"`),
		},
	)
}

func TestCertificateImport(t *testing.T) {
	unitTest(t, testProvider(), resource.TestStep{
		Config: serverConfig(), ResourceName: certificateServer, ImportState: true, ImportStateId: "x",
		ExpectError: says("A certificate cannot be imported"),
	})
}
