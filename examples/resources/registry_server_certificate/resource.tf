resource "registry_certificate" "ca" {
  subject               = { common_name = "Example CA", organization = "Example" }
  is_ca_certificate     = true
  validity_period_hours = 87600
  early_renewal_hours   = 17520
}

resource "registry_certificate" "server" {
  subject               = { common_name = "registry.example.com" }
  validity_period_hours = 17520
  early_renewal_hours   = 720
  issuer = {
    certificate_pem = registry_certificate.ca.certificate_pem
    private_key_pem = registry_certificate.ca.private_key_pem
  }
}

# Renewed in place, and shown to clients at once.
resource "registry_server_certificate" "main" {
  name                       = "main"
  certificate_pem            = registry_certificate.server.chain_pem
  private_key_pem_wo         = registry_certificate.server.private_key_pem
  private_key_pem_wo_version = registry_certificate.server.serial_number
}
