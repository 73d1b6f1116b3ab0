# The bucket of a registry:2 that ran on one machine becomes the bucket of a cluster, where it is: nothing is copied. README.md has the steps.

module "registry" {
  source = "../../modules/registry"

  name    = var.name
  domain  = var.domain
  zone_id = var.zone_id
  image   = var.image
  storage = { bucket = var.bucket, root_directory = var.root_directory }
  tags    = var.tags

  providers = {
    aws      = aws
    registry = registry.setup
  }
}

# The admin's password is read back from where the servers have it, and enters neither plan nor state.
ephemeral "aws_secretsmanager_secret_version" "admin" {
  secret_id = module.registry.admin_secret_arn
}

locals {
  admin = jsondecode(ephemeral.aws_secretsmanager_secret_version.admin.secret_string)
}

# Waits until the registry answers: its machines, its certificate and its name take some minutes.
provider "registry" {
  endpoint      = module.registry.endpoint
  username      = local.admin.username
  password      = local.admin.password
  ready_timeout = "20m"
}
