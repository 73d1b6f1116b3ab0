# Promotes the image that was tested to what runs in production.
variable "tested_digest" {
  description = "Digest of the image that passed the tests."
}

resource "registry_tag" "stable" {
  repository = "team/api"
  tag        = "stable"
  digest     = var.tested_digest
}
