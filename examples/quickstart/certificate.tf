# A certificate for this registry, and a CA of its own that signs it. To use them, give the server chain and key
# (REGISTRY_HTTP_TLS_CERTIFICATE, REGISTRY_HTTP_TLS_KEY), and every client the CA
# (Docker: /etc/docker/certs.d/<host>:<port>/ca.crt).

resource "registry_certificate" "ca" {
  subject               = { common_name = "Quickstart Registry CA" }
  is_ca_certificate     = true
  validity_period_hours = 10 * 365 * 24
  early_renewal_hours   = 730 * 24 # as long as what it signs is valid
}

resource "registry_certificate" "server" {
  subject               = { common_name = "localhost" }
  dns_names             = ["localhost"]
  ip_addresses          = ["127.0.0.1", "::1"]
  validity_period_hours = 730 * 24
  early_renewal_hours   = 30 * 24

  issuer = {
    certificate_pem = registry_certificate.ca.certificate_pem
    private_key_pem = registry_certificate.ca.private_key_pem
  }
}
