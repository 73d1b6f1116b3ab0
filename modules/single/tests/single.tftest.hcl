mock_provider "aws" {
  source = "../testing"
}

variables {
  name             = "images"
  domain           = "registry.example.com"
  zone_id          = "Z0123456789"
  subnet_id        = "subnet-1"
  image            = { ami_id = "ami-0123456789abcdef0" }
  acme_email       = "ops@example.com"
  admin_secret_arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:images-admin-AbCdEf"
  http_secret_arn  = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:images-http-AbCdEf"
}

run "on_a_disk" {
  assert {
    condition     = aws_ebs_volume.images[0].encrypted && aws_ebs_volume.images[0].final_snapshot && strcontains(output.user_data, "RequiresMountsFor")
    error_message = "Images are on a volume of their own."
  }
  assert {
    condition     = local.config.storage.filesystem.rootdirectory == "/var/lib/registry/images" && local.config.http.tls.letsencrypt.hosts == ["registry.example.com"]
    error_message = "The server keeps them there: ${jsonencode(local.config)}."
  }
  assert {
    condition     = local.config.aws.logs.group == "/registry/images/single" && output.log_group == "/registry/images/single" && aws_cloudwatch_log_group.this[0].retention_in_days == 30 && strcontains(output.user_data, "registry-logs.service")
    error_message = "Its log is shipped: ${jsonencode(local.config)}."
  }
}

run "in_a_bucket" {
  variables {
    storage     = { bucket = { name = "images", arn = "arn:aws:s3:::images" } }
    certificate = "installed"
  }

  assert {
    condition     = length(aws_ebs_volume.images) == 0 && local.config.storage.s3.bucket == "images" && local.config.http.tls.managed && !can(local.config.storage.filesystem)
    error_message = "The instance holds nothing: ${jsonencode(local.config)}."
  }
}

run "no_logs" {
  variables {
    log_retention_days = null
  }

  assert {
    condition     = length(aws_cloudwatch_log_group.this) == 0 && output.log_group == null && !can(local.config.aws.logs.group) && !strcontains(output.user_data, "registry-logs.service")
    error_message = "No log is shipped: ${jsonencode(local.config)}."
  }
}

run "retention_that_aws_does_not_have" {
  command = plan

  variables {
    log_retention_days = 31
  }

  expect_failures = [var.log_retention_days]
}

run "acme_without_an_address" {
  command = plan

  variables {
    acme_email = null
  }

  expect_failures = [aws_instance.this]
}

run "wrong_architecture" {
  command = plan

  override_data {
    target = data.aws_ami.this
    values = { architecture = "x86_64" }
  }

  expect_failures = [aws_instance.this]
}
