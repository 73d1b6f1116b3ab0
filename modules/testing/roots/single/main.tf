# A single instance with its images on a disk.

terraform {
  required_providers {
    registry = {
      source = "registrykit/registry"
    }
  }
}

provider "aws" {}

provider "registry" {}

variable "ami_id" {
  type = string
}

variable "zone_id" {
  type = string
}

variable "allowed_cidrs" {
  type    = list(string)
  default = ["0.0.0.0/0"]
}

module "secrets" {
  source = "../../../secrets"

  name          = "small"
  recovery_days = 0
}

module "single" {
  source = "../../../single"

  name             = "small"
  domain           = "small.example.com"
  zone_id          = var.zone_id
  image            = { ami_id = var.ami_id }
  certificate      = "installed"
  allowed_cidrs    = var.allowed_cidrs
  http_secret_arn  = module.secrets.http_secret_arn
  admin_secret_arn = module.secrets.admin_secret_arn
}
