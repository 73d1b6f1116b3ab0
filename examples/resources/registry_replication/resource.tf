variable "standby_token" {
  type      = string
  sensitive = true
  ephemeral = true
}

# Releases of the team go to the registry of another region, where registry.example.com/team/app is eu/team/app.
# The token reaches neither plan nor state. Change the version to set it again.
resource "registry_replication" "standby" {
  name                = "standby"
  url                 = "https://standby.example.com/eu"
  repositories        = ["team/**"]
  tags                = ["v*", "sha256-*"]
  username            = "replicator"
  password_wo         = var.standby_token
  password_wo_version = 1
}
