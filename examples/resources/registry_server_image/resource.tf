# The machine image of the servers. A new file gives a new image before the old one goes.
resource "registry_server_image" "server" {
  name_prefix  = "registry-server-"
  source_file  = "${path.module}/registry-amd64.raw"
  architecture = "x86_64"
  region       = "eu-central-1"
  tags         = { app = "registry" }

  lifecycle {
    create_before_destroy = true
  }
}

# For the launch template of the servers.
output "server_image_id" {
  value = registry_server_image.server.id
}
