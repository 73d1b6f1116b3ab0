locals {
  issue = var.certificate == null
}

# What AWS refuses, it does not explain. Terraform shows the first line of what failed, so that says what to do.

data "aws_route53_zone" "this" { # no zone found? zone_id has to be a hosted zone of this account: aws route53 list-hosted-zones
  zone_id = var.zone_id

  lifecycle {
    postcondition {
      condition     = var.domain == trimsuffix(self.name, ".") || endswith(var.domain, ".${trimsuffix(self.name, ".")}")
      error_message = "${var.domain} does not lie in the hosted zone ${var.zone_id}, which is that of ${trimsuffix(self.name, ".")}. Give the zone_id of a zone that the name ends with, or another domain."
    }
  }
}

resource "aws_acm_certificate" "this" {
  count = local.issue ? 1 : 0

  domain_name       = var.domain
  validation_method = "DNS"
  tags              = var.tags

  lifecycle {
    create_before_destroy = true # the listener holds on to the one that it has

    precondition {
      condition     = var.validation_zone_id != null || !coalesce(data.aws_route53_zone.this.private_zone, false)
      error_message = "The hosted zone ${var.zone_id} is private, so ACM cannot see in it that ${var.domain} is yours, and the certificate would stay pending. Give validation_zone_id, the public zone of the name, or a certificate."
    }
  }
}

resource "aws_route53_record" "validation" {
  for_each = local.issue ? { (var.domain) = one(aws_acm_certificate.this[0].domain_validation_options) } : {}

  zone_id         = coalesce(var.validation_zone_id, var.zone_id)
  name            = each.value.resource_record_name
  type            = each.value.resource_record_type
  records         = [each.value.resource_record_value]
  ttl             = 60
  allow_overwrite = true # ACM asks for the same record for each certificate of a name
}

# Waits until ACM has issued it.
resource "aws_acm_certificate_validation" "this" { # still PENDING_VALIDATION? the parent domain has to name this zone's name servers (NS records): dig NS
  count = local.issue ? 1 : 0

  certificate_arn         = aws_acm_certificate.this[0].arn
  validation_record_fqdns = values(aws_route53_record.validation)[*].fqdn

  timeouts {
    create = "20m"
  }
}

resource "aws_route53_record" "alias" {
  for_each = toset(var.ipv6 ? ["A", "AAAA"] : ["A"])

  zone_id = data.aws_route53_zone.this.zone_id
  name    = var.domain
  type    = each.value

  alias {
    name                   = var.alias.dns_name
    zone_id                = var.alias.zone_id
    evaluate_target_health = false # there is no other place to send clients to
  }
}

resource "aws_route53_record" "caa" {
  count = length(var.caa_issuers) > 0 ? 1 : 0

  zone_id = coalesce(var.validation_zone_id, var.zone_id)
  name    = var.domain
  type    = "CAA"
  ttl     = 300
  records = [for issuer in var.caa_issuers : "0 issue \"${issuer}\""]
}
