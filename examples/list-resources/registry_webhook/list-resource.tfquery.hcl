list "registry_webhook" "all" {
  provider = registry
}
