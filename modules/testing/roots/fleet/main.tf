# A registry from nothing to its users, in one apply: two instances from a stock Debian, which fetch the server from a bucket of releases.

terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100"
    }
    registry = {
      source = "registrykit/registry"
    }
  }
}

provider "aws" {}

provider "registry" {
  alias = "setup"
}

variable "ami_id" {
  description = "A stock Debian."
  type        = string
}

variable "release" {
  description = "The program of the server: its key in the bucket of releases, and its SHA-256."
  type        = object({ key = string, sha256 = string })
}

variable "encrypted" {
  description = "Whether images are encrypted by a key of their own."
  type        = bool
  default     = true
}

resource "aws_route53_zone" "this" {
  name = "example.com"
}

module "registry" {
  source = "../../../registry"

  name    = "fleet"
  domain  = "registry.example.com"
  zone_id = aws_route53_zone.this.zone_id
  image = {
    ami_ids = { x86_64 = var.ami_id }
    install = { x86_64 = merge(var.release, { bucket = "releases" }) }
  }
  capacity             = { instance_types = ["t3.small"], min = 2, max = 4 }
  storage              = { force_destroy = true, kms = var.encrypted ? {} : null }
  secret_recovery_days = 0
  monitoring           = null
  config = {
    http    = { drainwait = "5s" }                                                   # the load balancer of the test notices at once
    storage = { maintenance = { uploadpurging = { age = "1m", interval = "20s" } } } # not only after a week
  }

  providers = {
    aws      = aws
    registry = registry.setup
  }
}

ephemeral "aws_secretsmanager_secret_version" "admin" {
  secret_id = module.registry.admin_secret_arn
}

locals {
  admin = jsondecode(ephemeral.aws_secretsmanager_secret_version.admin.secret_string)
}

provider "registry" {
  endpoint      = module.registry.endpoint
  username      = local.admin.username
  password      = local.admin.password
  ready_timeout = "5m"
}

resource "registry_policy" "team" {
  name        = "team"
  description = "All that the team does"
  rules       = [{ repositories = ["team/*"], actions = ["pull", "push", "delete"] }]
}

variable "password" {
  description = "Of the user ci."
  type        = string
  ephemeral   = true
}

resource "registry_user" "ci" {
  username            = "ci"
  password_wo         = var.password
  password_wo_version = 1
  policies            = [registry_policy.team.name]
}

output "endpoint" {
  value = module.registry.endpoint
}

output "bucket" {
  value = module.registry.bucket.name
}

output "role_arn" {
  value = module.registry.role_arn
}

output "kms_key_arn" {
  value = module.registry.bucket.kms_key_arn == null ? "" : module.registry.bucket.kms_key_arn
}
