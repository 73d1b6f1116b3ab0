terraform {
  required_version = ">= 1.11"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100"
    }
    # Makes secrets that neither plan nor state ever holds; it needs no registry for that.
    # tflint-ignore: terraform_required_providers, terraform_unused_required_providers # it is handed on to modules; there is no release yet whose version could be named
    registry = {
      source = "registrykit/registry"
    }
  }
}
