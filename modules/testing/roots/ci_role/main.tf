# Roles for GitHub Actions and for GitLab.

provider "aws" {}

variable "plan_subjects" {
  type    = list(string)
  default = ["repo:example/infra:pull_request"]
}

module "github" {
  source = "../../../ci_role"

  name           = "github"
  registry_name  = "images"
  bucket_arn     = "arn:aws:s3:::images"
  state          = { bucket_arn = "arn:aws:s3:::state", key = "registry.tfstate" }
  plan_subjects  = var.plan_subjects
  apply_subjects = ["repo:example/infra:environment:production"]
}

module "gitlab" {
  source = "../../../ci_role"

  name           = "gitlab"
  provider_url   = "https://gitlab.com"
  audience       = "https://gitlab.com"
  registry_name  = "images"
  bucket_arn     = "arn:aws:s3:::images"
  state          = { bucket_arn = "arn:aws:s3:::state", key = "registry.tfstate" }
  plan_subjects  = ["project_path:example/infra:ref_type:branch:ref:main"]
  apply_subjects = ["project_path:example/infra:ref_type:branch:ref:main"]
}
