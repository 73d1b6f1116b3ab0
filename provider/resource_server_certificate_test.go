package provider

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-framework/diag"
	"github.com/hashicorp/terraform-plugin-framework/types"
	"github.com/hashicorp/terraform-plugin-testing/helper/resource"
	"github.com/hashicorp/terraform-plugin-testing/knownvalue"
	"github.com/hashicorp/terraform-plugin-testing/plancheck"
	"github.com/hashicorp/terraform-plugin-testing/statecheck"

	"github.com/registrykit/terraform-provider-registry/registryserver/client"
)

const certificateMain = "registry_server_certificate.main"

// listenTLS starts the server's own listener and returns its address.
func (s *testServer) listenTLS(t *testing.T) string {
	t.Helper()
	if err := s.server.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return s.server.Addr().String()
}

// shows expects a client that asks for the name, and trusts the CA in the
// state, to see the certificate in the state.
func shows(address, name string) statecheck.StateCheck {
	return statecheckFunc(func(req statecheck.CheckStateRequest) error {
		ca, _ := stateOf(req, "registry_certificate.ca")["certificate_pem"].(string)
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM([]byte(ca))
		conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, RootCAs: roots})
		if err != nil {
			return err
		}
		defer conn.Close()
		seen := conn.ConnectionState().PeerCertificates[0]
		if want := stateOf(req, certificateMain)["fingerprint_sha256"]; fingerprint(seen) != want {
			return fmt.Errorf("a client sees %s of %s, want %s", fingerprint(seen), nameOf(seen), want)
		}
		return nil
	})
}

// issuedPair is a CA and two certificates of it, to install one of them.
const issuedPair = `
resource "registry_certificate" "ca" {
  subject               = { common_name = "Test CA" }
  is_ca_certificate     = true
  validity_period_hours = 10000
}
resource "registry_certificate" "server" {
  dns_names             = ["registry.example.com", "*.example.org"]
  ip_addresses          = ["192.0.2.1"]
  validity_period_hours = 100
  early_renewal_hours   = 50
  issuer                = { certificate_pem = registry_certificate.ca.certificate_pem, private_key_pem = registry_certificate.ca.private_key_pem }
}
resource "registry_certificate" "other" {
  dns_names             = ["registry.example.com"]
  validity_period_hours = 100
  issuer                = { certificate_pem = registry_certificate.ca.certificate_pem, private_key_pem = registry_certificate.ca.private_key_pem }
}
`

// installs is the resource under test, with a certificate of issuedPair.
func installs(which string, more ...string) string {
	return issuedPair + fmt.Sprintf("resource \"registry_server_certificate\" \"main\" {\n name = \"main\"\n certificate_pem = registry_certificate.%s.chain_pem\n %s\n}\n", which, strings.Join(more, "\n "))
}

func keyOf(which string) string {
	return fmt.Sprintf("private_key_pem = registry_certificate.%s.private_key_pem", which)
}

func writeOnlyKeyOf(which string) string {
	return fmt.Sprintf("private_key_pem_wo = registry_certificate.%s.private_key_pem", which)
}

// Clients see the certificate at once, and the next one as soon as it is
// renewed; nothing is ever replaced but for another name.
func TestServerCertificateUpdate(t *testing.T) {
	s := startServer(t)
	address := s.listenTLS(t)
	p := testProvider()
	now := newClock()
	now.advance(-60 * time.Hour)() // the server has a clock of its own
	p.now = now.now
	both := []statecheck.StateCheck{shows(address, "registry.example.com"), shows(address, "any.example.org"), is(certificateMain, "served", knownvalue.Bool(true))}
	step := func(action plancheck.ResourceActionType, config string) resource.TestStep {
		return resource.TestStep{Config: s.config("%s", config), ConfigPlanChecks: expectAction(certificateMain, action), ConfigStateChecks: both}
	}
	first := step(create, installs("server", keyOf("server")))
	first.ConfigStateChecks = append(first.ConfigStateChecks,
		is(certificateMain, "dns_names", texts("registry.example.com", "*.example.org")),
		is(certificateMain, "ip_addresses", texts("192.0.2.1")),
		is(certificateMain, "validity_end_time", knownvalue.NotNull()),
		statecheckFunc(func(req statecheck.CheckStateRequest) error {
			mine, made := stateOf(req, certificateMain), stateOf(req, certificateServer)
			for _, name := range []string{"serial_number", "fingerprint_sha256", "validity_start_time", "validity_end_time"} {
				if mine[name] != made[name] {
					return fmt.Errorf("%s is %v, want %v", name, mine[name], made[name])
				}
			}
			return nil
		}))
	renewed := step(update, installs("server", writeOnlyKeyOf("server"), `private_key_pem_wo_version = "2"`))
	renewed.PreConfig = now.advance(60 * time.Hour)
	other := step(update, installs("other", writeOnlyKeyOf("other"), `private_key_pem_wo_version = "2"`))
	other.ConfigStateChecks = []statecheck.StateCheck{shows(address, "registry.example.com")}
	rename := other
	rename.Config = strings.Replace(other.Config, `name = "main"`, `name = "another"`, 1)
	rename.ConfigPlanChecks = expectAction(certificateMain, replace)
	unitTest(t, p,
		first,
		step(update, installs("server", writeOnlyKeyOf("server"), `private_key_pem_wo_version = "1"`)),
		step(update, installs("server", writeOnlyKeyOf("server"), `private_key_pem_wo_version = "2"`)),
		step(noop, strings.Replace(installs("server", writeOnlyKeyOf("server"), `private_key_pem_wo_version = "2"`),
			"certificate_pem = registry_certificate.server.chain_pem", `certificate_pem = "# ours\n\n${registry_certificate.server.chain_pem}\n"`, 1)),
		renewed,
		other,
		rename,
	)
	s.isEmpty(t)
}

