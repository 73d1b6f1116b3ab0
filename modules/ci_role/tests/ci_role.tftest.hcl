mock_provider "aws" {
  source = "../testing"
}

variables {
  name           = "images-ci"
  registry_name  = "images"
  bucket_arn     = "arn:aws:s3:::images"
  state          = { bucket_arn = "arn:aws:s3:::state", key = "registry.tfstate" }
  plan_subjects  = ["repo:example/infra:pull_request"]
  apply_subjects = ["repo:example/infra:environment:production"]
}

run "github" {
  assert {
    condition     = aws_iam_openid_connect_provider.this[0].client_id_list == toset(["sts.amazonaws.com"])
    error_message = "Tokens are made out to AWS."
  }
  assert {
    condition     = keys(aws_iam_role.this) == ["apply", "plan"]
    error_message = "There are two roles."
  }
}

run "everybody" {
  command = plan

  variables {
    plan_subjects = ["repo:example/*"]
  }

  expect_failures = [var.plan_subjects]
}

run "pull_requests_that_apply" {
  command = plan

  variables {
    apply_subjects = ["repo:example/infra:pull_request"]
  }

  expect_failures = [var.apply_subjects]
}
