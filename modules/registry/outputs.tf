output "endpoint" {
  description = "Where the registry answers, once all that a request needs is there; so what lives on the registry is destroyed before any of that is."
  value       = "https://${module.dns.fqdn}"
  depends_on  = [module.cluster, module.load_balancer, module.dns, module.storage, module.secrets, module.network]
}

output "admin_secret_arn" {
  description = "Where the first admin's `username` and `password` are, as JSON."
  value       = module.secrets.admin_secret_arn
}

output "boot_reports" {
  description = "Where instances that did not start leave the reason. Give it to the registry's provider as `boot_reports`: if the registry does not answer, the error says why."
  value       = module.cluster.boot_reports
}

output "docker_login" {
  description = "How an admin logs in."
  value       = "aws secretsmanager get-secret-value --secret-id ${module.secrets.admin_secret_arn} --query SecretString --output text | jq -r .password | docker login ${var.domain} --username admin --password-stdin"
}

output "bucket" {
  description = "Where the images are."
  value       = { name = module.storage.bucket, arn = module.storage.arn, kms_key_arn = module.storage.kms_key_arn }
}

output "group_name" {
  description = "The Auto Scaling group."
  value       = module.cluster.group_name
}

output "role_arn" {
  description = "The instances' role."
  value       = module.cluster.role_arn
}

output "load_balancer_dns_name" {
  description = "AWS's own name of the load balancer."
  value       = module.load_balancer.dns_name
}

output "network" {
  description = "The VPC and the subnets that are used."
  value       = local.network
}

output "alarm_topic_arn" {
  description = "The SNS topic of all alarms, or null."
  value       = try(module.monitoring[0].topic_arn, null)
}