// installBehind installs something else behind Terraform's back: a certificate that
// signs itself.
func (s *testServer) installBehind(t *testing.T) func() {
	return func() {
		t.Helper()
		spec := certificateSpec{dnsNames: []string{"registry.example.com"}, key: keySpec{algorithm: algorithmECDSA, curve: defaultCurve}, validity: time.Hour, uses: []string{"digital_signature", "server_auth"}}
		made, err := spec.issue(nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.admin.PutCertificate(t.Context(), client.CertificateSpec{Name: "main", CertificatePEM: made.chainPEM, PrivateKeyPEM: made.keyPEM}, ""); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServerCertificateDrift(t *testing.T) {
	for kind, key := range map[string]string{"in state": keyOf("server"), "write-only": writeOnlyKeyOf("server")} {
		t.Run(kind, func(t *testing.T) {
			s := startServer(t)
			address := s.listenTLS(t)
			config := s.config("%s", installs("server", key))
			fine := []statecheck.StateCheck{shows(address, "registry.example.com")}
			remove := func() {
				if err := s.admin.DeleteCertificate(t.Context(), "main", ""); err != nil {
					t.Error(err)
				}
			}
			unitTest(t, testProvider(),
				resource.TestStep{Config: config, ConfigStateChecks: fine},
				resource.TestStep{PreConfig: s.installBehind(t), Config: config, ConfigPlanChecks: expectAction(certificateMain, update), ConfigStateChecks: fine},
				resource.TestStep{PreConfig: remove, Config: config, ConfigPlanChecks: expectAction(certificateMain, create), ConfigStateChecks: fine},
				resource.TestStep{PreConfig: s.fail(s.on(http.MethodDelete, first(remove))), Config: config, Destroy: true},
			)
		})
	}
}

func TestServerCertificateImport(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", installs("server", writeOnlyKeyOf("server")))
	unitTest(t, testProvider(),
		resource.TestStep{Config: config},
		resource.TestStep{ResourceName: certificateMain, ImportState: true, ImportStateId: "main", ImportStateVerify: true, ImportStateVerifyIdentifierAttribute: "name"},
		resource.TestStep{ResourceName: certificateMain, ImportState: true, ImportStateId: "main", ImportStateKind: resource.ImportBlockWithID, Config: config},
		resource.TestStep{ResourceName: certificateMain, ImportState: true, ImportStateId: "none", ExpectError: says("Cannot import non-existent remote object")},
		resource.TestStep{ResourceName: certificateMain, ImportState: true, ImportStateId: "No", ExpectError: says(`Invalid certificate name "No"`)},
	)
}

// A certificate that was there before is not taken over, also not the same one.
func TestServerCertificateExists(t *testing.T) {
	s := startServer(t)
	config := s.config("%s", installs("server", keyOf("server")))
	unitTest(t, testProvider(),
		resource.TestStep{PreConfig: s.installBehind(t), Config: config, ExpectError: says("terraform import registry_server_certificate.NAME main")},
		resource.TestStep{Config: config + "import {\n to = registry_server_certificate.main\n id = \"main\"\n}\n", ConfigPlanChecks: expectAction(certificateMain, update)},
	)
	s.isEmpty(t)
}

func TestServerCertificateFaults(t *testing.T) {
	s := startServer(t)
	config, changed := s.config("%s", installs("server", keyOf("server"))), s.config("%s", installs("other", keyOf("other")))
	wrong := func(method, config, complaint string) resource.TestStep {
		return resource.TestStep{PreConfig: s.fail(s.on(method, status(500))), Config: config, ExpectError: says(complaint)}
	}
	done := func(w http.ResponseWriter, r *http.Request, server http.Handler) { // done, and answered with an error
		server.ServeHTTP(httptest.NewRecorder(), r)
		status(500)(w, r, server)
	}
	unitTest(t, testProvider(),
		wrong(http.MethodPut, config, `Could not install the certificate "main"`),
		resource.TestStep{PreConfig: s.fail(append(times(2, s.on(http.MethodPut, status(503))), s.on(http.MethodPut, done))...), Config: config, ConfigPlanChecks: expectAction(certificateMain, create)},
		wrong(http.MethodGet, config, `Could not read the certificate "main"`),
		wrong(http.MethodPut, changed, `Could not install the certificate "main"`),
		wrong(http.MethodDelete, s.config("# nothing"), `Could not delete the certificate "main"`),
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPut, lose)), Config: changed, ConfigPlanChecks: expectAction(certificateMain, update)},
		resource.TestStep{PreConfig: s.fail(s.on(http.MethodPut, first(s.installBehind(t)))), Config: config, ExpectError: says("It has changed since Terraform read it")},
		resource.TestStep{PreConfig: s.fail(), Config: config, ConfigPlanChecks: expectAction(certificateMain, update)},
	)
	s.isEmpty(t)
}

