terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100"
    }
    # tflint-ignore: terraform_required_providers # there is no release yet whose version could be named
    registry = {
      source = "registrykit/registry"
    }
  }
}

provider "aws" {
  region = var.region
}

# Makes secrets; it needs no registry, and so the module can use it before there is one.
provider "registry" {
  alias = "setup"
}
