# What openssl genrsa, openssl req and openssl x509 -days 730 make.
resource "registry_certificate" "self_signed" {
  subject = {
    country             = "DE"
    province            = "Berlin"
    locality            = "Berlin"
    organization        = "Example"
    organizational_unit = "IT"
    common_name         = "registry.example.com"
  }
  key                   = { algorithm = "RSA", rsa_bits = 4096 }
  validity_period_hours = 730 * 24
}
