data "registry_server" "this" {}

output "login" {
  value = "docker login ${data.registry_server.this.host}"
}
