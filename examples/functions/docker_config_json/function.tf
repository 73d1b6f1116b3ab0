variable "pull_password" {
  type      = string
  sensitive = true
}

# For ~/.docker/config.json, or a Kubernetes secret of type kubernetes.io/dockerconfigjson.
output "docker_config" {
  sensitive = true
  value = provider::registry::docker_config_json({
    "registry.example.com" = { username = "deploy", password = var.pull_password }
  })
}
