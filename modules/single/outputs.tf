output "endpoint" {
  description = "Where the registry answers, once all that it needs is there."
  value       = "https://${var.domain}"
  depends_on  = [aws_eip_association.this, aws_route53_record.this, aws_volume_attachment.images, aws_iam_role_policy.this]
}

output "boot_reports" {
  description = "Where the instance leaves the reason if it does not start, for `boot_reports` of the registry's provider; null where images are on its disk: there only the console says it."
  value       = local.in_bucket ? { bucket = var.storage.bucket.name, region = data.aws_region.this.id } : null
}

output "admin_secret_arn" {
  description = "Where the first admin's `username` and `password` are."
  value       = var.admin_secret_arn
}

output "address" {
  description = "Its address, which stays."
  value       = aws_eip.this.public_ip
}

output "instance_id" {
  description = "The instance."
  value       = aws_instance.this.id
}

output "user_data" {
  description = "User data, to be read. It holds no secret."
  value       = module.user_data.text
}

output "log_group" {
  description = "Where the instance's log is; null where none is shipped."
  value       = one(aws_cloudwatch_log_group.this[*].name)
}
