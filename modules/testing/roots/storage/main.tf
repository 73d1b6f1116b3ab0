# Encrypted buckets in two regions, the one replicated to the other.

provider "aws" {}

provider "aws" {
  alias  = "other"
  region = "eu-west-1"
}

variable "noncurrent_days" {
  type    = number
  default = 30
}

module "copy" {
  source = "../../../storage"

  bucket        = "images-copy"
  kms           = {}
  force_destroy = true

  providers = {
    aws = aws.other
  }
}

module "storage" {
  source = "../../../storage"

  bucket          = "images"
  kms             = {}
  noncurrent_days = var.noncurrent_days
  force_destroy   = true
  replication     = { bucket_arn = module.copy.arn, kms_key_arn = module.copy.kms_key_arn }
}
