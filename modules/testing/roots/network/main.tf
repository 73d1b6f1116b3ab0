provider "aws" {}

variable "egress" {
  type    = string
  default = "nat"
}

module "network" {
  source = "../../../network"

  name                = "images"
  egress              = var.egress
  interface_endpoints = var.egress == "endpoints" ? ["secretsmanager", "sts"] : []
}
