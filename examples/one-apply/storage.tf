resource "registry_s3_storage" "images" {
  provider = registry.setup

  bucket        = var.bucket
  force_destroy = true # an example: leave it out where images matter

  # An S3 server without TLS would be locked out by the rule that only TLS may enter.
  deny_insecure_transport = var.s3_endpoint == null
}
