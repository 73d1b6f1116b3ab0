output "endpoint" {
  description = "Where the registry answers."
  value       = module.single.endpoint
}

output "ci_secret_arn" {
  description = "Where CI reads its password."
  value       = aws_secretsmanager_secret_version.ci.arn
}
