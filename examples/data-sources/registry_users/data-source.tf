data "registry_users" "ci" {
  username_glob = "ci-*"
}

# Which of them are disabled?
output "disabled" {
  value = [for user in data.registry_users.ci.users : user.username if !user.enabled]
}
