mock_provider "aws" {
  source = "../testing"
}

variables {
  name                     = "images"
  vpc_id                   = "vpc-1"
  subnet_ids               = ["subnet-1", "subnet-2"]
  client_security_group_id = "sg-1"
}

run "two_nodes" {
  assert {
    condition     = aws_elasticache_replication_group.this.transit_encryption_enabled == true && aws_elasticache_replication_group.this.automatic_failover_enabled
    error_message = "Two nodes, spoken to by TLS."
  }
  assert {
    condition     = output.address == "any.cache.amazonaws.com:6379"
    error_message = "Servers find it at ${output.address}."
  }
}

run "one_node" {
  command = plan

  variables {
    nodes  = 1
    secret = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:cache-AbCdEf" }
  }

  assert {
    condition     = !aws_elasticache_replication_group.this.automatic_failover_enabled && length(aws_secretsmanager_secret.auth) == 0
    error_message = "One node has nobody to fail over to."
  }
}

run "too_many" {
  command = plan

  variables {
    nodes = 9
  }

  expect_failures = [var.nodes]
}
