# The file for auth.htpasswd.path (REGISTRY_AUTH_HTPASSWD_PATH) of a server.
output "htpasswd" {
  sensitive = true
  value = join("\n", [
    provider::registry::htpasswd_entry("alice", "$2y$10$cTW9HgYNt.xcUCgwKvIXnOPtOQMgMFiookwDgCHy7Qz7Bfx344HWK"),
    provider::registry::htpasswd_entry("bob", "$2y$10$Nrt74EWHuuAlzaE6sagMp.aPRJttfJxB7At.3BRx5WZXod0N9KcGm"),
  ])
}
