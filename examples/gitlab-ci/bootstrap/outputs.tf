output "variables" {
  description = "What the jobs read, as CI/CD variables of the project."
  value = {
    AWS_REGION     = var.region
    STATE_BUCKET   = module.state.bucket
    PLAN_ROLE_ARN  = module.roles.plan_role_arn
    APPLY_ROLE_ARN = module.roles.apply_role_arn
  }
}
