package provider

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"
	"github.com/hashicorp/terraform-plugin-testing/tfjsonpath"
)

// Every rule of the schema and of check, each at plan time.
func TestCertificateValidation(t *testing.T) {
	files := openSSLFiles(t)
	var steps []resource.TestStep
	for _, c := range []struct{ arguments, complaint string }{
		{`validity_period_hours = 0`, "between 1 and 1000000"},
		{`validity_period_hours = 10000000`, "between 1 and 1000000"},
		{`early_renewal_hours = 17520`, "always be due for renewal"},
		{`early_renewal_hours = -1`, "at least 0"},
		{`subject = { common_name = "" }`, "0 characters"},
		{`subject = { common_name = "` + strings.Repeat("a", 65) + `" }`, "65 characters"},
		{`subject = { common_name = "a.example", country = "Germany" }`, "two capital letters"},
		{`dns_names = ["*"]`, "at least two labels"},
		{`dns_names = ["registry.example.com:5000"]`, `without ":5000"`},
		{`ip_addresses = ["10.0.0.0/8"]`, "is a range"},
		{`key = { algorithm = "DSA" }`, "must be one of"},
		{`key = { algorithm = "RSA", rsa_bits = 1024 }`, "must be one of"},
		{`key = { ecdsa_curve = "P224" }`, "must be one of"},
		{`key = { rsa_bits = 2048 }`, "rsa_bits is for RSA keys; the algorithm is ECDSA"},
		{`key = { algorithm = "RSA", ecdsa_curve = "P256" }`, "ecdsa_curve is for ECDSA keys; the algorithm is RSA"},
		{`allowed_uses = []`, "at least 1 element"},
		{`allowed_uses = ["everything"]`, "must be one of"},
		{`allowed_uses = ["server_auth", "cert_signing"]`, "cert_signing is for CAs"},
		{`allowed_uses = ["server_auth", "key_encipherment"]`, "need an RSA key"},
		{"is_ca_certificate = true\n allowed_uses = [\"crl_signing\"]", "needs cert_signing"},
		{"is_ca_certificate = true\n subject = null", "A CA needs a subject"},
		{`subject = { common_name = "My registry" }`, "No name for the server"},
		{`dns_names = []`, "No name for the server"},
		{"allowed_uses = [\"client_auth\"]\n subject = null", "A certificate for nobody"},
		{`issuer = { certificate_pem = "x", private_key_pem = "y" }`, "no certificate in PEM"},
		{`issuer = { certificate_pem = file("` + files("leaf.pem") + `"), private_key_pem = "y" }`, "is not that of a CA"},
		{`issuer = { certificate_pem = file("` + files("ca.pem") + `"), private_key_pem = "y" }`, "no private key in PEM"},
		{issuerFiles(files("ca.pem"), files("leaf.key")), "does not belong to the certificate of the issuer"},
		{`issuer = { certificate_pem = file("` + files("ca.pem") + `") }`, "Set private_key_pem or private_key_pem_wo"},
	} {
		steps = append(steps, resource.TestStep{Config: serverConfig(c.arguments), PlanOnly: true, ExpectError: says(c.complaint)})
	}
	unitTest(t, testProvider(), steps...)
}

func issuerFiles(certificate, key string) string {
	return fmt.Sprintf(`issuer = { certificate_pem = file(%q), private_key_pem = file(%q) }`, certificate, key)
}

// A CA that openssl made signs, whatever its key is written in.
func TestCertificateForeignCA(t *testing.T) {
	files := openSSLFiles(t)
	step := func(certificate, key string) resource.TestStep {
		root, err := os.ReadFile(files(certificate))
		if err != nil {
			t.Fatal(err)
		}
		return resource.TestStep{
			Config: serverConfig(issuerFiles(files(certificate), files(key))),
			ConfigStateChecks: []statecheck.StateCheck{
				checkChain{address: certificateServer, length: 2, last: string(root)},
			},
		}
	}
	refused := func(certificate, key, complaint string, extra ...string) resource.TestStep {
		return resource.TestStep{
			Config:      serverConfig(append(extra, issuerFiles(files(certificate), files(key)))...),
			ExpectError: says(complaint),
		}
	}
	unitTest(t, testProvider(),
		step("ca.pem", "ca.key"),
		step("ca.pem", "ca-pkcs1.key"),
		step("ec.pem", "ec.key"),
		refused("ca.pem", "ca-encrypted.key", "is encrypted; decrypt it first"),
		refused("ca.pem", "ca-encrypted-pkcs1.key", "is encrypted; decrypt it first"),
		refused("zero.pem", "zero.key", "may not sign other CAs", "is_ca_certificate = true"),
		refused("named.pem", "named.key", "Clients would refuse the certificate"),
		refused("useless.pem", "useless.key", "does not allow to sign certificates"),
		refused("ca.pem", "ca.key", "The subject is the same as the issuer's", `subject = { country = "DE", organization = "Example", common_name = "Example Root" }`, `dns_names = ["a.example"]`),
	)
}

