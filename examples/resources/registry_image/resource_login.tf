variable "source_password" {
  description = "Password, or access token, of the user who pulls."
  ephemeral   = true
}

# From a registry that takes a login. The password is in no plan and no state.
resource "registry_image" "api" {
  source     = "registry.example.com/team/api:v1"
  repository = "team/api"
  tag        = "v1"
  source_auth = {
    username    = "mirror"
    password_wo = var.source_password
  }
  timeouts = {
    create = "30m"
    update = "30m"
  }
}
