variable "ci_password" {
  type      = string
  sensitive = true
  ephemeral = true
}

# The password reaches neither plan nor state. Change the version to set it again.
resource "registry_user" "ci" {
  username            = "ci"
  description         = "Pushes what the team builds"
  password_wo         = var.ci_password
  password_wo_version = 1
  policies            = ["read-write"]
}