// The key of the issuer can stay out of the state.
func TestCertificateWriteOnlyKey(t *testing.T) {
	files := openSSLFiles(t)
	config := func(key string) string {
		return serverConfig(fmt.Sprintf(`issuer = { certificate_pem = file(%q), private_key_pem_wo = %s }`, files("ca.pem"), key))
	}
	file := fmt.Sprintf("file(%q)", files("ca.key"))
	unitTest(t, testProvider(),
		resource.TestStep{
			Config: config(file),
			ConfigStateChecks: []statecheck.StateCheck{
				statecheck.ExpectKnownValue(certificateServer, tfjsonpath.New("issuer").AtMapKey("private_key_pem_wo"), knownvalue.Null()),
				statecheck.ExpectKnownValue(certificateServer, tfjsonpath.New("issuer").AtMapKey("private_key_pem"), knownvalue.Null()),
			},
			ConfigPlanChecks: expectAction(certificateServer, plancheck.ResourceActionCreate),
		},
		resource.TestStep{ // an ephemeral key, known only after apply
			Config:           "resource \"terraform_data\" \"key\" { input = " + file + " }\n" + config("terraform_data.key.output"),
			ConfigPlanChecks: expectAction(certificateServer, plancheck.ResourceActionNoop),
		},
		resource.TestStep{Config: config(`"nonsense"`), ExpectError: says("There is no private key in PEM")},
		resource.TestStep{Config: config(file + ", private_key_pem = " + file), ExpectError: says("The issuer has two keys")},
		resource.TestStep{Config: config(file)}, // for the destroy
	)
}

// A chain of CAs, and what becomes of it as the first of them grows old.
func TestCertificateChain(t *testing.T) {
	clock := newClock()
	p := testProvider()
	p.now = clock.now
	config := func(server string) string {
		return pairConfig("", "") + `
resource "registry_certificate" "intermediate" {
  subject               = { common_name = "Example Intermediate CA" }
  is_ca_certificate     = true
  validity_period_hours = 87600
  issuer = {
    certificate_pem = registry_certificate.ca.certificate_pem
    private_key_pem = registry_certificate.ca.private_key_pem
  }
}
resource "registry_certificate" "client" {
  subject               = { common_name = "alice" }
  allowed_uses          = ["digital_signature", "client_auth"]
  ` + server + `
  issuer = {
    certificate_pem = registry_certificate.intermediate.chain_pem
    private_key_pem = registry_certificate.intermediate.private_key_pem
  }
}
`
	}
	unitTest(t, p,
		resource.TestStep{
			Config: config(`validity_period_hours = 17520`),
			ConfigStateChecks: []statecheck.StateCheck{
				checkChain{address: "registry_certificate.client", length: 3},
				is("registry_certificate.client", "dns_names", texts()),
			},
		},
		resource.TestStep{ // the last year of the CAs: what they sign ends with them
			PreConfig: clock.advance(80000 * time.Hour),
			Config:    config(`validity_period_hours = 8760`),
			ConfigStateChecks: []statecheck.StateCheck{
				checkChain{address: "registry_certificate.client", length: 3, endsAs: "registry_certificate.intermediate"},
			},
		},
		resource.TestStep{ // no use any more
			Config:      config("validity_period_hours = 8760\n early_renewal_hours = 7600"),
			ExpectError: says("would be due for renewal at once; renew the issuer first"),
		},
	)
}

// To renew earlier than so far may mean now.
func TestCertificateRaisedEarlyRenewal(t *testing.T) {
	clock := newClock()
	p := testProvider()
	p.now = clock.now
	unitTest(t, p,
		resource.TestStep{Config: serverConfig()},
		resource.TestStep{
			PreConfig:         clock.advance(1000 * time.Hour),
			Config:            serverConfig("early_renewal_hours = 17000"),
			ConfigPlanChecks:  expectAction(certificateServer, plancheck.ResourceActionUpdate),
			ConfigStateChecks: []statecheck.StateCheck{is(certificateServer, "validity_end_time", knownvalue.StringExact(clock.now().UTC().Add(18520*time.Hour).Format(time.RFC3339)))},
		},
	)
}
