variable "webhook_secret" {
  type      = string
  sensitive = true
  ephemeral = true
}

# The secret reaches neither plan nor state. Change the version to set it again.
resource "registry_webhook" "ci" {
  name              = "ci"
  description       = "Deploys what the team pushes"
  url               = "https://ci.example.com/hooks/registry"
  format            = "cloudevents"
  repositories      = ["team/**"]
  actions           = ["push"]
  secret_wo         = var.webhook_secret
  secret_wo_version = 1
}
