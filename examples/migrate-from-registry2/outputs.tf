output "endpoint" {
  description = "Where the registry answers."
  value       = module.registry.endpoint
}

output "docker_login" {
  description = "How an admin logs in."
  value       = module.registry.docker_login
}
