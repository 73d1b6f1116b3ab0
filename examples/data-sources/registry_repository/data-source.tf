resource "registry_repository" "base" {
  name           = "base/alpine"
  anonymous_pull = true
}

data "registry_repository" "base" {
  name = registry_repository.base.name
}

output "login_needed" {
  value = !data.registry_repository.base.anonymous_pull
}
