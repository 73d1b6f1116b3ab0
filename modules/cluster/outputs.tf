output "group_name" {
  description = "The Auto Scaling group."
  value       = aws_autoscaling_group.this.name
}

output "boot_reports" {
  description = "Where instances that did not start leave the reason: `boot_reports` of the registry's provider."
  value       = local.boot_reports
}

output "launch_templates" {
  description = "Launch template and its latest version, by architecture."
  value       = { for a, t in aws_launch_template.this : a => { id = t.id, version = t.latest_version } }
}

output "role_arn" {
  description = "The instances' role."
  value       = aws_iam_role.this.arn
}

output "role_policy_json" {
  description = "What the role may do."
  value       = data.aws_iam_policy_document.this.json
}

output "security_group_id" {
  description = "The instances' security group."
  value       = aws_security_group.this.id
}

output "user_data" {
  description = "User data by architecture, to be read. It holds no secret."
  value       = { for a, u in module.user_data : a => u.text }
}
