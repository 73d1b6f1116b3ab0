# Applied for real, so `terraform test` finds it only with -test-directory=tests/applied. The repository's tests do that in an emulated AWS.

variables {
  name = "images"
}

run "two_zones" {
  assert {
    condition     = length(toset(values(aws_subnet.private)[*].availability_zone)) == 2 && length(toset(concat(output.public_subnet_ids, output.private_subnet_ids))) == 4
    error_message = "Each of two zones has a public and a private subnet."
  }
  assert {
    condition     = alltrue([for r in aws_route.nat : r.nat_gateway_id == one(values(aws_nat_gateway.this)[*].id)])
    error_message = "Private subnets leave through the gateway."
  }
}

run "without_a_way_out" {
  variables {
    egress              = "endpoints"
    interface_endpoints = ["secretsmanager", "sts"]
  }

  assert {
    condition     = output.vpc_id == run.two_zones.vpc_id && toset(output.private_subnet_ids) == toset(run.two_zones.private_subnet_ids)
    error_message = "What is in the subnets stays where it is."
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_route.nat) == 0 && length(aws_vpc_endpoint.interface) == 2
    error_message = "The gateway has gone, and the endpoints have come."
  }
}
