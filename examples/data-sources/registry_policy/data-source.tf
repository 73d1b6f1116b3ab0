data "registry_policy" "read_only" {
  name = "read-only"
}

output "readers_may" {
  value = data.registry_policy.read_only.rules[0].actions
}
