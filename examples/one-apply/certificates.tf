resource "registry_certificate" "ca" {
  provider = registry.setup

  subject               = { common_name = "Registry CA" }
  is_ca_certificate     = true
  validity_period_hours = 10 * 365 * 24
  early_renewal_hours   = 730 * 24 # as long as what it signs is valid
}

resource "registry_certificate" "server" {
  provider = registry.setup

  subject               = { common_name = "localhost" }
  dns_names             = ["localhost"]
  ip_addresses          = ["127.0.0.1"]
  validity_period_hours = 365 * 24
  early_renewal_hours   = 30 * 24

  issuer = {
    certificate_pem = registry_certificate.ca.certificate_pem
    private_key_pem = registry_certificate.ca.private_key_pem
  }
}
