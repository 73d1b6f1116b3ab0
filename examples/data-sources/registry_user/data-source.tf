data "registry_user" "admin" {
  username = "admin"
}

output "admin_policies" {
  value = data.registry_user.admin.policies
}
