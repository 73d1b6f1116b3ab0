output "operator_username" {
  value = registry_user.operator.username
}

output "operator_password" {
  value     = registry_user.operator.password
  sensitive = true
}

output "ci_username" {
  value = registry_user.ci.username
}

output "ci_password" {
  value     = registry_user.ci.password
  sensitive = true
}

output "reader_username" {
  value = registry_user.reader.username
}

output "reader_password" {
  value     = registry_user.reader.password
  sensitive = true
}

output "ca_certificate_pem" {
  description = "For every client."
  value       = registry_certificate.ca.certificate_pem
}

output "server_certificate_pem" {
  description = "For the server, with the CA behind it."
  value       = registry_certificate.server.chain_pem
}

output "server_key_pem" {
  description = "For the server."
  value       = registry_certificate.server.private_key_pem
  sensitive   = true
}
