# Everything a registry needs, from nothing, in one terraform apply: a bucket, a CA and a certificate, a server that runs on them,
# and then its users, policies and repositories and a first image.
#
# The server is a process on this machine, so that this can be tried anywhere; on AWS, the modules take its place.

terraform {
  required_version = ">= 1.11"
  required_providers {
    registry = {
      source = "registrykit/registry"
    }
  }
}

# What needs no server: the bucket and the certificates. A provider whose address came from its own resources would be a cycle.
provider "registry" {
  alias = "setup"

  aws = {
    region            = var.region
    s3_use_path_style = var.s3_endpoint != null
    endpoints         = { s3 = var.s3_endpoint }
  }
}

# What lives on the server. Its address is not known until the server has been started, in this same run.
provider "registry" {
  endpoint       = terraform_data.server.output.endpoint
  username       = "admin"
  password       = var.admin_password
  ca_certificate = registry_certificate.ca.certificate_pem
  ready_timeout  = "1m"
}
