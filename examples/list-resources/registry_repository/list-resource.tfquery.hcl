# terraform query -generate-config-out=repositories.tf
list "registry_repository" "team" {
  provider = registry

  config {
    name_glob = "team/**"
  }
}
