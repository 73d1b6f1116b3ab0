# The small variant: one instance with an address that stays, a certificate of Let's Encrypt, and images in S3, so that the way to a cluster
# is another module on the same bucket.

module "storage" {
  source = "../../modules/storage"

  bucket = "${var.name}-${data.aws_caller_identity.this.account_id}-${var.region}"
}

data "aws_caller_identity" "this" {}

module "secrets" {
  source = "../../modules/secrets"

  name = var.name

  providers = {
    aws      = aws
    registry = registry.setup
  }
}

module "single" {
  source = "../../modules/single"

  name             = var.name
  domain           = var.domain
  zone_id          = var.zone_id
  image            = var.image
  acme_email       = var.email
  storage          = { bucket = { name = module.storage.bucket, arn = module.storage.arn } }
  http_secret_arn  = module.secrets.http_secret_arn
  admin_secret_arn = module.secrets.admin_secret_arn
}

# The admin's password is read back from where the servers have it, and enters neither plan nor state.
ephemeral "aws_secretsmanager_secret_version" "admin" {
  secret_id = module.single.admin_secret_arn
}

locals {
  admin = jsondecode(ephemeral.aws_secretsmanager_secret_version.admin.secret_string)
}

# Waits until the registry answers: its machines, its certificate and its name take some minutes.
provider "registry" {
  endpoint      = module.single.endpoint
  username      = local.admin.username
  password      = local.admin.password
  ready_timeout = "20m"
  boot_reports  = module.single.boot_reports # if it does not answer, why
}
