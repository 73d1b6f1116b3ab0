mock_provider "aws" {
  source = "../testing"
}

variables {
  domain  = "registry.example.com"
  zone_id = "Z0123456789"
  alias   = { dns_name = "any.elb.amazonaws.com", zone_id = "Z32O12XQLNTSW2" }
}

run "issued" {
  assert {
    condition     = output.certificate_arn == "arn:aws:acm:eu-west-1:123456789012:certificate/0123" && length(aws_route53_record.validation) == 1
    error_message = "ACM issues the certificate, proven by a record."
  }
  assert {
    condition     = keys(aws_route53_record.alias) == ["A"] && aws_route53_record.caa[0].records == toset(["0 issue \"amazon.com\""])
    error_message = "The name leads to the load balancer, and only ACM may issue for it."
  }
}

run "given" {
  command = plan

  variables {
    certificate = { arn = "arn:aws:acm:eu-west-1:123456789012:certificate/4567" }
    ipv6        = true
    caa_issuers = []
  }

  assert {
    condition     = output.certificate_arn == "arn:aws:acm:eu-west-1:123456789012:certificate/4567" && length(aws_acm_certificate.this) == 0
    error_message = "The given certificate is taken."
  }
  assert {
    condition     = length(aws_route53_record.alias) == 2 && length(aws_route53_record.caa) == 0
    error_message = "A and AAAA, and no CAA."
  }
}

run "name_of_another_zone" {
  command = plan

  variables {
    domain = "registry.example.org"
  }

  expect_failures = [data.aws_route53_zone.this]
}

run "address_instead_of_a_name" {
  command = plan

  variables {
    domain = "https://registry.example.com"
  }

  expect_failures = [var.domain]
}
