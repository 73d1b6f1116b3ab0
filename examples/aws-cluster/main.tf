# A registry for the internet: two instances or more behind a load balancer, images in S3, and then its users and a first image, in one
# terraform apply.

module "registry" {
  source = "../../modules/registry"

  name    = var.name
  domain  = var.domain
  zone_id = var.zone_id
  image   = var.image

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
  boot_reports  = module.registry.boot_reports # if it does not answer, why
}
