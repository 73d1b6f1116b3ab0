list "registry_user" "ci" {
  provider = registry

  config {
    name_glob = "ci-*"
  }
}
