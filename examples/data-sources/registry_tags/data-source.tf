# The newest release of version 1.
data "registry_tags" "api" {
  repository = "team/api"
  patterns   = ["1.*", "v1.*"]
}

output "newest" {
  value = data.registry_tags.api.latest
}
