# "registry.example.com/library/nginx:1.27": the same image in a mirror.
output "mirrored" {
  value = provider::registry::image_reference(merge(
    provider::registry::parse_image_reference("nginx:1.27"),
    { registry = "registry.example.com" },
  ))
}

# "registry.example.com/team/app:v1"
output "app" {
  value = provider::registry::image_reference({
    registry   = "registry.example.com"
    repository = "team/app"
    tag        = "v1"
    digest     = null
  })
}
