mock_provider "aws" {
  source = "../testing"
}

variables {
  name = "images"
}

run "made" {
  assert {
    condition     = length(aws_secretsmanager_secret.http) == 1 && length(aws_secretsmanager_secret.admin) == 1 && length(output.arns) == 2
    error_message = "Both secrets are made."
  }
  assert {
    condition     = aws_secretsmanager_secret_version.http[0].secret_string_wo == null && aws_secretsmanager_secret_version.admin[0].secret_string_wo == null
    error_message = "Their values are in no state."
  }
}

run "given" {
  command = plan

  variables {
    http_secret = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:http-AbCdEf" }
    admin       = { secret = { arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:admin-AbCdEf" } }
  }

  assert {
    condition     = length(aws_secretsmanager_secret.http) == 0 && length(aws_secretsmanager_secret.admin) == 0 && endswith(output.admin_secret_arn, "admin-AbCdEf")
    error_message = "Existing secrets are taken as they are."
  }
}

run "odd_recovery" {
  command = plan

  variables {
    recovery_days = 3
  }

  expect_failures = [var.recovery_days]
}

run "odd_name" {
  command = plan

  variables {
    admin = { username = "the admin" }
  }

  expect_failures = [var.admin]
}
