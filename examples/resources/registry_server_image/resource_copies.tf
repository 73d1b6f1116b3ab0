# In three regions and for another account, of a file that this run downloads and that is known by its checksum: plans need no file.
resource "terraform_data" "download" {
  input = "${path.module}/registry-arm64.raw"
}

resource "registry_server_image" "everywhere" {
  name             = "registry-server-1.4.2-arm64"
  description      = "Registry Kit 1.4.2"
  source_file      = terraform_data.download.output
  source_sha256    = "54d626e08c1c802b305dad30b7e54a82f102390cc92c7d4db112048935236e9c"
  architecture     = "arm64"
  region           = "eu-central-1"
  volume_size      = 8
  deprecation_time = "2030-01-01T00:00:00Z"

  copy_to_regions    = ["eu-west-1", "us-east-1"]
  launch_account_ids = ["210987654321"]

  timeouts = {
    create = "4h"
  }
}

output "server_image_ids" {
  value = registry_server_image.everywhere.image_ids
}
