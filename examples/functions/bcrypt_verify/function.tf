variable "password" {
  sensitive = true
}

# The hash that users are made with; is it still that of the password?
locals {
  password_hash = "$2y$10$cTW9HgYNt.xcUCgwKvIXnOPtOQMgMFiookwDgCHy7Qz7Bfx344HWK"
}

output "is_current" {
  sensitive = true
  value     = provider::registry::bcrypt_verify(local.password_hash, var.password)
}