// What does not fit together is said in the plan where it is known, and by the
// server otherwise; no key is ever shown.
func TestServerCertificateValidation(t *testing.T) {
	s := startServer(t)
	files := openSSLFiles(t)
	text := func(certificate, key string) string {
		return fmt.Sprintf("resource \"registry_server_certificate\" \"main\" {\n name = \"main\"\n certificate_pem = %s\n %s\n}\n", certificate, key)
	}
	file := func(name string) string { return fmt.Sprintf("file(%q)", files(name)) }
	key := func(name string) string { return "private_key_pem = " + file(name) }
	var steps []resource.TestStep
	for _, c := range []struct{ config, complaint string }{
		{text(`"nonsense"`, key("ca.key")), "here is no certificate in PEM"},
		{text(file("ca.pem"), key("ca.key")), "is for no DNS name and no IP address"},
		{text(fmt.Sprintf(`"${%s}${%s}"`, file("leaf.pem"), file("ca.pem")), key("leaf.key")), "is not signed by the one that follows it"},
		{text(file("leaf.pem"), ""), "private_key_pem"},
		{text(file("leaf.pem"), key("leaf.key")+"\n private_key_pem_wo = "+file("leaf.key")), "private_key_pem_wo"},
		{text(file("leaf.pem"), key("leaf.key")+"\n private_key_pem_wo_version = \"1\""), "private_key_pem_wo"},
		{text(file("leaf.pem"), key("ca-encrypted.key")), "he private key is encrypted"},
		{text(file("leaf.pem"), key("leaf.pem")), "here is no private key in PEM"},
		{strings.Replace(text(file("leaf.pem"), key("leaf.key")), `"main"`+"\n", "\"Main\"\n", 1), "Invalid certificate name"},
	} {
		steps = append(steps, resource.TestStep{Config: s.config("%s", c.config), PlanOnly: true, ExpectError: says(c.complaint)})
	}
	steps = append(steps,
		resource.TestStep{Config: s.config("%s", installs("server", keyOf("server")))},
		resource.TestStep{Config: s.config("%s", installs("server", keyOf("other"))), PlanOnly: true, ExpectError: says("does not belong to the first certificate")},
		resource.TestStep{Config: s.config("%s", installs("server", writeOnlyKeyOf("other"))), PlanOnly: true, ExpectError: says("does not belong to the first certificate")},
		resource.TestStep{Config: s.config("%s", issuedPair)},
		resource.TestStep{ // not known in the plan
			Config:      s.config("%s", strings.Replace(installs("server", keyOf("other")), "100", "101", 2)),
			ExpectError: says("he private key does not belong to the first certificate"),
		},
	)
	unitTest(t, testProvider(), steps...)
	s.isEmpty(t)
}

// A server that cannot keep keys says what to do, and one that speaks plain HTTP
// keeps the certificate, but does not show it.
func TestServerCertificateOtherServers(t *testing.T) {
	for http, step := range map[string]resource.TestStep{
		`{addr: "127.0.0.1:0"}`: {ExpectError: says("set http.secret")},
		`{addr: "127.0.0.1:0", secret: the-secret-of-the-test-server}`: {
			ConfigStateChecks: []statecheck.StateCheck{is(certificateMain, "served", knownvalue.Bool(false))}, ConfigPlanChecks: expectAction(certificateMain, create),
		},
	} {
		t.Run(http, func(t *testing.T) {
			s := newServerWith(t, http)
			s.start(t, "")
			step.Config = s.config("%s", installs("server", keyOf("server")))
			unitTest(t, testProvider(), step)
			s.isEmpty(t)
		})
	}
}

// Whatever is taken for a chain is one, and can be described.
func FuzzServerChain(f *testing.F) {
	spec := certificateSpec{dnsNames: []string{"registry.example.com"}, key: keySpec{algorithm: algorithmECDSA, curve: defaultCurve}, validity: time.Hour, uses: []string{"server_auth"}}
	made, err := spec.issue(nil, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"", "x", made.chainPEM, made.chainPEM + made.chainPEM, made.keyPEM, made.chainPEM + made.keyPEM, strings.ToLower(made.chainPEM)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		chain, err := parseServerChain(text)
		if err != nil {
			return
		}
		var m serverCertificateModel
		var diags diag.Diagnostics
		m.CertificatePEM = types.StringValue(text)
		m.describe(t.Context(), &diags)
		if diags.HasError() || m.FingerprintSHA256.ValueString() != fingerprint(chain[0]) || chainID(text) != chainID(text+"\n") {
			t.Errorf("%v, %+v", diags, m)
		}
	})
}
