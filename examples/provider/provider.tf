terraform {
  required_version = ">= 1.11"
  required_providers {
    registry = {
      source = "registrykit/registry"
    }
  }
}

variable "admin_password" {
  type      = string
  sensitive = true
  ephemeral = true
}

provider "registry" {
  endpoint = "https://registry.example.com"
  username = "admin"
  password = var.admin_password # or REGISTRY_PASSWORD in the environment

  # Only for a server whose certificate no public authority signed:
  ca_certificate = file("${path.module}/ca.pem")

  # Only for objects in AWS; what is left open comes from where the AWS SDK looks for it:
  aws = { region = "eu-central-1" }
}
