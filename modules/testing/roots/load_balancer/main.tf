# A load balancer with a firewall and access logs, at a name whose certificate is there already.

provider "aws" {}

variable "zone_id" {
  type = string
}

variable "vpc_id" {
  type = string
}

variable "subnet_ids" {
  type = list(string)
}

variable "rate_limit" {
  type    = number
  default = 2000
}

resource "aws_s3_bucket" "logs" {
  bucket        = "access-logs"
  force_destroy = true
}

resource "aws_acm_certificate" "own" {
  domain_name       = "*.example.com"
  validation_method = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

module "load_balancer" {
  source = "../../../load_balancer"

  name            = "front"
  vpc_id          = var.vpc_id
  subnet_ids      = var.subnet_ids
  certificate_arn = module.dns.certificate_arn
  target          = { port = 5443, protocol = "HTTPS" }
  access_logs     = { bucket = aws_s3_bucket.logs.id, prefix = "front" }
  rate_limit      = var.rate_limit
}

module "dns" {
  source = "../../../dns"

  domain      = "front.example.com"
  zone_id     = var.zone_id
  certificate = { arn = aws_acm_certificate.own.arn }
  alias       = { dns_name = module.load_balancer.dns_name, zone_id = module.load_balancer.zone_id }
  caa_issuers = []
}
