# {
#   registry      = "registry.example.com"
#   repository    = "team/app"
#   tag           = "v1"
#   digest        = null
#   familiar_name = "registry.example.com/team/app"
# }
output "image" {
  value = provider::registry::parse_image_reference("registry.example.com/team/app:v1")
}

# "docker.io/library/nginx"
output "full_name" {
  value = join("/", [
    provider::registry::parse_image_reference("nginx").registry,
    provider::registry::parse_image_reference("nginx").repository,
  ])
}
