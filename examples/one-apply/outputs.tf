output "endpoint" {
  description = "Where the registry answers."
  value       = terraform_data.server.output.endpoint
}

output "ca_certificate_pem" {
  description = "What clients need to trust it."
  value       = registry_certificate.ca.certificate_pem
}

output "image" {
  description = "The first image, by digest."
  value       = "${trimprefix(terraform_data.server.output.endpoint, "https://")}/${registry_image.hello.repository}@${registry_image.hello.digest}"
}

output "iam_policy_json" {
  description = "What a server needs to be allowed on the bucket, and no more."
  value       = registry_s3_storage.images.iam_policy_json
}
