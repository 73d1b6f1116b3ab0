locals {
  http_arn  = local.make_http ? aws_secretsmanager_secret_version.http[0].arn : var.http_secret.arn
  admin_arn = local.make_admin ? aws_secretsmanager_secret_version.admin[0].arn : var.admin.secret.arn
}

output "http_secret_arn" {
  description = "Where servers read the HTTP secret."
  value       = local.http_arn
}

output "admin_secret_arn" {
  description = "Where the first admin's `username` and `password` are, as JSON."
  value       = local.admin_arn
}

output "arns" {
  description = "All of them, for the servers' role."
  value       = [local.http_arn, local.admin_arn]
}
