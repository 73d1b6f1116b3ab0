output "plan_role_arn" {
  description = "The role of jobs that plan."
  value       = aws_iam_role.this["plan"].arn
  depends_on  = [aws_iam_role_policy.this]
}

output "apply_role_arn" {
  description = "The role of jobs that apply."
  value       = aws_iam_role.this["apply"].arn
  depends_on  = [aws_iam_role_policy.this]
}
