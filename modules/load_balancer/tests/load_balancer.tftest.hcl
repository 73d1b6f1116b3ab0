mock_provider "aws" {
  source = "../testing"
}

variables {
  name            = "images"
  vpc_id          = "vpc-1"
  subnet_ids      = ["subnet-1", "subnet-2"]
  certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/0123"
}

run "for_the_internet" {
  assert {
    condition     = aws_lb_listener.https.ssl_policy == "ELBSecurityPolicy-TLS13-1-2-2021-06" && aws_lb_listener.http.default_action[0].redirect[0].status_code == "HTTP_301"
    error_message = "HTTPS by TLS 1.3, and HTTP redirects to it."
  }
  assert {
    condition     = aws_lb_target_group.this.health_check[0].path == "/readyz" && aws_lb.this.drop_invalid_header_fields && length(aws_wafv2_web_acl.this) == 0
    error_message = "Instances are asked whether they are ready."
  }
}

run "for_my_address" {
  command = plan

  variables {
    allowed_cidrs = ["198.51.100.7/32"]
    rate_limit    = 2000
  }

  assert {
    condition     = keys(aws_vpc_security_group_ingress_rule.https) == ["198.51.100.7/32"] && length(aws_wafv2_web_acl_association.this) == 1
    error_message = "Only my address gets in, and not too often."
  }
}

run "subnets_in_one_zone" {
  command = plan

  variables {
    subnet_ids = ["subnet-1"]
  }

  expect_failures = [var.subnet_ids]
}

run "two_subnets_of_one_zone" {
  command = plan

  override_data {
    target = data.aws_subnet.this
    values = { availability_zone = "eu-west-1a" }
  }

  expect_failures = [aws_lb.this]
}

run "no_range" {
  command = plan

  variables {
    allowed_cidrs = ["198.51.100.7"]
  }

  expect_failures = [var.allowed_cidrs]
}
