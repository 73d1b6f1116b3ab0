output "variables" {
  description = "What the workflows read, as variables of the repository."
  value = {
    AWS_REGION     = var.region
    STATE_BUCKET   = module.state.bucket
    PLAN_ROLE_ARN  = module.roles.plan_role_arn
    APPLY_ROLE_ARN = module.roles.apply_role_arn
    REGISTRY_NAME  = var.name
  }
}
