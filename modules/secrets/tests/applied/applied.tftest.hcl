# Applied for real, so `terraform test` finds it only with -test-directory=tests/applied. The repository's tests do that in an emulated AWS.

variables {
  name          = "images"
  recovery_days = 0
}

run "made" {
  assert {
    condition     = length(toset(output.arns)) == 2 && alltrue([for v in concat(aws_secretsmanager_secret_version.http, aws_secretsmanager_secret_version.admin) : contains(v.version_stages, "AWSCURRENT")])
    error_message = "There are two secrets, each with a value: ${jsonencode(output.arns)}."
  }
  assert {
    condition     = alltrue([for v in concat(aws_secretsmanager_secret_version.http, aws_secretsmanager_secret_version.admin) : v.secret_string_wo == null && try(length(v.secret_string), 0) == 0])
    error_message = "Their values are in no state."
  }
}

run "rotated" {
  variables {
    http_secret_version = 2
  }

  assert {
    condition     = output.arns == run.made.arns
    error_message = "A new value is at the address of the old one."
  }
}
