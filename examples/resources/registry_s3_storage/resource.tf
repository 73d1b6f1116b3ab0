# The bucket of the images. Everything else about it has safe defaults.
resource "registry_s3_storage" "images" {
  bucket     = "example-images"
  region     = "eu-central-1"
  versioning = true
  tags       = { app = "registry" }
}

# For the role of the servers, and for their environment.
output "server_policy" {
  value = registry_s3_storage.images.iam_policy_json
}

output "server_environment" {
  value = registry_s3_storage.images.environment
}
