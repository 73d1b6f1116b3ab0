# What CI needs before it can do anything, applied once by a person: where the state is kept, and the two roles. It is apart from the
# registry, so that no job can give itself more rights.

data "aws_caller_identity" "this" {}

module "state" {
  source = "../../../modules/storage"

  bucket          = "${var.name}-state-${data.aws_caller_identity.this.account_id}-${var.region}"
  noncurrent_days = 365 # an older state can be brought back
}

module "roles" {
  source = "../../../modules/ci_role"

  name          = "ci-${var.name}"
  registry_name = var.name
  bucket_arn    = var.bucket_arn
  state         = { bucket_arn = module.state.arn, key = "registry.tfstate" }

  provider_url = var.gitlab_url
  audience     = var.gitlab_url

  # The project says that subjects are made so (README.md): any job may plan, and those of protected branches may apply.
  plan_subjects  = ["project_path:${var.project}:ref_protected:true", "project_path:${var.project}:ref_protected:false"]
  apply_subjects = ["project_path:${var.project}:ref_protected:true"]
}
