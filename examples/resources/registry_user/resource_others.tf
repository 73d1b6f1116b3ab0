variable "operator_password" {
  type      = string
  sensitive = true
}

# A password that is kept in the state.
resource "registry_user" "operator" {
  username = "operator"
  password = var.operator_password
  policies = ["admin"]
}

# A password that only Alice knows: she ran htpasswd -nBC 10 alice.
resource "registry_user" "alice" {
  username      = "alice"
  password_hash = "$2y$10$cTW9HgYNt.xcUCgwKvIXnOPtOQMgMFiookwDgCHy7Qz7Bfx344HWK"
  policies      = ["read-only"]
}

# A password that Terraform leaves alone: Bob gets it from an administrator.
resource "registry_user" "bob" {
  username = "bob"
  enabled  = false
}
