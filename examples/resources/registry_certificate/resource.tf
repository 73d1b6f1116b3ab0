# A CA that clients trust, for ten years. It is renewed while what it signs has still a year to go.
resource "registry_certificate" "ca" {
  subject = {
    common_name  = "Example Registry CA"
    organization = "Example"
    country      = "DE"
  }
  is_ca_certificate     = true
  validity_period_hours = 87600
  early_renewal_hours   = 8760
}

# The server's certificate, for a year, renewed a month before it ends.
resource "registry_certificate" "server" {
  subject               = { common_name = "registry.example.com" }
  dns_names             = ["registry.example.com", "localhost"]
  ip_addresses          = ["10.0.0.5"]
  validity_period_hours = 8760
  early_renewal_hours   = 720

  issuer = {
    certificate_pem = registry_certificate.ca.certificate_pem
    private_key_pem = registry_certificate.ca.private_key_pem
  }
}

# For the server: http.tls.certificate and http.tls.key (REGISTRY_HTTP_TLS_CERTIFICATE, REGISTRY_HTTP_TLS_KEY).
output "tls_certificate" {
  value = registry_certificate.server.chain_pem
}

output "tls_key" {
  value     = registry_certificate.server.private_key_pem
  sensitive = true
}

# For Docker on each client: /etc/docker/certs.d/registry.example.com/ca.crt
output "ca_certificate" {
  value = registry_certificate.ca.certificate_pem
}
