mock_provider "aws" {
  source = "../testing"
}

variables {
  name = "images"
}

run "one_nat_gateway" {
  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.nat) == 2
    error_message = "Both zones leave through one gateway."
  }
  assert {
    condition     = output.public_cidrs == ["10.0.0.0/20", "10.0.16.0/20"] && output.private_cidrs == ["10.0.128.0/20", "10.0.144.0/20"]
    error_message = "Subnets are ${jsonencode([output.public_cidrs, output.private_cidrs])}."
  }
  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && length(aws_security_group.endpoints) == 0
    error_message = "No endpoints are paid for that nobody asked for."
  }
}

run "one_in_each_of_three_zones" {
  command = plan

  variables {
    zones  = 3
    egress = "nat_per_zone"
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && length(aws_subnet.private) == 3
    error_message = "Each zone has its own gateway."
  }
}

run "endpoints_only" {
  command = plan

  variables {
    egress              = "endpoints"
    interface_endpoints = ["secretsmanager", "autoscaling"]
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_route.nat) == 0 && length(aws_vpc_endpoint.interface) == 2
    error_message = "There is no way out but the endpoints."
  }
}

run "too_few_zones" {
  command = plan

  override_data {
    target = data.aws_availability_zones.this
    values = { names = ["eu-west-1a"] }
  }

  expect_failures = [data.aws_availability_zones.this]
}

run "one_zone_is_not_enough" {
  command = plan

  variables {
    zones = 1
  }

  expect_failures = [var.zones]
}

run "too_small" {
  command = plan

  variables {
    cidr = "10.0.0.0/24"
  }

  expect_failures = [var.cidr]
}
