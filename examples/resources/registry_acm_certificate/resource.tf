# A certificate of one's own CA, for the load balancer before the servers.
resource "registry_certificate" "ca" {
  subject               = { common_name = "Example CA" }
  is_ca_certificate     = true
  validity_period_hours = 87600
  early_renewal_hours   = 8760
}

resource "registry_certificate" "server" {
  subject               = { common_name = "registry.example.com" }
  validity_period_hours = 8760
  early_renewal_hours   = 720

  issuer = {
    certificate_pem = registry_certificate.ca.certificate_pem
    private_key_pem = registry_certificate.ca.private_key_pem
  }
}

# When the certificate is renewed, it is imported again under the same ARN.
resource "registry_acm_certificate" "load_balancer" {
  region                     = "eu-central-1"
  certificate_pem            = registry_certificate.server.certificate_pem
  certificate_chain_pem      = registry_certificate.server.chain_pem
  private_key_pem_wo         = registry_certificate.server.private_key_pem
  private_key_pem_wo_version = registry_certificate.server.serial_number
  tags                       = { app = "registry" }
}

output "certificate_arn" {
  value = registry_acm_certificate.load_balancer.arn # for the listener of the load balancer
}
