list "registry_policy" "all" {
  provider = registry
}
